import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { Logger } from '@nestjs/common';
import { type WebSocket, WebSocketServer as WS } from 'ws';
import type { Bus } from '../cluster/bus.js';
import { MemoryBus } from '../cluster/memory.bus.js';
import type { ConnectedClient } from '../decorators/connected-client.js';
import { ClientNotFoundError, InvalidStateError, NotSerializableError } from '../errors.js';
import { encodeFrame } from '../protocol/codec.js';
import type { Audience, Delivery } from '../protocol/delivery.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import { isRouteName } from '../protocol/names.js';
import { type ResolvedOptions, resolveOptions } from '../resolve-options.js';
import { NO_RESOURCES, type Resources } from '../resources.js';
import { WebSocketRoomManager } from '../rooms/room-manager.js';
import { errorFrame } from '../routing/error-frame.js';
import type { RouteCall } from '../routing/route-call.js';
import type { Explored, GatewayHooks } from '../routing/route.explorer.js';
import { Router } from '../routing/router.js';
import { addSystemRoutes, type JoinRequest } from '../routing/system.routes.js';
import type { SubscriberEvent, WebSocketOptions, WebSocketType } from '../websocket-options.js';
import { ClientList } from './client-list.js';
import { WebSocketClientManager } from './client-manager.js';
import type { Connection } from './connection.js';
import { Connections } from './connections.js';
import { LocalDelivery } from './delivery.js';
import { Heartbeat } from './heartbeat.js';
import { Membership } from './membership.js';
import { Subscribers } from './subscribers.js';
import { TimeoutQueue } from './timeout-queue.js';
import { answerUnowned, pathOf, UpgradeGate } from './upgrade.js';

/** What the module gives a server inside a Nest application; all optional for a server made by hand. */
export interface ServerDependencies {
  explore?: (stockPath: string | undefined) => Explored;
  resources?: () => Resources;
  httpServer?: () => HttpServer | undefined;
  bus?: Bus;
}

type SentData = Record<string, unknown>;

/**
 * Accepts connections, routes their messages and sends to them. Inside a Nest application it loads and starts with the
 * application, on the application's own HTTP server; by hand it is `new WebSocketServer(options)`, `load()`, `start()`.
 */
export class WebSocketServer {
  readonly clientManager: WebSocketClientManager;
  readonly roomManager: WebSocketRoomManager;
  readonly options: ResolvedOptions;
  /** What the application bound to `PXL_REDIS`, `PXL_QUEUE_MANAGER` and `PXL_DATABASE`. Known after `load()`. */
  resources: Resources = NO_RESOURCES;
  readonly #logger = new Logger(WebSocketServer.name);
  readonly #dependencies: ServerDependencies;
  readonly #bus: Bus;
  readonly #router = new Router();
  readonly #subscribers = new Subscribers((error, place) => this.#failed(error, place));
  readonly #membership: Membership;
  readonly #connections: Connections;
  readonly #delivery: LocalDelivery;
  readonly #clientList: ClientList | undefined;
  readonly #heartbeat: Heartbeat;
  readonly #timeouts: TimeoutQueue<RouteCall>;
  readonly #upgradeOwners = new Map<unknown, (path: string) => boolean>();
  readonly #hooks: GatewayHooks[] = [];
  #isLoaded = false;
  #usesStockGateways = false;
  #running: { wss: WS; detach: () => void } | undefined;
  #stopping: Promise<void> | undefined;

