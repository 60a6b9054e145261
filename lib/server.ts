import type { Server as HttpServer } from 'node:http';
import type { WebSocket, WebSocketServer as WS } from 'ws';
import type { ServerDependencies } from './application.js';
import type { WebSocketClientManager } from './clients/client-manager.js';
import type { ClientReference, RemoteClient } from './clients/client-reference.js';
import type { WebSocketRoomManager } from './clients/room-manager.js';
import { composeServer, type ServerParts } from './compose-server.js';
import type { ConnectedClient } from './decorators/connected-client.js';
import { type Farewell, farewellOf } from './deprecated.js';
import type { Resources } from './module/resources.js';
import { type ResolvedOptions, resolveOptions } from './options/resolve-options.js';
import type { ServerOptions, WebSocketType } from './options/websocket-options.js';
import { type BroadcastOptions, type SentData, sendToSocket } from './outbound/broadcasts.js';
import type { SendOptions } from './protocol/delivery.js';
import type { Sender } from './outbound/sender.js';
import { CloseCode } from './protocol/close-codes.js';
import type { Audience, BackpressureOptions } from './protocol/delivery.js';
import { WebSocketRedisSubscriberEvent as Event } from './protocol/events.js';
import type { WebSocketMessage } from './protocol/message.js';
import type { JoinRequest } from './routing/join-rooms.js';
import { type ServerStatus, statusOf } from './server-status.js';

/** What a subscriber of bus events is called with. */
export interface SubscriberEvent extends Resources {
  /** e.g. `WebSocket:Custom`, see `WebSocketRedisSubscriberEvent`, or any channel of your own. */
  channel: string;
  // Whatever the publisher sent: JSON of its own shape.
  // oxlint-disable-next-line typescript/no-explicit-any
  message: any;
  webSocketServer: WebSocketServer;
}

/** The options of a server, of a client and of an emitter. */
export interface WebSocketOptions extends ServerOptions {
  /** Called for every bus event, after the `@WsSubscribe()` methods of priority 0 and above. */
  subscriberEventHandler?: (params: SubscriberEvent) => unknown;
}

/**
 * Accepts connections, routes their messages and sends to them. Inside a Nest application it loads and starts with the
 * application, on the application's own HTTP server; by hand it is `new WebSocketServer(options)`, `load()`, `start()`.
 */
export class WebSocketServer {
  readonly clientManager: WebSocketClientManager;
  readonly roomManager: WebSocketRoomManager;
  readonly options: ResolvedOptions;
  /** What `WebSocketService` sends with: the methods of this server, with promises that settle with Redis's answer. */
  readonly sender: Sender;
  readonly #parts: ServerParts;

  /** @throws {InvalidOptionsError} */
  constructor(options: WebSocketOptions = {}, dependencies: ServerDependencies = {}) {
    this.options = resolveOptions(options);
    this.#parts = composeServer(this.options, dependencies);
    this.clientManager = this.#parts.clients.manager;
    this.roomManager = this.#parts.clients.roomManager;
    this.sender = this.#parts.sender;
  }

  get type(): WebSocketType {
    return 'server';
  }

