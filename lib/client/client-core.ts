import { InvalidRouteError, InvalidStateError } from '../errors.js';
import { CloseCode, LEAVES } from '../protocol/close-codes.js';
import type { RoomPosition } from '../protocol/message.js';
import { isRouteName, NAME_RULE } from '../protocol/names.js';
import { ClientConnection } from './client-connection.js';
import type { ClientEventListener, ClientEventName } from './client-events.js';
import { valueOf } from './client-options.js';
import type { RequestOptions } from './client-options.js';
import { ClientRooms } from './client-rooms.js';
import type { ClientRoom, ClientRoomOptions, JoinedRoom, JoinRoomOptions } from './client-room.js';
import type { DataOf } from './event-map.js';
import type { ServerMessage } from './greeting.js';
import { clientIdOf, handle } from './inbox.js';
import type { AnyHandler, RouteHandler } from './inbox.js';
import type { Link, LinkEnd } from './link.js';
import { Listeners } from './listeners.js';
import { replyStream } from './reply-stream.js';
import { encode } from './encode.js';
import { newKey } from './new-key.js';
import { assertDuration } from './resolve-client-options.js';
import { SendQueue } from './send-queue.js';
import type { SocketLike } from './socket-like.js';

/**
 * A client of a PxlWebSocketModule server: messages, requests, streams and rooms, on a connection that reconnects when it is
 * lost. It needs a W3C-style socket; `browser.ts` and `websocket-client.ts` create one.
 */
export abstract class WebSocketClientCore<
  S extends SocketLike = SocketLike,
  Events extends object = object,
