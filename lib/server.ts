import type { IncomingMessage, Server as HttpServer } from 'node:http';
import { Logger } from '@nestjs/common';
import { type WebSocket, WebSocketServer as WS } from 'ws';
import { AUTH, type AuthOptions } from './auth/auth-options.js';
import { Authentication, readToken } from './auth/authentication.js';
import type { WebSocketAuthenticator } from './auth/identity.js';
import { chooseProtocol, redactData } from './auth/tokens.js';
import type { BusCounters, BusState } from './cluster/bus-receiver.js';
import { Cluster, type ClusterReceiver } from './cluster/cluster.js';
import type { Order } from './cluster/orders.js';
import { PRESENCE } from './cluster/presence-events.js';
import type { ConnectedClient } from './decorators/connected-client.js';
import { ClientNotFoundError, InvalidOptionsError, InvalidStateError, PeerError, RemoteError } from './errors.js';
import { CloseCode } from './protocol/close-codes.js';
import { ErrorCode } from './protocol/error-codes.js';
import type { FindInstance } from './module/find-instance.js';
import { ConnectPipeline } from './admission/connect-pipeline.js';
import { describeError } from './routing/describe-error.js';
import type { ClientRecord } from './cluster/replica.js';
import { nodeIdOf } from './cluster/channels.js';
import { addressReader, hostReader } from './limits/client-address.js';
import { ConnectionLimits } from './admission/connection-limits.js';
import { MessageLimits } from './limits/message-limits.js';
import type { Audience, BackpressureOptions } from './protocol/delivery.js';
import type { WebSocketMessage, WebSocketUser } from './protocol/message.js';
import { WebSocketRedisSubscriberEvent as Event } from './protocol/events.js';
import { isA } from './protocol/thrown.js';
import { PathPattern } from './protocol/path-pattern.js';
import { encode } from './json-value.js';
import { type ResolvedOptions, resolveOptions } from './options/resolve-options.js';
import {
  type DatabaseInstance,
  NO_RESOURCES,
  type QueueManager,
  type RedisInstance,
  type Resources,
} from './module/resources.js';
import { WebSocketRoomManager } from './clients/room-manager.js';
import type { RouteCall } from './routing/route-call.js';
import type { Explored, GatewayHooks } from './routing/route.explorer.js';
import { authorizeJoinOf } from './routing/room-authorizer.js';
import { Router } from './routing/router.js';
import type { JoinRequest } from './routing/join-rooms.js';
import { addSystemRoutes } from './routing/system.routes.js';
import type { ServerOptions, WebSocketType } from './options/websocket-options.js';
import { obeyEvent } from './clients/bus-events.js';
import { type Farewell, farewellOf, sayDeprecated } from './deprecated.js';
import { guarded } from './guarded.js';
import { ClientList } from './clients/client-list.js';
import { ListedClients } from './clients/listed-clients.js';
import { WebSocketClientManager } from './clients/client-manager.js';
import type { Connection } from './connection/connection.js';
import { cutAfterGrace } from './connection/closing.js';
import { Connections } from './connection/connections.js';
import { LocalDelivery } from './outbound/local-delivery.js';
import { ErrorReport } from './observe/error-report.js';
import { FirstMessages } from './admission/first-messages.js';
import { Followed } from './clients/followed.js';
import { type BackpressureCounters, Flusher } from './outbound/flusher.js';
import { Heartbeat } from './connection/heartbeat.js';
import { IdleSockets } from './admission/idle-sockets.js';
import { Membership } from './clients/membership.js';
import { Outgoing, plainError, type SendOptions } from './outbound/outgoing.js';
import { ClientSync } from './clients/client-sync.js';
import { Refusals } from './admission/refusals.js';
import type { RegisteredClient } from './clients/registered-client.js';
import { guardReceivers } from './connection/receiver-guard.js';
import type { Sender } from './outbound/sender.js';
import { ServerSender } from './outbound/server-sender.js';
import { ServerSocket } from './connection/server-socket.js';
import { Subscribers } from './cluster/subscribers.js';
import { TimeoutQueue } from './connection/timeout-queue.js';
import { AWAITED, UpgradeGate } from './admission/upgrade-gate.js';
import { UpgradeListener } from './admission/upgrade-listener.js';

