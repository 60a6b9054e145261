import { ConnectionError, InvalidStateError } from '../errors.js';
import { CloseCode, isSendableCloseCode } from '../protocol/close-codes.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isA } from '../protocol/thrown.js';
import type { Attempt } from './attempt.js';
import { Backoff } from './backoff.js';
import { EventSink } from './client-events.js';
import type { ClientEventListener, ClientEventName, ClientState } from './client-events.js';
import { valueOf } from './client-options.js';
import type { ConnectTarget, RequestOptions, WebSocketClientOptions } from './client-options.js';
import { assertDuration, resolveClientOptions } from './resolve-client-options.js';
import type { ClientKind, ResolvedClientOptions } from './resolve-client-options.js';
import { ClientRooms } from './client-rooms.js';
import type { JoinedRoom } from './client-rooms.js';
import type { ServerMessage } from './greeting.js';
import { Inbox } from './inbox.js';
import type { AnyHandler, RouteHandler } from './inbox.js';
import type { DataOf } from './event-map.js';
import { KeepAlive } from './keep-alive.js';
import { Link } from './link.js';
import type { LinkEnd, LinkHandlers } from './link.js';
import { ReplyStream } from './reply-stream.js';
import type { JoinRoomDetails } from './room-memory.js';
import { assertRoute, RouteHandlers } from './route-handlers.js';
import type { SocketLike } from './socket-like.js';
import { toSocketUrl } from './socket-url.js';
import { refusalIn, Supervisor } from './supervisor.js';

/**
 * A connection to a PxlWebSocketModule server that comes back by itself, with requests, streams and rooms. Runs wherever
 * there is a W3C-style socket: `browser.ts` and `websocket-client.ts` only say how one is made.
 *
 * Long because it is the whole public surface in one place; each method hands on to the file that does the work.
 */
export abstract class WebSocketClientCore<S extends SocketLike = SocketLike, Events extends object = object> {
  protected readonly options: ResolvedClientOptions<S>;
  readonly #events: EventSink<S>;
  readonly #handlers = new RouteHandlers<AnyHandler<S>>();
  readonly #inbox: Inbox<S>;
  readonly #rooms = new ClientRooms((action, data) => this.request('system', action, data));
  readonly #supervisor: Supervisor<S>;
  #loading: Promise<void> | undefined;
  #keepAlive: KeepAlive | undefined;
  #unwatchPage: (() => void) | undefined;

  /** @throws {InvalidOptionsError} naming every bad option and what to write instead. */
  constructor(options: WebSocketClientOptions<S>) {
    this.options = resolveClientOptions(options, this.assumedBaseUrl, this.kind);
    this.#events = new EventSink(this.options.events, this.options.maxErrorReports);
    this.#inbox = new Inbox(this, this.#handlers, this.#events);
    const { requestTimeoutMs } = this.options;
    const { minDelayMs, maxDelayMs } = this.options.reconnect || { minDelayMs: 0, maxDelayMs: 0 };
    this.#supervisor = new Supervisor(
      this.options,
      new Backoff({ minDelayMs, maxDelayMs, random: Math.random, now: () => performance.now() }),
      {
        dial: (attempt) => this.#dial(attempt),
        restore: (link) =>
          this.#rooms.rejoin(link, {
            requestTimeoutMs,
            report: (error) => this.#events.report(error),
            lost: (roomName, error) => {
              if (!this.#events.emit('onRoomLost', { roomName, error })) this.#events.report(error);
            },
          }),
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
    this.#unwatchPage ??= this.watchPage(() => void this.#wake());
    return this.#supervisor.connect();
  }

  /**
   * Gives the connection up and makes a new one at once, for a socket that may be dead without being closed. The rooms are
   * joined again, and listeners stay; requests and streams under way fail with ConnectionError, because nobody knows what became
   * of them. Without a connection it does what `connectToServer()` does. In a page the client calls it by itself: see the README.
   * @throws {ConnectionError} as `connectToServer()`
   */
  reconnect(): Promise<void> {
    return this.#reconnect(CloseCode.Normal, new ConnectionError('reconnect() was called.'));
  }