  /** What the application bound to `PXL_REDIS`, `PXL_QUEUE_MANAGER` and `PXL_DATABASE`. Known after `load()`. */
  get resources(): Resources {
    return this.#parts.application.resources;
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
    return new Set([...this.#parts.connections.open].map(({ ws }) => ws));
  }

  /** True from `start()` until `stop()` is called: what a readiness probe asks. */
  get isRunning(): boolean {
    return this.#parts.lifecycle.isRunning;
  }

  get status(): ServerStatus {
    return statusOf(this.#parts);
  }

  /**
   * Adds a route by hand, for a server outside a Nest application.
   * @throws {InvalidRouteError} @throws {DuplicateRouteError}
   */
  route(type: string, action: string, handler: (ws: WebSocket, clientId: string, data: unknown) => unknown): void {
    this.#parts.router.addByHand(type, action, handler);
  }

  /**
   * Finds the routes, subscribers and hooks of the application. Must be called before `start()`; a second call does
   * nothing.
   * @throws {InvalidRouteError} @throws {DuplicateRouteError} @throws {InvalidOptionsError} for keys that can't be read
   */
  load(): Promise<void> {
    return this.#parts.application.load(this);
  }

  /**
   * Accepts connections on an HTTP server: the one given, or the Nest application's own.
   * @returns the `ws` library's server
   * @throws {InvalidStateError} before `load()`, without an HTTP server, or when another server takes its path there
   */
  start(on: { fastifyServer?: { server: HttpServer }; httpServer?: HttpServer } = {}): Promise<{ server: WS }> {
    return this.#parts.lifecycle.start(on.httpServer ?? on.fastifyServer?.server);
  }

  /**
   * Takes no new connection, closes the open ones with 1012 spread over `drain.spreadMs`, waits for the hooks of those
   * that left, and cuts what is still open after `drain.terminateAfterMs`. Then it can be started again.
   * @param options.endsApplication also ends HTTP sockets on which no request is being handled, for which the HTTP server
   *   would wait. @default false
   */
  stop({ endsApplication = false }: { endsApplication?: boolean } = {}): Promise<void> {
    return this.#parts.lifecycle.stop(endsApplication);
  }

  /**
   * Puts a client into a room, named by its socket or by its id; the client may be on another node.
   * @param params.userId who it is, looked up with `users.load`; ignored for a client that authenticated
   * @returns true, once messages for the room reach the client
   * @throws {ClientNotFoundError} @throws {RoomNameInvalidError} @throws {RoomLimitError}
   */
  joinRoom(params: JoinRequest & ClientReference): Promise<boolean> {
    return this.#parts.clients.anywhere.joinRoom(params);
  }

  /** Takes a client out of a room and tells it (`system/leftRoom`). A no-op when it isn't in. */
  leaveRoom(params: ClientReference & { roomName: string }): void {
    this.#parts.clients.anywhere.leaveRoom(params);
  }

  /**
   * Scope: this node. Sends anything that has a JSON form to one socket.
   * @param binary as a binary frame with the same bytes. @default false
   * @throws {NotSerializableError}
   */
  sendClientMessage(ws: WebSocket, data: unknown, binary = false): void {
    sendToSocket(ws, data, binary);
  }

  /** Scope: cluster. Raises the event `SendMessage` for the subscribers. Sends nothing to clients by itself. */
  sendMessage({ data }: { data: unknown }): void {
    this.publish({ channel: Event.SendMessage, data });
  }

  /** Scope: cluster. Sends to every client. @throws {NotSerializableError} */
  sendMessageToAll(params: { data: unknown } & SendOptions): void {
    this.#parts.broadcasts.send({ kind: 'all' }, params);
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
  broadcastToAllClients(params: { data: SentData; scope?: 'node' | 'cluster' } & BroadcastOptions): void {
    this.#parts.broadcasts.send({ kind: 'all' }, params, params.scope ?? 'node');
  }

  /** Scope: cluster. Sends to the members of a room. @throws {NotSerializableError} */
  broadcastToRoom(params: { roomName: string; data: SentData } & BroadcastOptions): void {
    this.#parts.broadcasts.send({ kind: 'rooms', roomNames: [params.roomName] }, params);
  }

  /** Scope: cluster. Sends to every connection of the users. @throws {NotSerializableError} */
  broadcastToUsers(params: { userIds: (string | number)[]; data: SentData } & SendOptions): void {
    this.#parts.broadcasts.send({ kind: 'users', userIds: params.userIds }, params);
  }

  /** Scope: cluster. Sends to one client. @throws {NotSerializableError} */
  broadcastToClient(params: { clientId: string; data: SentData } & BackpressureOptions): void {
    this.#parts.broadcasts.send({ kind: 'clients', clientIds: [params.clientId] }, params);
  }

  /** Scope: cluster. Sends one client an error frame with the code `INTERNAL`. */
  sendMessageError({ webSocketClientId, error }: { webSocketClientId: string; error: string }): void {
    this.#parts.broadcasts.sendError(webSocketClientId, error);
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
  fetchClients(): Promise<{ clients: RemoteClient[]; missing: string[] }> {
    return this.#parts.clients.anywhere.fetchClients();
  }

  /** The members of a room on all nodes, as `fetchClients()` finds them. */
  fetchRoom({ roomName }: { roomName: string }): Promise<{ clients: RemoteClient[]; missing: string[] }> {
    return this.#parts.clients.anywhere.fetchRoom(roomName);
  }

  /** The nodes that answer, this one first, and those that don't. */
  fetchNodes(): Promise<{ nodeIds: string[]; missing: string[] }> {
    return this.#parts.clients.anywhere.fetchNodes();
  }

  /**
   * Scope: cluster. Sends a message: to this node's sockets at once, then to the other nodes by way of the bus. It says nothing
   * about arrival.
   * @throws {InvalidMessageError} @throws {NotSerializableError}
   */
  send(audience: Audience, message: WebSocketMessage, options?: SendOptions): void {
    void this.sender.send(audience, message, options);
  }

  /** For `PxlWsAdapter`: Nest's own gateways on our path become routes, and another listener shares the upgrades. */
  shareWith(listener: unknown, ownsPath: (path: string) => boolean): void {
    this.#parts.application.usesStockGateways = true;
    this.#parts.listener.know(listener, ownsPath);
  }
}