/** What a subscriber of bus events is called with. */
export interface SubscriberEvent {
  /** e.g. `WebSocket:Custom`, see `WebSocketRedisSubscriberEvent`, or any channel of your own. */
  channel: string;
  // Whatever the publisher sent: JSON of its own shape.
  // oxlint-disable-next-line typescript/no-explicit-any
  message: any;
  webSocketServer: WebSocketServer;
  redisInstance: RedisInstance;
  queueManager: QueueManager;
  databaseInstance: DatabaseInstance;
}

/** The options of a server, of a client and of an emitter. */
export interface WebSocketOptions extends ServerOptions {
  /** Called for every bus event, after the `@WsSubscribe()` methods of priority 0 and above. */
  subscriberEventHandler?: (params: SubscriberEvent) => unknown;
}

/** What the module gives a server inside a Nest application; all optional for a server made by hand. */
export interface ServerDependencies {
  explore?: (stockPath: string | undefined) => Explored;
  resources?: () => Resources;
  httpServer?: () => HttpServer | undefined;
  /** Finds or makes what `auth.useClass` and `auth.useExisting` name. */
  authenticator?: (options: Pick<AuthOptions, 'useClass' | 'useExisting'>) => Promise<WebSocketAuthenticator>;
  /** Finds or makes the classes that `connect` and `rooms.authorizeJoin` name. */
  instance?: FindInstance;
}

/**
 * Of ws 8.23, not in its types yet. It cuts off a client that leaves so many pongs unread. Its default, 60, would cut before
 * our own limits, which close with a code that says why.
 */
const MORE_OF_WS = { maxPendingAutoPongs: 1_000 };

type SentData = Record<string, unknown>;

interface BroadcastOptions extends SendOptions {
  /** @deprecated Write `except: [clientId]`. */
  excludeClientId?: string;
}

/** A client, by its socket on this node or by its id anywhere. */
interface ClientReference {
  ws?: WebSocket;
  clientId?: string;
}

/** A client of any node, as `fetchClients()` finds it in Redis. */
export interface RemoteClient {
  clientId: string;
  lastActivity: number;
  user: WebSocketUser | null;
  rooms: string[];
  /** What `updateClient()` and `joinRoom()` stored. */
  metadata: Record<string, unknown>;
}

/**
 * `starting`: until `start()` has finished. `ready`: other nodes are reached. `down`: they aren't, this node's own clients are
 * served. `draining`: from the call of `stop()`, before the first client is told to go. `stopped`: they are gone.
 */
export type ServerState = BusState | 'draining';

/** How this node stands in the cluster. */
export interface ServerStatus {
  state: ServerState;
  nodeId: string;
  /** Every node that is known, this one included. */
  nodeIds: string[];
  /** Connections of this node. */
  connections: number;
  /** What was lost or passed over on the bus since the start. */
  counters: Readonly<BusCounters>;
  /** Handshakes that this node refused since the start, by the code of the refusal. */
  refused: Readonly<Record<string, number>>;
  /** What slow clients of this node didn't get since the start, and how many bytes wait for them now. */
  backpressure: Readonly<BackpressureCounters> & { waitingBytes: number };
}

/**
 * Accepts connections, routes their messages and sends to them. Inside a Nest application it loads and starts with the
 * application, on the application's own HTTP server; by hand it is `new WebSocketServer(options)`, `load()`, `start()`.
 *
 * Long because it is the whole public surface and its wiring; each method hands on to the file that does the work.
 */