  /**
   * Ends everything in every state: requests and streams fail with ConnectionError, rooms are forgotten, nothing
   * reconnects. A later `connectToServer()` starts afresh. Never throws.
   * @param code 1000, 1001, 1003, 1007–1014 or 3000–4999 (browsers: 1000 or 3000–4999); any other is sent as 1000.
   * @param reason cut at 123 bytes.
   */
  disconnect(code: number = CloseCode.Normal, reason = ''): void {
    this.#rooms.clear();
    this.#unwatch();
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
      maxBufferedBytes: this.options.maxHeldBytes,
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
   * Listens to an event of the client itself: `'state'`, `'connected'`, `'disconnected'`, `'message'`, `'reconnecting'`,
   * `'roomLost'` or `'error'`, as the callbacks of the option `events` do, and beside them.
   * @returns a function that removes the listener. @throws {InvalidOptionsError} for no such event
   */
  on<N extends ClientEventName>(event: N, listener: ClientEventListener<S, N>): () => void;
  /**
   * Calls `handler` for every message and request of this route, `system/connected` after each connect among them; several
   * handlers are called in the order they were added. A request is answered with the first value that is not `undefined`.
   * The data's type is the one of the client's event map, else the one that the handler declares: nothing checks what comes.
   * @returns a function that removes the handler. @throws {InvalidRouteError}
   */
  on<D = unknown, Type extends string = string, Action extends string = string>(
    type: Type,
    action: Action,
    handler: RouteHandler<S, this, DataOf<Events, Type, Action, D>>,
  ): () => void;
  on(type: string, action: unknown, handler?: unknown): () => void {
    if (handler === undefined) return this.#events.add(type as ClientEventName, action as () => unknown);
    return this.#handlers.add(type, action as string, handler as AnyHandler<S>);
  }

  /** Makes the socket of one attempt. May throw; mustn't wait. */
  protected abstract createSocket(target: ConnectTarget): S;

  /** Overridden where handlers have to be found before the first connect. */
  protected async loadHandlers(): Promise<void> {}

  /** What a path in `url` is relative to. */
  protected get baseUrl(): string | undefined {
    return undefined;
  }

  /** The same while options are checked: where there may be a page only later, anything that a path can be relative to. */
  protected get assumedBaseUrl(): string | undefined {
    return this.baseUrl;
  }

  /** Calls `onWake` when a connection may have been lost unseen. @returns a function that ends it */
  protected watchPage(_onWake: () => void): () => void {
    return () => undefined;
  }

  /** True where another attempt may show another token than the one before. */
  protected get hasFreshTokens(): boolean {
    const { url, protocols, token } = this.options;
    return [url, protocols, token].some((source) => typeof source === 'function');
  }

  /** What is particular to the options of this kind of client. */
  protected get kind(): ClientKind {
    return { options: {} };
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

  /** A token that was fetched a while ago may have expired: with a source of tokens a 401 means nothing until the second one. */
  async #dial(attempt: Attempt): Promise<Link<S>> {
    try {
      return await this.#dialOnce(attempt);
    } catch (error) {
      const { status, advice } = isA(error, ConnectionError) ? refusalIn(error) : {};
      if (status !== 401 || advice !== 'stop' || !this.hasFreshTokens || attempt.reason) throw error;
      return this.#dialOnce(attempt);
    }
  }

  async #dialOnce(attempt: Attempt): Promise<Link<S>> {
    await attempt.race(this.load());
    const target = await attempt.race(this.findTarget());
    const handlers: LinkHandlers<S> = {
      onMessage: (message, from) => this.#receive(message, from),
      onError: (error) => this.#events.report(error),
      onEnd: (end, ended) => this.#supervisor.linkEnded(ended, end),
    };
    const link = new Link(this.createSocket(target), handlers, this.options);
    try {
      await attempt.race(link.greeted);
      return link;
    } catch (error) {
      link.close(CloseCode.Normal, '');
      throw this.refusalOf(link.socket) ?? error;
    }
  }

  #opened(link: Link<S>): void {
    this.#keepAlive = new KeepAlive(link, this.options);
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
    this.#keepAlive?.stop();
    this.#keepAlive = undefined;
    if (!this.options.rejoinRooms) this.#rooms.clear();
    if (!willReconnect) this.#unwatch();
    this.#events.flush();
    this.#events.emit('onDisconnected', { clientId: link.greeting?.clientId, code, reason, willReconnect });
  }

  /** A socket may have died while nobody looked: of a page that was hidden, a laptop that slept, a network that went. */
  async #wake(): Promise<void> {
    this.#supervisor.wake();
    if (!(await this.#keepAlive?.probe())) return;
    const error = new ConnectionError('The server has been silent for longer than its heartbeat.');
    // Nobody listens to this one, and a failed attempt is reported.
    this.#reconnect(CloseCode.NoPong, error).catch(() => undefined);
  }

  #reconnect(code: number, error: ConnectionError): Promise<void> {
    this.#unwatchPage ??= this.watchPage(() => void this.#wake());
    return this.#supervisor.reconnect(code, error);
  }

  #unwatch(): void {
    this.#unwatchPage?.();
    this.#unwatchPage = undefined;
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
