import { ConnectionError, InvalidStateError } from '../errors.js';
import { CloseCode, isSendableCloseCode } from '../protocol/close-codes.js';
import type { WebSocketUser } from '../protocol/message.js';
import { abortable } from './abortable.js';
import { Backoff } from './backoff.js';
import { EventSink } from './client-events.js';
import type { ClientState } from './client-events.js';
import { assertDuration, resolveClientOptions, valueOf } from './client-options.js';
import type { ConnectTarget, RequestOptions, ResolvedClientOptions, WebSocketClientOptions } from './client-options.js';
import { ClientRooms } from './client-rooms.js';
import type { JoinedRoom } from './client-rooms.js';
import type { ServerMessage } from './greeting.js';
import { Inbox } from './inbox.js';
import type { RouteHandler } from './inbox.js';
import { keepAlive } from './keep-alive.js';
import { Link } from './link.js';
import type { LinkEnd } from './link.js';
import { ReplyStream } from './reply-stream.js';
import type { JoinRoomDetails } from './room-memory.js';
import { assertRoute, RouteHandlers } from './route-handlers.js';
import type { SocketLike } from './socket-like.js';
import { toSocketUrl } from './socket-url.js';
import { Supervisor } from './supervisor.js';

/**
 * A connection to a PxlWebSocketModule server that comes back by itself, with requests, streams and rooms. Runs wherever
 * there is a W3C-style socket: `browser.ts` and `websocket-client.ts` only say how one is made.
 *
 * Long because it is the whole public surface in one place; each method hands on to the file that does the work.
 */
export abstract class WebSocketClientCore<S extends SocketLike = SocketLike> {
  protected readonly options: ResolvedClientOptions<S>;
  readonly #events: EventSink<S>;
  readonly #handlers = new RouteHandlers<RouteHandler<S, this>>();
  readonly #inbox: Inbox<S, this>;
  readonly #rooms = new ClientRooms((action, data) => this.request('system', action, data));
  readonly #supervisor: Supervisor<S>;
  #loading: Promise<void> | undefined;
  #stopKeepAlive: () => void = () => undefined;