export class WebSocketServer {
  readonly clientManager: WebSocketClientManager;
  readonly roomManager: WebSocketRoomManager;
  readonly options: ResolvedOptions;
  /** What `WebSocketService` sends with: the methods of this server, with promises that settle with Redis's answer. */
  readonly sender: Sender;
  /** What the application bound to `PXL_REDIS`, `PXL_QUEUE_MANAGER` and `PXL_DATABASE`. Known after `load()`. */
  resources: Resources = NO_RESOURCES;
  readonly #logger = new Logger(WebSocketServer.name);
  readonly #dependencies: ServerDependencies;
  readonly #cluster: Cluster;
  readonly #receiver: ClusterReceiver;
  readonly #sync: ClientSync;
  readonly #router = new Router();
  readonly #subscribers: Subscribers;
  readonly #membership: Membership;
  readonly #connections: Connections;
  readonly #firstMessages: FirstMessages;
  #authentication: Authentication | undefined;
  #guards: ConnectPipeline | undefined;
  readonly #path: PathPattern;
  readonly #report: ErrorReport;
  readonly #outgoing: Outgoing;
  readonly #flusher: Flusher;
  readonly #clientList: ClientList | undefined;
  readonly #local: LocalDelivery;
  readonly #heartbeat: Heartbeat;
  readonly #connectionLimits: ConnectionLimits;
  readonly #addressOf: (request: IncomingMessage) => string | undefined;
  readonly #timeouts: TimeoutQueue<RouteCall>;
  readonly #refusals: Refusals;
  readonly #listener: UpgradeListener;
  readonly #hooks: GatewayHooks[] = [];
  #isLoaded = false;
  #usesStockGateways = false;
  #running: WS | undefined;
  #idleSockets: IdleSockets | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  /** @throws {InvalidOptionsError} */
  constructor(options: WebSocketOptions = {}, dependencies: ServerDependencies = {}) {
    this.options = resolveOptions(options);
    const { messages, rooms, clientList, path, events, backpressure, delivery } = this.options;
    this.#dependencies = dependencies;
    this.#report = new ErrorReport(events);
    this.#path = new PathPattern(path);
    this.#addressOf = addressReader(this.options.trustProxy);
    this.#refusals = new Refusals({
      addressOf: this.#addressOf,
      cookieName: this.options.auth?.cookieName,
      refused: (handshake) => this.#report.contain('events.onRefused', () => events.onRefused?.(handshake)),
    });
    this.#listener = new UpgradeListener(this.#path, this.#refusals);
    this.#connectionLimits = new ConnectionLimits(this.options.limits, (userId) => this.#connectionsOf(userId));
    const failed = (error: unknown, place: string): void => this.#report.failed(error, place);
    const listChanged = (event?: string, isWanted?: boolean): void => this.#clientList?.changed(event, isWanted);
    this.#subscribers = new Subscribers(failed);
    this.#sync = new ClientSync(() => shared);
    this.roomManager = new WebSocketRoomManager({
      ...rooms,
      isConnected: (clientId) => this.clientManager.getClient({ clientId }) !== undefined,
      listener: this.#sync,
    });
    this.clientManager = new WebSocketClientManager({
      roomsOf: (clientId) => this.roomManager.getClientRooms({ clientId }),
      publicFields: clientList.publicFields,
      isPublicRoom: (roomName) => !rooms.protectedPrefixes.some((prefix) => roomName.startsWith(prefix)),
      send: (clientId, message, options) => this.send({ kind: 'clients', clientIds: [clientId] }, message, options),
      listener: this.#sync,
    });
    const followed = new Followed({
      follow: (interest) => this.#cluster.follow(interest),
      unfollow: (interest) => this.#cluster.unfollow(interest),
      failed,
    });
    this.#local = new LocalDelivery({
      limits: backpressure,
      dropped: () => this.#flusher.counters.dropped++,
      wanted: (interest) => followed.keep(interest),
      unwanted: (interest) => followed.release(interest),
    });
    this.#cluster = new Cluster(this.options, (error, place = 'the cluster') => failed(error, place));
    this.#receiver = {
      put: (record) => this.#sync.put(record),
      remove: (clientId) => this.#sync.remove(clientId),
      ownRecords: () => this.#sync.ownRecords(),
      deliver: (delivery) => this.#local.deliver(delivery),
      event: (channel, message) => this.#event(channel, message),
      obey: (order) => this.#obey(order),
      // What a client of this node answered is no error of this node's own.
      describe: (error) => (isA(error, RemoteError) ? answerOf(error) : describeError(error)),
    };
    this.#outgoing = new Outgoing(this.#local, this.#cluster, backpressure.policy);
    this.sender = new ServerSender(this.#outgoing, this.#cluster, this.clientManager);
    const closeSlow = ({ ws }: { ws: WebSocket }): void => {
      const client = this.#connections.get(ws)?.client;
      if (client) this.#connections.disconnect(client, CloseCode.SlowConsumer, 'too slow');
    };
    const writeFailed = (error: unknown): void => failed(error, 'writing to a socket');
    this.#flusher = new Flusher(backpressure, delivery.flush, closeSlow, writeFailed);
    this.#timeouts = new TimeoutQueue(
      messages.handlerTimeoutMs,
      guarded('a timeout', failed, (call: RouteCall) => this.#connections.get(call.ws)?.expire(call)),
    );
    const disconnect = (...closing: Parameters<Connections['disconnect']>): void =>
      this.#connections.disconnect(...closing);
    this.#heartbeat = new Heartbeat(this.options, disconnect, failed);
    const shared = {
      options: this.options,
      messages,
      clients: this.clientManager,
      rooms: this.roomManager,
      router: this.#router,
      timeouts: this.#timeouts,
      hooks: this.#hooks,
      flusher: this.#flusher,
      heartbeat: this.#heartbeat,
      limits: this.#messageLimits(),
      failed,
      listChanged,
      received: (call: RouteCall) => this.#received(call),
      local: this.#local,
      cluster: this.#cluster,
      newClientId: () => this.#cluster.newClientId(),
      connected: (client: RegisteredClient) => this.#connected(client),
      disconnected: (client: RegisteredClient) => this.#sync.disconnected(client),
      closeHere: (client: RegisteredClient, code: number, reason: string) =>
        this.#connections.disconnect(client, code, reason),
      isElsewhere: (clientId: string) => this.#isElsewhere(clientId),
      followed,
      joinRoom: (params: JoinRequest & { ws: WebSocket }) => this.joinRoom(params),
      isAuthenticated: (client: ConnectedClient) => this.#connections.isAuthenticated(client),
      sendTo: (clientId: string, message: unknown) =>
        this.#outgoing.toThisNode({ kind: 'clients', clientIds: [clientId] }, message, { volatile: false }),
    };
    this.#membership = new Membership(shared);
    this.#connections = new Connections(shared);
    this.#firstMessages = new FirstMessages({
      timeoutMs: this.options.auth?.timeoutMs ?? AUTH.timeoutMs.default,
      maxDepth: messages.maxDepth,
      maxPayload: messages.maxPayload,
      limits: this.options.limits,
      authentication: () => this.#authentication,
      admit: (ws, socket, request, identity) => {
        const isFull = this.#connectionLimits.isUserFull(identity.user.userId);
        if (isFull) ws.close(CloseCode.OverCapacity, 'too many connections of this user');
        if (isFull) cutAfterGrace(ws);
        else this.#connections.accept(ws, socket, request, identity).hasSpoken = true;
        return !isFull;
      },
      failed,
    });
    if (clientList.enabled) {
      const clients = new ListedClients(this.clientManager, this.#local);
      const receivers = () => this.#local.admitted();
      this.#clientList = new ClientList(clientList, { clients, receivers, failed });
    }
  }

  get type(): WebSocketType {
    return 'server';
  }

  /** Room names to the ids of their members. */
  get rooms(): Map<string, Set<string>> {
    return this.roomManager.rooms;
  }

  /**
   * The sockets of this node, for code that was written for the server of `ws`: `server.clients.forEach((ws) => ws.send(text))`.
   * A copy, made at each call. What is sent so is no message of the protocol unless it is written as one.
   */
  get clients(): Set<WebSocket> {
    return new Set([...this.#connections.open].map(({ ws }) => ws));
  }

  /** True from `start()` until `stop()` is called: what a readiness probe asks. */
  get isRunning(): boolean {
    return this.#running !== undefined && this.#stopping === undefined;
  }

  get status(): ServerStatus {
    const { state, nodeId, nodeIds, counters } = this.#cluster;
    const backpressure = { ...this.#flusher.counters, waitingBytes: this.#flusher.waitingBytes };
    return {
      state: this.#stopping ? 'draining' : state,
      nodeId,
      nodeIds,
      connections: this.#connections.open.size,
      refused: this.#refusals.counters,
      counters,
      backpressure,
    };
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
      handler: (call) => call.take(handler(call.ws, call.clientId, call.data)),
    });
  }

  /**
   * Finds the routes, subscribers and hooks of the application. Must be called before `start()`; a second call does
   * nothing.
   * @throws {InvalidRouteError} @throws {DuplicateRouteError} @throws {InvalidOptionsError} for keys that can't be read
   */
  async load(): Promise<void> {
    if (this.#isLoaded) return;
    this.#isLoaded = true;
    this.resources = this.#dependencies.resources?.() ?? NO_RESOURCES;
    const { rooms, messages, subscriberEventHandler, printRoutes, path, auth, connect } = this.options;
    const { instance } = this.#dependencies;
    if (auth) this.#authentication = await this.#authenticationOf(auth);
    if (connect.guards.length > 0) this.#guards = await ConnectPipeline.of(connect, instance);
    addSystemRoutes(this.#router, {
      ...rooms,
      authorizeJoin: await authorizeJoinOf(rooms.authorizeJoin, instance),
      join: (client, request, asked) => this.#membership.joinByItself(client, request, asked),
      leave: (client, roomName) => this.#sync.leaveByItself(client, roomName),
      joinTimeoutMs: messages.handlerTimeoutMs,
      failed: (error, place) => this.#report.failed(error, place),
      ...(this.#authentication?.canRefresh && { refresh: (client, data) => this.#refresh(client, data) }),
    });
    const found = this.#dependencies.explore?.(this.#usesStockGateways ? path : undefined);
    for (const route of found?.routes ?? []) this.#router.add(route);
    for (const subscriber of found?.subscribers ?? []) this.#subscribers.add(subscriber);
    if (subscriberEventHandler) {
      const handler = subscriberEventHandler as (event: unknown) => unknown;
      this.#subscribers.add({ matcher: '*', handler, place: 'subscriberEventHandler' });
    }
    this.#hooks.push(...(found?.hooks ?? []));
    for (const hook of this.#hooks) await hook.afterInit?.(this);
    for (const line of this.#router.mapped(path)) this.#logger.log(line);
    if (printRoutes) this.#logger.log(`Routes of ${path}:\n${this.#router.print().join('\n')}`);
  }

  /**
   * Accepts connections on an HTTP server: the one given, or the Nest application's own.
   * @returns the `ws` library's server
   * @throws {InvalidStateError} before `load()`, without an HTTP server, or when another server takes its path there
   */
  async start(on: { fastifyServer?: { server: HttpServer }; httpServer?: HttpServer } = {}): Promise<{ server: WS }> {
    if (!this.#isLoaded)
      throw new InvalidStateError('start() was called before load(). Call "await server.load()" first.');
    if (this.#stopping) await this.#stopping;
    if (this.#running) {
      await this.#starting;
      return { server: this.#running };
    }
    if ((this.options.auth && !this.#authentication) || (this.options.connect.guards.length > 0 && !this.#guards))
      throw new InvalidStateError(
        'start() was called before load() had finished, or after it failed. Mend what load() threw.',
      );
    const httpServer = on.httpServer ?? on.fastifyServer?.server ?? this.#dependencies.httpServer?.();
    if (!httpServer) {
      throw new InvalidStateError(
        'There is no HTTP server to listen on. Call start({ fastifyServer }) or start({ httpServer }).',
      );
    }
    this.#listener.check(httpServer);
    const wss = new WS({
      noServer: true,
      WebSocket: ServerSocket,
      maxPayload: this.options.messages.maxPayload,
      perMessageDeflate: this.#compression(),
      handleProtocols: chooseProtocol,
      maxFragments: this.options.messages.maxFragments,
      maxBufferedChunks: this.options.messages.maxBufferedChunks,
      ...MORE_OF_WS,
    });
    wss.on('error', (error) => this.#report.failed(error, 'the WebSocket server'));
    this.#running = wss;
    this.#starting = this.#listen(httpServer, wss);
    await this.#starting;
    return { server: wss };
  }

  /**
   * Takes no new connection, closes the open ones with 1012 spread over `drain.spreadMs`, waits for the hooks of those
   * that left, and cuts what is still open after `drain.terminateAfterMs`. Then it can be started again.
   * @param options.endsApplication also ends HTTP sockets on which no request is being handled, for which the HTTP server
   *   would wait. @default false
   */
  async stop({ endsApplication = false }: { endsApplication?: boolean } = {}): Promise<void> {
    if (!this.#running) return;
    this.#stopping ??= this.#shutDown(this.#running).finally(() => {
      this.#running = undefined;
      this.#stopping = undefined;
    });
    await this.#stopping;
    if (endsApplication) this.#idleSockets?.destroy();
    else this.#idleSockets?.release();
  }

  /**
   * Puts a client into a room, named by its socket or by its id; the client may be on another node.
   * @param params.userId who it is, looked up with `users.load`; ignored for a client that authenticated
   * @returns true, once messages for the room reach the client
   * @throws {ClientNotFoundError} @throws {RoomNameInvalidError} @throws {RoomLimitError}
   */
  async joinRoom({ ws, clientId, ...request }: JoinRequest & ClientReference): Promise<boolean> {
    const client = this.#find({ ws, clientId });
    const id = client?.clientId ?? clientId;
    if (client?.ws) await this.#membership.join(client, request);
    else if (id !== undefined && this.#isElsewhere(id))
      await this.#cluster.order({ op: 'join', clientId: id, request });
    else throw new ClientNotFoundError(id ?? 'of this socket');
    return true;
  }

  /** Takes a client out of a room and tells it (`system/leftRoom`). A no-op when it isn't in. */
  leaveRoom({ ws, clientId, roomName }: ClientReference & { roomName: string }): void {
    const client = this.#find({ ws, clientId });
    if (client) this.roomManager.removeClientFromRoom({ clientId: client.clientId, roomName });
    else if (clientId !== undefined && this.#isElsewhere(clientId)) {
      this.#cluster
        .order({ op: 'leave', clientId, roomName })
        .catch((error: unknown) => this.#report.failed(error, 'leaveRoom on another node'));
    }
  }

  /**
   * Scope: this node. Sends anything that has a JSON form to one socket.
   * @param binary as a binary frame with the same bytes. @default false
   * @throws {NotSerializableError}
   */
  sendClientMessage(ws: WebSocket, data: unknown, binary = false): void {
    const text = encode(data);
    const outbox = binary ? undefined : (ws as ServerSocket).outbox;
    if (outbox) outbox.pushText(text);
    else if (ws.readyState === ws.OPEN) ws.send(text, { binary });
  }

  /** Scope: cluster. Raises the event `SendMessage` for the subscribers. Sends nothing to clients by itself. */
  sendMessage({ data }: { data: unknown }): void {
    this.publish({ channel: Event.SendMessage, data });
  }

  /** Scope: cluster. Sends to every client. @throws {NotSerializableError} */
  sendMessageToAll({ data, ...options }: { data: unknown } & SendOptions): void {
    this.#outgoing.toCluster({ kind: 'all' }, data, options);
  }

  /** Scope: cluster. Raises the event `Custom` for the subscribers. */
  sendCustomMessage({ data }: { data: unknown }): void {
    this.publish({ channel: Event.Custom, data });
  }

  /** Scope: cluster. Raises an event of any channel for the subscribers. @throws {NotSerializableError} */
  publish({ channel, data }: { channel: string; data: unknown }): void {
    void this.sender.emit(channel, data);
  }

  /**
   * Scope: this node, or every node with `scope: 'cluster'`. Sends to every client there.
   * @param params.scope @default 'node'
   * @throws {NotSerializableError}
   */
  broadcastToAllClients({
    data,
    scope = 'node',
    ...options
  }: { data: SentData; scope?: 'node' | 'cluster' } & BroadcastOptions): void {
    if (scope === 'cluster') this.#outgoing.toCluster({ kind: 'all' }, data, sendOptions(options));
    else this.#outgoing.toThisNode({ kind: 'all' }, data, sendOptions(options));
  }

  /** Scope: cluster. Sends to the members of a room. @throws {NotSerializableError} */
  broadcastToRoom({ roomName, data, ...options }: { roomName: string; data: SentData } & BroadcastOptions): void {
    this.#outgoing.toCluster({ kind: 'rooms', roomNames: [roomName] }, data, sendOptions(options));
  }

  /** Scope: cluster. Sends to every connection of the users. @throws {NotSerializableError} */
  broadcastToUsers({
    userIds,
    data,
    ...options
  }: { userIds: (string | number)[]; data: SentData } & SendOptions): void {
    this.#outgoing.toCluster({ kind: 'users', userIds }, data, options);
  }

  /** Scope: cluster. Sends to one client. @throws {NotSerializableError} */
  broadcastToClient({ clientId, data, ...options }: { clientId: string; data: SentData } & BackpressureOptions): void {
    this.#outgoing.toCluster({ kind: 'clients', clientIds: [clientId] }, data, options);
  }

  /** Scope: cluster. Sends one client an error frame with the code `INTERNAL`. */
  sendMessageError({ webSocketClientId, error }: { webSocketClientId: string; error: string }): void {
    this.#outgoing.toCluster({ kind: 'clients', clientIds: [webSocketClientId] }, plainError(error), {
      volatile: false,
    });
  }

  /**
   * Scope: cluster. Closes every connection of a user within a second; a valid token lets the user come back, so see to that
   * first. While Redis is away only those of this node are closed.
   */
  disconnectUser(userId: string | number, farewell?: Farewell): void;
  /** @deprecated Write `disconnectUser(userId, { code, reason })`. */
  disconnectUser(userId: string | number, code?: number, reason?: string): void;
  disconnectUser(userId: string | number, given?: Farewell | number, text?: string): void {
    const { code = CloseCode.Kicked, reason = '' } = farewellOf(given, text);
    void this.sender.disconnectUser(userId, code, reason);
  }

  /** @param params.userType only those of this `userType` */
  getClients({ userType }: { userType?: string } = {}): ConnectedClient[] {
    return this.clientManager.getClients({ userType });
  }

  /**
   * Asks Redis for the clients of all nodes, whatever the `registry` option. Never hangs: nodes that couldn't be asked are
   * named in `missing`.
   */
  async fetchClients(): Promise<{ clients: RemoteClient[]; missing: string[] }> {
    const { records, missing } = await this.#cluster.fetch();
    return { clients: records.map(toRemoteClient), missing };
  }

  /** The members of a room on all nodes, as `fetchClients()` finds them. */
  async fetchRoom({ roomName }: { roomName: string }): Promise<{ clients: RemoteClient[]; missing: string[] }> {
    const { clients, missing } = await this.fetchClients();
    return { clients: clients.filter(({ rooms }) => rooms.includes(roomName)), missing };
  }

  /** The nodes that answer, this one first, and those that don't. */
  async fetchNodes(): Promise<{ nodeIds: string[]; missing: string[] }> {
    const { nodeIds, missing } = await this.#cluster.fetch();
    return { nodeIds, missing };
  }

  /**
   * Scope: cluster. Sends a message: to this node's sockets at once, then to the other nodes by way of the bus. It says nothing
   * about arrival.
   * @throws {InvalidMessageError} @throws {NotSerializableError}
   */
  send(audience: Audience, message: WebSocketMessage, options?: SendOptions): void {
    void this.#outgoing.send(audience, message, options);
  }

  /** For `PxlWsAdapter`: Nest's own gateways on our path become routes, and another listener shares the upgrades. */
  shareWith(listener: unknown, ownsPath: (path: string) => boolean): void {
    this.#usesStockGateways = true;
    this.#listener.know(listener, ownsPath);
  }

  /** Those of other nodes as far as they are known; of this one only those whose handshake said whose they are. */
  #connectionsOf(userId: string | number): number {
    const clients = this.clientManager.getUserClients({ userId });
    return clients.filter((client) => client.ws === null || this.#connections.isAuthenticated(client)).length;
  }

  #messageLimits(): MessageLimits<Connection> {
    const { limits, messages } = this.options;
    return new MessageLimits<Connection>(limits, {
      maxPayload: messages.maxPayload,
      userKeyOf: ({ client }) =>
        client.user && this.#connections.isAuthenticated(client) ? String(client.user.userId) : undefined,
      close: ({ client }, code, reason) => this.#connections.disconnect(client, code, reason),
    });
  }

  #compression(): ResolvedOptions['messages']['perMessageDeflate'] {
    const { perMessageDeflate } = this.options.messages;
    if (perMessageDeflate === false || guardReceivers()) return perMessageDeflate;
    this.#logger.warn(
      'Messages are not compressed: this version of ws is not known to survive a peer that breaks them.',
    );
    return false;
  }

  async #listen(httpServer: HttpServer, wss: WS): Promise<void> {
    const gate = new UpgradeGate(wss, {
      options: this.options,
      limits: this.#connectionLimits,
      refusals: this.#refusals,
      addressOf: this.#addressOf,
      hostOf: hostReader(this.options.trustProxy),
      connections: () => this.#connections.open.size + this.#firstMessages.size,
      accepted: (ws, socket, request, admitted) => {
        if (admitted === AWAITED) this.#firstMessages.add(ws, socket, request);
        else this.#connections.accept(ws, socket, request, admitted);
      },
      authentication: () => this.#authentication,
      guards: () => this.#guards,
      path: this.#path,
      failed: (error, place) => this.#report.failed(error, place),
    });
    try {
      await this.#cluster.start(this.#receiver, this.#wantedEvents());
    } catch (error) {
      this.#running = undefined;
      throw error;
    }
    this.#idleSockets = new IdleSockets(httpServer);
    this.#listener.attach(httpServer, gate, this.#idleSockets);
    this.#heartbeat.start();
    this.#report.contain('events.onServerStarted', () =>
      this.options.events.onServerStarted?.({ webSocketServer: wss }),
    );
  }

  #authenticationOf(auth: NonNullable<ResolvedOptions['auth']>): Promise<Authentication> {
    return Authentication.of(auth, {
      find: (options) => {
        if (this.#dependencies.authenticator) return this.#dependencies.authenticator(options);
        throw new InvalidOptionsError([
          '"auth.useClass" and "auth.useExisting" need a Nest application: give "auth.authenticate", or "auth.jwt"',
        ]);
      },
      failed: (error, place) => this.#report.failed(error, place),
    });
  }

  /** A connected user brings a new token. */
  async #refresh(client: ConnectedClient, data: unknown): Promise<{ expiresAt: number | null }> {
    const token = readToken(data);
    const { user } = client;
    if (!this.#authentication || !user || !this.#connections.isAuthenticated(client))
      throw new PeerError(ErrorCode.Forbidden, 'This connection is anonymous. Connect anew with the token.');
    const identity = await this.#authentication.refresh(token, user);
    this.#connections.refreshed(client as RegisteredClient, identity);
    return { expiresAt: identity.expiresAt ?? null };
  }

  /** Without others, or a copy of them, presence is only heard where a subscriber asks for it. */
  #wantedEvents(): string[] {
    const events = Object.values(Event);
    const { redis, registry } = this.options;
    const needsPresence = (redis && registry === 'replicated') || this.#subscribers.wantsAll;
    const own = needsPresence ? events : events.filter((event) => !PRESENCE.has(event));
    return [...new Set([...own, ...this.#subscribers.channels])];
  }

  /** A client of another node: one that is known, or whose id says so where no copy of the others is kept. */
  #isElsewhere(clientId: string): boolean {
    if (this.clientManager.getClient({ clientId })) return true;
    return (
      this.options.registry === 'local' && this.options.redis !== undefined && !this.#cluster.isOwn(nodeIdOf(clientId))
    );
  }

  #find({ ws, clientId = ws && this.clientManager.getClientId({ ws }) }: ClientReference): ConnectedClient | undefined {
    return clientId === undefined ? undefined : this.clientManager.getClient({ clientId });
  }

  async #connected(client: RegisteredClient): Promise<void> {
    this.#sync.connected(client);
    if (client.user) await this.#cluster.follow({ kind: 'user', name: String(client.user.userId) });
  }

  /** Another node wants something done for a client of this one. */
  async #obey(order: Order): Promise<unknown> {
    const client = this.clientManager.getClient({ clientId: order.clientId, requireWs: true });
    if (!client) throw new PeerError(ErrorCode.NotFound, 'The client is not connected any more.');
    const { clientId } = client;
    switch (order.op) {
      case 'disconnect':
        return this.clientManager.disconnectClient(clientId, { code: order.code, reason: order.reason });
      case 'join':
        await this.#membership.join(client, order.request);
        return true;
      case 'leave':
        return this.roomManager.removeClientFromRoom({ clientId, roomName: order.roomName });
      case 'update':
        return this.clientManager.updateClient({ clientId, key: order.key, data: order.data });
      case 'request':
        return client.request(order.type, order.action, order.data, { timeoutMs: order.timeoutMs });
      default:
        return order satisfies never;
    }
  }

  async #shutDown(wss: WS): Promise<void> {
    if (this.#cluster.state === 'starting') await this.#cluster.stop(); // it may be waiting for a Redis that never comes
    await Promise.allSettled([this.#starting]); // what comes into being meanwhile would never be taken down
    this.#listener.close();
    this.#firstMessages.stop();
    this.#heartbeat.stop();
    await this.#cluster.leave();
    await this.#connections.drain();
    this.#listener.detach();
    this.#clientList?.stop();
    this.#timeouts.stop();
    this.#flusher.stop();
    this.#report.flush();
    wss.close();
    await this.#cluster.stop();
    this.clientManager.cleanup();
    this.roomManager.cleanup();
  }

  #received({ ws, clientId, type, action, data }: RouteCall): void {
    const { onMessage } = this.options.events;
    if (!onMessage) return;
    const params = { ws, clientId, data: { type, action, data: redactData(type, action, data) }, ...this.resources };
    this.#report.contain('events.onMessage', () => onMessage(params));
  }

  #event(channel: string, message: unknown): void {
    const event: SubscriberEvent = { channel, message, webSocketServer: this, ...this.resources };
    obeyEvent(channel, message, this.#outgoing, this.clientManager);
    this.#report.contain(`subscribers of ${channel}`, () => this.#subscribers.dispatch(event));
  }
}

const answerOf = ({ code, message, details }: RemoteError): { code: string; error: string; details?: unknown } => ({
  code,
  error: message,
  details,
});

function sendOptions({ excludeClientId, ...options }: BroadcastOptions): SendOptions {
  if (excludeClientId === undefined) return options;
  sayDeprecated('"excludeClientId"', 'Write "except: [clientId]".');
  return { ...options, except: [...(options.except ?? []), excludeClientId] };
}

const toRemoteClient = ({ clientId, lastActivity, user, rooms, metadata }: ClientRecord): RemoteClient => ({
  clientId,
  lastActivity,
  user,
  rooms,
  metadata,
});
