import type { Server as HttpServer } from 'node:http';
import type { WebSocket, WebSocketServer as WS } from 'ws';
import type { ServerDependencies } from './application.js';
import type { WebSocketClientManager } from './clients/client-manager.js';
import type { ClientReference, RemoteClient } from './clients/client-reference.js';
import type { WebSocketRoomManager } from './clients/room-manager.js';
import { composeServer, type ServerParts } from './compose-server.js';
import type { ConnectedClient } from './decorators/connected-client.js';
import { type Farewell, farewellOf } from './deprecated.js';
import { type ResolvedOptions, resolveOptions } from './options/resolve-options.js';
import type { ServerOptions, WebSocketType } from './options/websocket-options.js';
import { type BroadcastOptions, type SentData, sendToSocket } from './outbound/broadcasts.js';
import type { Sender } from './outbound/sender.js';
import { CloseCode } from './protocol/close-codes.js';
import type { Audience, BackpressureOptions, SendOptions } from './protocol/delivery.js';
import { WebSocketRedisSubscriberEvent as Event } from './protocol/events.js';
import type { WebSocketMessage } from './protocol/message.js';
import type { Resources } from './resources.js';
import type { JoinRequest } from './routing/join-rooms.js';
import { type ServerStatus, statusOf } from './server-status.js';

/** The argument of a subscriber of bus events. */
export interface SubscriberEvent extends Resources {
  /** The name of the event without the `prefix`: one of `WebSocketRedisSubscriberEvent`, or your own. */
  channel: string;
  /** JSON of any shape, as the publisher sent it. */
  // oxlint-disable-next-line typescript/no-explicit-any
  message: any;
  /** The server that received the event. */
  webSocketServer: WebSocketServer;
}

/** The options of a server, of a client and of an emitter. */
export interface WebSocketOptions extends ServerOptions {
  /** Called for every bus event, after the `@WsSubscribe()` methods of priority 0 and above. */
  subscriberEventHandler?: (params: SubscriberEvent) => unknown;
}

/**
 * Accepts connections, routes their messages and sends to them. Inside a Nest application it loads and starts with the
 * application, on its HTTP server. Without Nest: `new WebSocketServer(options)`, `load()`, `start()`.
 */
export class WebSocketServer {
  /** The connected clients. */
  readonly clientManager: WebSocketClientManager;
  /** The rooms and their members. */
  readonly roomManager: WebSocketRoomManager;
  /** The options, with every default filled in. */
  readonly options: ResolvedOptions;
  /** The sending methods that `WebSocketService` uses. Their promises settle with Redis's answer. */
  readonly sender: Sender;
  readonly #parts: ServerParts;

  /** @throws {InvalidOptionsError} */
  constructor(options: WebSocketOptions = {}, dependencies: ServerDependencies = {}) {
    this.options = resolveOptions(options);
    this.#parts = composeServer(this.options, dependencies);
    this.clientManager = this.#parts.clientManager;
    this.roomManager = this.#parts.roomManager;
    this.sender = this.#parts.sender;
  }

  /** Always `'server'`. A client has `'client'`. */
  get type(): WebSocketType {
    return 'server';
  }

  /** What the application provides under `PXL_REDIS`, `PXL_QUEUE_MANAGER` and `PXL_DATABASE`. Known after `load()`. */
  get resources(): Resources {
    return this.#parts.application.resources;
  }

  /** The members of each room, by client id: the same as `roomManager.rooms`. It can only be read. */
  get rooms(): Map<string, Set<string>> {
    return this.roomManager.rooms;
  }