> extends ClientConnection<S> {
  /** By `type/action`. Names have no slash, so two routes never share a key. */
  readonly #handlers = new Listeners<AnyHandler<S>>();
  readonly #rooms = new ClientRooms(this.events, this.options.requestTimeoutMs, (action, data, options) =>
    this.request('system', action, data, options),
  );
  readonly #queue = new SendQueue(this.options.queue);

  /** Always `'client'`. A server has `'server'`. */
  get type(): 'client' {
    return 'client';
  }

  /** The rooms this client is in, or will be in again after a reconnect. A snapshot. */
  get rooms(): ReadonlySet<string> {
    return this.#rooms.names;
  }

  /**
   * Ends the connection in any state. Pending requests and streams fail with ConnectionError, rooms are forgotten, and the
   * client doesn't reconnect. A later `connectToServer()` starts again. Never throws.
   * @param code 1000, 1001, 1003, 1007–1014 or 3000–4999 (browsers: 1000 or 3000–4999). Any other is sent as 1000.
   * `{ leave: true }`: the user isn't coming back. In rooms with presence others see it leave at once, without the grace.
   * @param reason cut at 123 bytes.
   */
  override disconnect(code: number | { leave: true } = CloseCode.Normal, reason = ''): void {
    if (typeof code === 'object') return this.disconnect(CloseCode.Normal, LEAVES);
    this.#rooms.clear();
    this.#queue.closed();
    super.disconnect(code, reason);
  }

  /**
   * Sends one message, usually `{ type, action, data }`, as JSON. It is sent now and once, or not at all: nothing is queued.
   * @param binary send the JSON's UTF-8 bytes in a binary frame.
   * @throws {ConnectionError} when not connected. @throws {NotSerializableError} when it has no JSON form.
   */
  sendClientMessage(data: unknown, binary?: boolean): void {
    this.openLink().send(encode(data), binary);
  }

  /** The same as `sendClientMessage(data)`. */
  sendMessage(data: unknown): void {
    this.sendClientMessage(data);
  }

  /**
   * Sends a request and resolves with its response (`null` when the handler returned nothing). Of a handler that streams, it
   * takes the first value and cancels the rest.
   * @throws {RemoteError} with the server's code, message and details. @throws {TimeoutError}
   * @throws {ConnectionError} at once when the connection ends. @throws {NotSerializableError}
   * @throws {QueueFullError} {ExpiredError} with `retry`, which outlives the connection
   */
  async request<T = unknown>(type: string, action: string, data?: unknown, options: RequestOptions = {}): Promise<T> {
    const { retry, key = retry ? newKey() : undefined, signal } = options;
    const { timeoutMs = this.options.requestTimeoutMs * (key ? 2 : 1) } = options;
    assertRoute(type, action);
    assertDuration('timeoutMs', timeoutMs);
    const message = { type, action, data, key };
    if (retry && this.state !== 'closed') return this.#queue.ask<T>(message, timeoutMs, signal, this.currentLink);
    return this.openLink().request<T>(message, { timeoutMs, signal });
  }

  /**
   * Sends a request and yields each value of its response. The request is sent when reading begins. Leaving the loop cancels
   * it.
   * @throws {RemoteError} {ConnectionError} {StreamOverflowError} from the loop, after the values that came before.
   */
  stream<T = unknown>(
    type: string,
    action: string,
    data?: unknown,
    { signal }: Pick<RequestOptions, 'signal'> = {},
  ): AsyncIterableIterator<T> {
    assertRoute(type, action);
    return replyStream<T>(
      (answered) => this.openLink().ask({ type, action, data }, { signal }, answered),
      this.options,
      signal,
    );
  }

  /**
   * Joins a room, and joins it again after every reconnect. Resolves with the server's description of it.
   * In a room with history, a reconnect brings what was missed: see the events `recovered` and `reset`.
   * @throws {RoomNameInvalidError} {RemoteError} {TimeoutError} {ConnectionError} The room is then not remembered.
   */
  async joinRoom(roomName: string, details: JoinRoomOptions = {}): Promise<JoinedRoom> {
    const room = this.#rooms.get(roomName);
    this.openLink();
    return this.#rooms.join(room, details, false);
  }

  /**
   * A handle of a room: the same one until it is left. Nothing is sent before `join()`.
   * @param options replace those given before
   * @throws {RoomNameInvalidError}
   */
  room(roomName: string, options?: ClientRoomOptions): ClientRoom {
    return this.#rooms.get(roomName, options);
  }

  /** The last place that this client saw in a room with history. Undefined for any other room. */
  positionOf(roomName: string): RoomPosition | undefined {
    return this.#rooms.find(roomName)?.position;
  }

  /**
   * Leaves a room. It is forgotten at once, and without a connection, too. Resolves when the server has heard it, which is asked again
   * and again, or at the end of the connection.
   */
  async leaveRoom(roomName: string): Promise<void> {
    return this.#rooms.get(roomName).leave();
  }

  /**
   * Gets a new token from the option `token` and sends it to the server, so that the connection outlives the old token.
   * Without it, the server closes the connection with 4200 when the token expires, and the client reconnects with a new one.
   * @returns when the new token expires, in ms since the epoch; null for never
   * @throws {InvalidStateError} without a `token` @throws {RemoteError} {TimeoutError} {ConnectionError}
   */
  async refresh(): Promise<{ expiresAt: number | null }> {
    const token = await valueOf(this.options.token);
    if (!token) throw new InvalidStateError('No token.');
    const { data } = await this.request<{ data: { expiresAt: number | null } }>('system', 'refresh', { token });
    return { expiresAt: data.expiresAt };
  }

  /**
   * Listens to an event of the client itself: `'state'`, `'connected'`, `'disconnected'`, `'message'`, `'reconnecting'`,
   * `'roomLost'`, `'recovered'`, `'reset'` or `'error'`. The callbacks of the option `events` are called, too.
   * @returns a function that removes the listener. @throws {InvalidOptionsError} for an unknown event
   */
  on<N extends ClientEventName>(event: N, listener: ClientEventListener<S, N>): () => void;
  /**
   * Calls `handler` for every message and request of this route, also for `system/connected` after each connect. Several
   * handlers are called in the order they were added. The first value that is not `undefined` answers a request. The type of
   * the data comes from the client's event map, or else from the handler's parameter; it isn't checked at run time.
   * @returns a function that removes the handler. @throws {InvalidRouteError}
   */
  on<D = unknown, Type extends string = string, Action extends string = string>(
    type: Type,
    action: Action,
    handler: RouteHandler<S, this, DataOf<Events, Type, Action, D>>,
  ): () => void;
  on(type: string, action: unknown, handler?: unknown): () => void {
    if (handler === undefined) return this.events.add(type as ClientEventName, action as () => unknown);
    assertRoute(type, action);
    return this.#handlers.add(`${type}/${action as string}`, handler as AnyHandler<S>);
  }

  protected override restore(link: Link<S>): Promise<void> {
    if (link.greeting?.features.includes('session'))
      link.trySend({ type: 'system', action: 'session', data: { session: this.session } });
    return this.#rooms.restore(link);
  }

  protected override opened(link: Link<S>): void {
    super.opened(link);
    this.#rooms.opened();
    this.#queue.opened(link);
    this.events.emit('connected', {
      ws: link.socket,
      clientId: clientIdOf(link),
      joinRoom: ({ roomName, ...details }) => {
        this.joinRoom(roomName, details).catch(this.events.report);
      },
    });
    if (link.isOpen) this.#handle({ type: 'system', action: 'connected', data: link.greeting, id: undefined }, link);
  }

  protected override lost(link: Link<S>, willReconnect: boolean): void {
    const { code, reason, error } = link.end as LinkEnd;
    this.#rooms.lost(error);
    if (!this.options.rejoinRooms) this.#rooms.clear();
    this.events.flush();
    // A listener of the state, or of a room's, may have disconnected.
    const goesOn = willReconnect && this.state !== 'closed';
    this.events.emit('disconnected', { clientId: clientIdOf(link), code, reason, willReconnect: goesOn });
  }

  protected override closed(): void {
    super.closed();
    this.#queue.closed();
  }

  protected override receive(message: ServerMessage, link: Link<S>): void {
    if (!this.#rooms.note(message)) return;
    const { type, action, data } = message;
    this.events.emit('message', { ws: link.socket, clientId: clientIdOf(link), data: { type, action, data } });
    this.#handle(message, link);
    this.#rooms.hear(message);
  }

  #handle(message: ServerMessage, link: Link<S>): void {
    handle(message, link, this, this.#handlers.of(`${message.type}/${message.action}`), this.events.report);
  }
}

/** @throws {InvalidRouteError} */
function assertRoute(type: unknown, action: unknown): void {
  if (isRouteName(type) && isRouteName(action)) return;
  throw new InvalidRouteError(`"type" and "action" ${NAME_RULE}`);
}