  /** @throws {InvalidOptionsError} naming every bad option and what to write instead. */
  constructor(options: WebSocketClientOptions<S>) {
    this.options = resolveClientOptions(options, this.baseUrl, this.optionsOfKind);
    this.#events = new EventSink(this.options.events);
    this.#inbox = new Inbox(this, this.#handlers, this.#events);
    const { requestTimeoutMs } = this.options;
    const { minDelayMs, maxDelayMs } = this.options.reconnect || { minDelayMs: 0, maxDelayMs: 0 };
    this.#supervisor = new Supervisor(
      this.options,
      new Backoff({ minDelayMs, maxDelayMs, random: Math.random, now: () => performance.now() }),
      {
        dial: (signal) => this.#dial(signal),
        restore: (link) =>
          this.#rooms.rejoin(link, { requestTimeoutMs, report: (error) => this.#events.report(error) }),
        opened: (link) => this.#opened(link),
        lost: (link, end, willReconnect) => this.#lost(link, end, willReconnect),
      },
      this.#events,
    );
  }

  /** Always `'client'`: tells it from a server where both are handled alike. */
  get type(): 'client' {
    return 'client';
  }

  get state(): ClientState {
    return this.#supervisor.state;
  }

  /** The id the server gave this connection; a new one after each reconnect. `undefined` unless the state is `open`. */
  get clientId(): string | undefined {
    return this.#supervisor.openLink?.greeting?.clientId;
  }

  /** Whom the server takes this connection for; `undefined` when anonymous or not open. */
  get user(): Pick<WebSocketUser, 'userId'> | undefined {
    return this.#supervisor.openLink?.greeting?.user;
  }

  /** The rooms this client is in, or will be in again after a reconnect. A snapshot. */
  get rooms(): ReadonlySet<string> {
    return this.#rooms.names;
  }

  /** Prepares the handlers, once; `connectToServer()` calls it. A failure is not kept: the next call tries again. */
  load(): Promise<void> {
    this.#loading ??= this.loadHandlers().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /**
   * Resolves when the server has greeted this client and, on a reconnect, its rooms were joined again. Settles within
   * `connectTimeoutMs`; calls during an attempt share its outcome, calls while open resolve at once, and calls while the
   * client waits to reconnect make it try now.
   * @throws {ConnectionError} when there is no connection. The client is then `closed`, unless it was reconnecting or
   *   `reconnect.initial` is set.
   */
  connectToServer(): Promise<void> {
    return this.#supervisor.connect();
  }

  /**
   * Ends everything in every state: requests and streams fail with ConnectionError, rooms are forgotten, nothing
   * reconnects. A later `connectToServer()` starts afresh. Never throws.
   * @param code 1000, 1001, 1003, 1007–1014 or 3000–4999 (browsers: 1000 or 3000–4999); any other is sent as 1000.
   * @param reason cut at 123 bytes.
   */
  disconnect(code: number = CloseCode.Normal, reason = ''): void {
    this.#rooms.clear();
    this.#supervisor.disconnect(isSendableCloseCode(code) ? code : CloseCode.Normal, reason);
  }

  /** True while messages can be sent. */
  isClientConnected(): boolean {
    return this.#supervisor.openLink?.isOpen ?? false;
  }

  /**
   * Sends one message, usually `{ type, action, data }`, as JSON. Nothing is queued: at most once, and only now.
   * @param binary send the JSON's UTF-8 bytes in a binary frame.
   * @throws {ConnectionError} when not connected. @throws {NotSerializableError} when it has no JSON form.
   */
  sendClientMessage(data: unknown, binary = false): void {
    this.#openLink().send(data, binary);
  }

  /** The same as `sendClientMessage(data)`. */
  sendMessage(data: unknown): void {
    this.sendClientMessage(data);
  }

  /**
   * Asks the server and resolves with its response (`null` when the handler returned nothing). Of a handler that streams
   * it takes the first value and cancels the rest.
   * @throws {RemoteError} with the server's code, message and details. @throws {TimeoutError}
   * @throws {ConnectionError} at once when the connection ends. @throws {NotSerializableError}
   */
  async request<T = unknown>(type: string, action: string, data?: unknown, options: RequestOptions = {}): Promise<T> {
    const { timeoutMs = this.options.requestTimeoutMs, signal } = options;
    assertRoute(type, action);
    assertDuration('timeoutMs', timeoutMs);
    return this.#openLink().requests.request<T>({ type, action, data }, { timeoutMs, signal });
  }

  /**
   * Asks the server and yields each value it sends. The request goes out when reading begins; leaving the loop cancels it.
   * @throws {RemoteError} {ConnectionError} {StreamOverflowError} from the loop, after the values that came before.
   */
  stream<T = unknown>(
    type: string,
    action: string,
    data?: unknown,
    { signal }: Pick<RequestOptions, 'signal'> = {},
  ): AsyncIterableIterator<T> {
    assertRoute(type, action);
    return new ReplyStream<T>({
      start: (sink) => this.#openLink().requests.open({ type, action, data }, sink),
      maxBuffered: this.options.maxStreamBuffer,
      signal,
    });
  }

  /**
   * Joins a room, and joins it again after every reconnect. Resolves with what the server tells about it.
   * @throws {RoomNameInvalidError} {RemoteError} {TimeoutError} {ConnectionError} and remembers nothing then.
   */
  joinRoom(roomName: string, details: JoinRoomDetails = {}): Promise<JoinedRoom> {
    return this.#rooms.join(roomName, details);
  }

  /** Leaves a room; it is forgotten at once, whatever the server answers. Without a connection there is nobody to ask. */
  leaveRoom(roomName: string): Promise<void> {
    return this.#rooms.leave(roomName, this.isClientConnected());
  }

  /**
   * Gets a new token from `token` and gives it to the server, so that the connection stays open past the expiry of the one
   * before. Without it, an expired connection is closed with 4200 and comes back with a new token.
   * @returns when the new one expires, in ms since the epoch; null for never
   * @throws {InvalidStateError} without a `token` @throws {RemoteError} {TimeoutError} {ConnectionError}
   */
  async refresh(): Promise<{ expiresAt: number | null }> {
    const token = await valueOf(this.options.token);
    if (!token) throw new InvalidStateError('There is no token to refresh with. Give the client the option "token".');
    const { data } = await this.request<{ data: { expiresAt: number | null } }>('system', 'refresh', { token });
    return { expiresAt: data.expiresAt };
  }

  /**
   * Calls `handler` for every message and request of this route, `system/connected` after each connect among them; several handlers are called in the order they were
   * added. A request is answered with the first value that is not `undefined`.
   * @returns a function that removes the handler. @throws {InvalidRouteError}
   */
  on(type: string, action: string, handler: RouteHandler<S, this>): () => void {
    return this.#handlers.add(type, action, handler);
  }

  /** Makes the socket of one attempt. May throw; mustn't wait. */
  protected abstract createSocket(target: ConnectTarget): S;

  /** Overridden where handlers have to be found before the first connect. */
  protected async loadHandlers(): Promise<void> {}

  /** What a path in `url` is relative to. */
  protected get baseUrl(): string | undefined {
    return undefined;
  }

  /** Names of the options that only this kind of client has. */
  protected get optionsOfKind(): readonly string[] {
    return [];
  }

  /** Asks the sources of url, protocols and token, before every attempt. */
  protected async findTarget(): Promise<ConnectTarget> {
    const { url, protocols, token } = this.options;
    const found = await Promise.all([valueOf(url), valueOf(protocols), valueOf(token)]);
    return {
      url: toSocketUrl(found[0], this.baseUrl),
      protocols: [found[1]].flat(),
      ...(found[2] && { token: found[2] }),
    };
  }

  /** A better explanation for a socket that never opened, where the platform has one. */
  protected refusalOf(_socket: S): ConnectionError | undefined {
    return undefined;
  }

  async #dial(signal: AbortSignal): Promise<Link<S>> {
    await abortable(this.load(), signal);
    const target = await abortable(this.findTarget(), signal);
    const link = new Link(this.createSocket(target), {
      onMessage: (message, from) => this.#receive(message, from),
      onError: (error) => this.#events.report(error),
      onEnd: (end, ended) => this.#supervisor.linkEnded(ended, end),
    });
    try {
      await abortable(link.greeted, signal);
      return link;
    } catch (error) {
      link.close(CloseCode.Normal, '');
      throw this.refusalOf(link.socket) ?? error;
    }
  }

  #opened(link: Link<S>): void {
    this.#stopKeepAlive = keepAlive(link, this.options);
    this.#events.emit('onConnected', {
      ws: link.socket,
      clientId: link.greeting?.clientId ?? '',
      joinRoom: ({ roomName, ...details }) => {
        this.joinRoom(roomName, details).catch((error: unknown) => this.#events.report(error));
      },
    });
    if (link.greeting && link.isOpen) {
      const { greeting } = link;
      this.#inbox.handle({ type: 'system', action: 'connected', data: greeting, id: undefined }, link);
    }
    link.release();
  }

  #lost(link: Link<S>, { code, reason }: LinkEnd, willReconnect: boolean): void {
    this.#stopKeepAlive();
    if (!this.options.rejoinRooms) this.#rooms.clear();
    this.#events.emit('onDisconnected', { clientId: link.greeting?.clientId, code, reason, willReconnect });
  }

  #receive(message: ServerMessage, link: Link<S>): void {
    this.#rooms.noteLeft(message);
    this.#inbox.receive(message, link);
  }

  #openLink(): Link<S> {
    const link = this.#supervisor.openLink;
    if (!link) throw new ConnectionError(`The client is ${this.state}, not open. Await connectToServer() first.`);
    return link;
  }
}