  /** Scope: this node. A copy of its sockets, for code that was written for `ws`. `ws.send()` must send a frame of the protocol. */
  get clients(): Set<WebSocket> {
    return new Set([...this.#parts.connections.open].map(({ ws }) => ws));
  }

  /** Scope: this node. True from `start()` until `stop()` is called, for readiness probes. */
  get isRunning(): boolean {
    return this.#parts.lifecycle.isRunning;
  }

  /** Scope: this node. Its state and its counters at this moment. */
  get status(): ServerStatus {
    return statusOf(this.#parts.status);
  }

  /**
   * Adds a route by hand, for a server outside a Nest application.
   * @throws {InvalidRouteError} @throws {DuplicateRouteError}
   */
  route(type: string, action: string, handler: (ws: WebSocket, clientId: string, data: unknown) => unknown): void {
    this.#parts.router.addByHand(type, action, handler);
  }

  /**
   * Finds the routes, subscribers and hooks of the application. Call it before `start()`; a second call does nothing.
   * @throws {InvalidRouteError} @throws {DuplicateRouteError} @throws {InvalidOptionsError} for keys that can't be read
   */
  load(): Promise<void> {
    return this.#parts.application.load(this);
  }

  /**
   * Accepts connections on the given HTTP server, or on that of the Nest application.
   * @returns the server of the `ws` library
   * @throws {InvalidStateError} before `load()`, without an HTTP server, or when another server uses its path there
   */
  start(on: { fastifyServer?: { server: HttpServer }; httpServer?: HttpServer } = {}): Promise<{ server: WS }> {
    return this.#parts.lifecycle.start(on.httpServer ?? on.fastifyServer?.server);
  }

  /**
   * Accepts no new connections and closes the open ones with 1012, spread over `drain.spreadMs`. Waits for their hooks. After
   * `drain.terminateAfterMs`, the connections that are still open are cut. The server can be started again.
   * @param options.endsApplication also ends idle connections of the HTTP server. @default false
   */
  stop({ endsApplication = false }: { endsApplication?: boolean } = {}): Promise<void> {
    return this.#parts.lifecycle.stop(endsApplication);
  }

  /**
   * Scope: cluster. Puts a client into a room. Name the client by its socket, or by its id if it may be on another node.
   * @param params.userId the user, looked up with `users.load`; ignored for a client that authenticated
   * @returns true, as soon as messages for the room reach the client
   * @throws {ClientNotFoundError} @throws {RoomNameInvalidError} @throws {RoomLimitError}
   * @throws {CancelledError} the client left the room, or was removed from it, before it was in
   */
  joinRoom(params: JoinRequest & ClientReference): Promise<boolean> {
    return this.#parts.anywhere.joinRoom(params);
  }

  /** Scope: cluster. Takes a client out of a room and notifies it (`system/leftRoom`). Does nothing if it isn't a member. */
  leaveRoom(params: ClientReference & { roomName: string }): void {
    this.#parts.anywhere.leaveRoom(params);
  }

  /**
   * Scope: this node. Sends a value to one socket as JSON.
   * @param binary sends a binary frame with the same bytes. @default false
   * @throws {NotSerializableError}
   */
  sendClientMessage(ws: WebSocket, data: unknown, binary = false): void {
    sendToSocket(ws, data, binary);
  }

  /** Scope: cluster. Raises the event `SendMessage` for subscribers. Clients don't get it. @throws {NotSerializableError} */
  sendMessage({ data }: { data: unknown }): void {
    this.publish({ channel: Event.SendMessage, data });
  }

  /** Scope: cluster. Sends to every client. @throws {NotSerializableError} */
  sendMessageToAll(params: { data: unknown } & SendOptions): void {
    this.#parts.broadcasts.send({ kind: 'all' }, params);
  }

  /** Scope: cluster. Raises the event `Custom` for subscribers. Clients don't get it. @throws {NotSerializableError} */
  sendCustomMessage({ data }: { data: unknown }): void {
    this.publish({ channel: Event.Custom, data });
  }

  /** Scope: cluster. Raises an event on any channel for subscribers, on this node, too. @throws {NotSerializableError} */
  publish({ channel, data }: { channel: string; data: unknown }): void {
    void this.sender.emit(channel, data);
  }

  /**
   * Sends to every client. Scope: this node, or every node with `scope: 'cluster'`.
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
   * Scope: cluster. Closes every connection of a user within a second. A user with a valid token can connect again, so revoke
   * the token first. While Redis can't be reached, only this node's connections are closed.
   */
  disconnectUser(userId: string | number, farewell?: Farewell): void;
  /** @deprecated Write `disconnectUser(userId, { code, reason })`. */
  disconnectUser(userId: string | number, code?: number, reason?: string): void;
  disconnectUser(userId: string | number, given?: Farewell | number, text?: string): void {
    const { code = CloseCode.Kicked, reason = '' } = farewellOf(given, text);
    void this.sender.disconnectUser(userId, code, reason);
  }

  /** Scope: what this node knows. The connected clients. @param params.userType returns only clients with this `userType` */
  getClients({ userType }: { userType?: string } = {}): ConnectedClient[] {
    return this.clientManager.getClients({ userType });
  }

  /**
   * Scope: cluster. Reads the clients of all nodes from Redis, with any `registry` option. Never hangs: `missing` names
   * the nodes that couldn't be read.
   */
  fetchClients(): Promise<{ clients: RemoteClient[]; missing: string[] }> {
    return this.#parts.anywhere.fetchClients();
  }

  /** Scope: cluster. The members of a room, read like `fetchClients()`. */
  fetchRoom({ roomName }: { roomName: string }): Promise<{ clients: RemoteClient[]; missing: string[] }> {
    return this.#parts.anywhere.fetchRoom(roomName);
  }

  /** Scope: cluster. The nodes that answer, this one first. `missing` names those that don't. */
  fetchNodes(): Promise<{ nodeIds: string[]; missing: string[] }> {
    return this.#parts.anywhere.fetchNodes();
  }

  /**
   * Scope: cluster. Sends a message to this node's sockets at once, and to the other nodes over the bus. Returns before
   * it has arrived.
   * @throws {InvalidMessageError} @throws {NotSerializableError}
   */
  send(audience: Audience, message: WebSocketMessage, options?: SendOptions): void {
    void this.sender.send(audience, message, options);
  }

  /** For `PxlWsAdapter`: Nest's own gateways on our path become routes; `listener` gets the upgrades of other paths. */
  shareWith(listener: unknown, ownsPath: (path: string) => boolean): void {
    this.#parts.application.usesStockGateways = true;
    this.#parts.entrance.listener.know(listener, ownsPath);
  }
}