  /** @throws {InvalidOptionsError} */
  constructor(options: WebSocketOptions = {}, dependencies: ServerDependencies = {}) {
    this.options = resolveOptions(options);
    this.#dependencies = dependencies;
    this.#bus = dependencies.bus ?? new MemoryBus();
    this.#membership = new Membership(() => shared);
    this.roomManager = new WebSocketRoomManager({ ...this.options.rooms, listener: this.#membership });
    this.clientManager = new WebSocketClientManager({
      roomsOf: (clientId) => this.roomManager.getClientRooms({ clientId }),
      publicFields: this.options.clientList.publicFields,
      onListChanged: (event) => this.#clientList?.changed(event),
      onDisconnect: (client, code, reason) => this.#connections.disconnect(client, code, reason),
    });
    this.#delivery = new LocalDelivery(this.clientManager, this.roomManager);
    this.#timeouts = new TimeoutQueue(this.options.messages.handlerTimeoutMs, (call) =>
      this.#connections.get(call.ws)?.expire(call),
    );
    const shared = {
      options: this.options,
      messages: this.options.messages,
      clients: this.clientManager,
      rooms: this.roomManager,
      router: this.#router,
      timeouts: this.#timeouts,
      hooks: this.#hooks,
      received: (connection: Connection, call: RouteCall) => this.#received(connection, call),
      failed: (error: unknown, place: string) => this.#failed(error, place),
      publish: (channel: string, data: unknown) => this.publish({ channel, data }),
      joinRoom: (params: JoinRequest & { ws: WebSocket }) => this.joinRoom(params),
      isAuthenticated: (client: ConnectedClient) => this.#connections.isAuthenticated(client),
      sendTo: (clientId: string, message: unknown) =>
        this.#deliverHere({ kind: 'clients', clientIds: [clientId] }, message),
      listChanged: (event: string) => this.#clientList?.changed(event),
    };
    this.#connections = new Connections(shared);
    this.#clientList = this.options.clientList.enabled
      ? new ClientList(this.options.clientList, this.clientManager, (message) =>
          this.#deliverHere({ kind: 'all' }, message),
        )
      : undefined;
    this.#heartbeat = new Heartbeat(
      this.options,
      this.#connections.open,
      ({ client }, code, reason) => this.#connections.disconnect(client, code, reason),
      (clientId) =>
        this.#logger.log(
          `Closing client ${clientId}: idle for ${this.options.disconnectInactiveClients.inactiveTime} ms.`,
        ),
    );
  }

  get type(): WebSocketType {
    return 'server';
  }

  /** Room names to the ids of their members. */
  get rooms(): Map<string, Set<string>> {
    return this.roomManager.rooms;
  }

  /** True from `start()` until `stop()` is called. */
  get isRunning(): boolean {
    return this.#running !== undefined && this.#stopping === undefined;
  }

  /**
   * Adds a route by hand, for a server outside a Nest application.
   * @throws {InvalidRouteError} @throws {DuplicateRouteError}
   */
  route(type: string, action: string, handler: (ws: WebSocket, clientId: string, data: unknown) => unknown): void {
    this.#router.add({
      type,
      action,
      place: `route('${type}', '${action}')`,
      handler: async (call) => call.consume(await handler(call.ws, call.clientId, call.data)),
    });
  }

  /**
   * Finds the routes, subscribers and hooks of the application. Must be called before `start()`; a second call does
   * nothing.
   * @throws {InvalidRouteError} @throws {DuplicateRouteError}
   */
  async load(): Promise<void> {
    if (this.#isLoaded) return;
    this.#isLoaded = true;
    this.resources = this.#dependencies.resources?.() ?? NO_RESOURCES;
    const { rooms, subscriberEventHandler, printRoutes, path } = this.options;
    addSystemRoutes(this.#router, {
      ...rooms,
      join: (client, request) => this.#membership.joinByItself(client, request),
      leave: (client, roomName) => this.#membership.leaveByItself(client, roomName),
    });
    const found = this.#dependencies.explore?.(this.#usesStockGateways ? path : undefined);
    for (const route of found?.routes ?? []) this.#router.add(route);
    for (const subscription of found?.subscriptions ?? []) this.#subscribers.add(subscription);
    if (subscriberEventHandler) {
      const handler = subscriberEventHandler as (event: unknown) => unknown;
      this.#subscribers.add({ matcher: '*', handler, place: 'subscriberEventHandler' });
    }
    this.#hooks.push(...(found?.hooks ?? []));
    for (const hook of this.#hooks) await hook.afterInit?.(this);
    if (printRoutes) this.#logger.log(`Routes of ${path}:\n${this.#router.print().join('\n')}`);
  }

  /**
   * Accepts connections on an HTTP server: the one given, or the Nest application's own.
   * @returns the `ws` library's server
   * @throws {InvalidStateError} before `load()`, or when there is no HTTP server
   */
  async start(on: { fastifyServer?: { server: HttpServer }; httpServer?: HttpServer } = {}): Promise<{ server: WS }> {
    if (!this.#isLoaded)
      throw new InvalidStateError('start() was called before load(). Call "await server.load()" first.');
    if (this.#running) return { server: this.#running.wss };
    const httpServer = on.httpServer ?? on.fastifyServer?.server ?? this.#dependencies.httpServer?.();
    if (!httpServer) {
      throw new InvalidStateError(
        'There is no HTTP server to listen on. Call start({ fastifyServer }) or start({ httpServer }).',
      );
    }
    const wss = new WS({
      noServer: true,
      maxPayload: this.options.messages.maxPayload,
      perMessageDeflate: false,
      maxFragments: 128,
      maxBufferedChunks: 4_096,
    });
    wss.on('error', (error) => this.#failed(error, 'the WebSocket server'));
    this.#running = { wss, detach: this.#attach(httpServer, wss) };
    await this.#startBus();
    this.#heartbeat.start();
    this.#safely(() => this.options.events.onServerStarted?.({ webSocketServer: wss }), 'events.onServerStarted');
    return { server: wss };
  }

  /**
   * Takes no new connection, closes the open ones with 1012 spread over `drain.spreadMs`, waits for the hooks of those
   * that left, and cuts what is still open after `drain.terminateAfterMs`. Then it can be started again.
   */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#stopping ??= this.#shutDown(this.#running).finally(() => {
      this.#running = undefined;
      this.#stopping = undefined;
    });
    await this.#stopping;
  }

  /**
   * Puts a client into a room.
   * @param params.userId who it is, looked up with `users.load`; ignored for a client that authenticated
   * @returns true
   * @throws {ClientNotFoundError} @throws {RoomNameInvalidError} @throws {RoomLimitError}
   */
  async joinRoom({ ws, ...request }: JoinRequest & { ws: WebSocket }): Promise<boolean> {
    const clientId = this.clientManager.getClientId({ ws });
    const client = clientId === undefined ? undefined : this.clientManager.getClient({ clientId });
    if (!client) throw new ClientNotFoundError(clientId ?? 'unknown');
    await this.#membership.join(client, request);
    return true;
  }

  /** Takes a client out of a room and tells it (`system/leftRoom`). A no-op when it isn't in. */
  leaveRoom({ ws, roomName }: { ws: WebSocket; roomName: string }): void {
    const clientId = this.clientManager.getClientId({ ws });
    if (clientId !== undefined) this.roomManager.removeClientFromRoom({ clientId, roomName });
  }

  /**
   * Sends one client anything that has a JSON form. Scope: the given socket.
   * @param binary as a binary frame with the same bytes. @default false
   * @throws {NotSerializableError}
   */
  sendClientMessage(ws: WebSocket, data: unknown, binary = false): void {
    const text = encode(data);
    if (ws.readyState === ws.OPEN) ws.send(text, { binary });
  }

  /** Raises the event `SendMessage` for the subscribers of every node. Sends nothing to clients by itself. */
  sendMessage({ data }: { data: unknown }): void {
    this.publish({ channel: Event.SendMessage, data });
  }

  /** Sends to every client. Scope: cluster. @throws {NotSerializableError} */
  sendMessageToAll({ data }: { data: unknown }): void {
    this.#deliver({ kind: 'all' }, data);
  }

  /** Raises the event `Custom` for the subscribers of every node. */
  sendCustomMessage({ data }: { data: unknown }): void {
    this.publish({ channel: Event.Custom, data });
  }

  /** Raises an event of any channel for the subscribers of every node. */
  publish({ channel, data }: { channel: string; data: unknown }): void {
    this.#bus.emit(channel, data).catch((error: unknown) => this.#failed(error, `publishing ${channel}`));
  }

  /** Sends to every client of this process. Scope: this node. @throws {NotSerializableError} */
  broadcastToAllClients({ data, excludeClientId }: { data: SentData; excludeClientId?: string }): void {
    this.#deliverHere({ kind: 'all' }, data, excludeClientId);
  }

  /** Sends to the members of a room. Scope: cluster. @throws {NotSerializableError} */
  broadcastToRoom({
    roomName,
    data,
    excludeClientId,
  }: {
    roomName: string;
    data: SentData;
    excludeClientId?: string;
  }): void {
    this.#deliver({ kind: 'rooms', roomNames: [roomName] }, data, excludeClientId);
  }

  /** Sends to every connection of the users. Scope: cluster. @throws {NotSerializableError} */
  broadcastToUsers({ userIds, data }: { userIds: (string | number)[]; data: SentData }): void {
    this.#deliver({ kind: 'users', userIds }, data);
  }

  /** Sends to one client. Scope: cluster. @throws {NotSerializableError} */
  broadcastToClient({ clientId, data }: { clientId: string; data: SentData }): void {
    this.#deliver({ kind: 'clients', clientIds: [clientId] }, data);
  }

  /** Sends one client an error frame with the code `INTERNAL`. Scope: cluster. */
  sendMessageError({ webSocketClientId, error }: { webSocketClientId: string; error: string }): void {
    this.#deliver({ kind: 'clients', clientIds: [webSocketClientId] }, plainError(error));
  }

  /** @param params.userType only those of this `userType` */
  getClients({ userType }: { userType?: string } = {}): ConnectedClient[] {
    return this.clientManager.getClients({ userType });
  }

  /**
   * Sends an encoded frame: to this node's sockets at once, then to the other nodes by way of the bus. Resolves when
   * both have it; it says nothing about arrival.
   */
  async deliver(delivery: Delivery): Promise<void> {
    this.#delivery.deliver(delivery);
    await this.#bus.publish(delivery);
  }

  /** For `PxlWsAdapter`: Nest's own gateways on our path become routes, and another listener shares the upgrades. */
  shareWith(listener: unknown, ownsPath: (path: string) => boolean): void {
    this.#usesStockGateways = true;
    this.#upgradeOwners.set(listener, ownsPath);
  }

  async #startBus(): Promise<void> {
    await this.#bus.start({
      deliver: (delivery) => this.#delivery.deliver(delivery),
      event: (channel, message) => this.#event(channel, message),
    });
    const channels = new Set([...Object.values(Event), ...this.#subscribers.channels]);
    await Promise.all([...channels].map((channel) => this.#bus.subscribe(channel)));
  }

  #attach(httpServer: HttpServer, wss: WS): () => void {
    const gate = new UpgradeGate(wss, {
      options: this.options,
      connections: () => this.#connections.open.size,
      accepted: (ws, request, user) => this.#connections.accept(ws, request, user),
      failed: (error, place) => this.#failed(error, place),
    });
    const listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const path = pathOf(request);
      if (path === this.options.path) gate.handle(request, socket, head);
      else if (this.#isUnowned(path, httpServer, listener)) answerUnowned(socket);
    };
    httpServer.on('upgrade', listener);
    return () => {
      httpServer.off('upgrade', listener);
      gate.stop();
    };
  }

  #isUnowned(path: string, httpServer: HttpServer, own: unknown): boolean {
    return httpServer.listeners('upgrade').every((listener) => {
      if (listener === own) return true;
      const owns = this.#upgradeOwners.get(listener);
      return owns !== undefined && !owns(path);
    });
  }

  async #shutDown({ wss, detach }: { wss: WS; detach: () => void }): Promise<void> {
    detach();
    this.#heartbeat.stop();
    await this.#connections.drain();
    this.#clientList?.stop();
    this.#timeouts.stop();
    wss.close();
    await this.#bus.stop();
    this.clientManager.cleanup();
    this.roomManager.cleanup();
  }

  #received({ ws, clientId }: Connection, { type, action, data }: RouteCall): void {
    const { onMessage } = this.options.events;
    if (onMessage)
      this.#safely(
        () => onMessage({ ws, clientId, data: { type, action, data }, ...this.resources }),
        'events.onMessage',
      );
  }

  /** An event of the bus: some are orders to this module, all of them go to the subscribers. */
  #event(channel: string, message: unknown): void {
    const fields = (typeof message === 'object' && message !== null ? message : {}) as Record<string, unknown>;
    const clientId = fields['clientId'] ?? fields['webSocketClientId'];
    switch (channel as Event) {
      case Event.SendMessageToAll:
        this.#deliverHere({ kind: 'all' }, message);
        break;
      case Event.MessageError:
        if (typeof clientId === 'string')
          this.#deliverHere({ kind: 'clients', clientIds: [clientId] }, plainError(String(fields['error'])));
        break;
      case Event.DisconnectClient:
        if (typeof clientId === 'string') {
          const { code, reason } = fields as { code?: number; reason?: string };
          this.clientManager.disconnectClient({ clientId, code, reason });
        }
        break;
    }
    const event: SubscriberEvent = { channel, message, webSocketServer: this, ...this.resources };
    this.#safely(() => this.#subscribers.dispatch(event), `subscribers of ${channel}`);
  }

  #deliver(audience: Audience, data: unknown, excludeClientId?: string): void {
    const frame = Buffer.from(encode(publicMessage(data)));
    this.deliver({ audience, frame, except: excludeClientId === undefined ? undefined : [excludeClientId] }).catch(
      (error: unknown) => this.#failed(error, 'a delivery to other nodes'),
    );
  }

  /** @returns the bytes of one copy */
  #deliverHere(audience: Audience, data: unknown, excludeClientId?: string): number {
    const frame = Buffer.from(encode(publicMessage(data)));
    this.#delivery.deliver({ audience, frame, except: excludeClientId === undefined ? undefined : [excludeClientId] });
    return frame.byteLength;
  }

  /** Calls what belongs to the application: its failure is reported and goes no further. */
  #safely(call: () => unknown, place: string): void {
    void (async () => call())().catch((error: unknown) => this.#failed(error, place));
  }

  /** Reports what no caller can be told of: to `events.onError`, or else to the log. */
  #failed(thrown: unknown, place: string): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const { onError } = this.options.events;
    if (!onError) {
      this.#logger.error(`In ${place}: ${error.message}`, error.stack);
      return;
    }
    try {
      onError({ error });
    } catch (second) {
      this.#logger.error(`events.onError itself failed: ${String(second)}`, error.stack);
    }
  }
}

function encode(data: unknown): string {
  try {
    return encodeFrame(data);
  } catch (error) {
    throw new NotSerializableError(error);
  }
}

const plainError = (error: string): unknown => errorFrame({ error, code: ErrorCode.Internal, isMeantForPeer: true });

/** A message goes out with its own fields alone; what a bus or a worker added for itself stays inside. */
function publicMessage(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  const { type, action, data: inner } = data as Record<string, unknown>;
  if (!isRouteName(type) || !isRouteName(action)) return data;
  return { type, action, ...(inner === undefined ? {} : { data: inner }) };
}
