import { ConnectionError } from '../errors.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { WebSocketUser } from '../protocol/message.js';
import type { Attempt } from './attempt.js';
import { valueOf } from './client-options.js';
import type { ConnectTarget } from './client-options.js';
import type { ServerMessage } from './greeting.js';
import { KeepAlive } from './keep-alive.js';
import { Link } from './link.js';
import type { LinkHandlers } from './link.js';
import { pageUrl } from './resolve-client-options.js';
import type { SocketLike } from './socket-like.js';
import { toSocketUrl } from './socket-url.js';
import { Supervisor } from './supervisor.js';

/**
 * A connection that reconnects when it is lost. Subclasses create the socket (`browser.ts`, `websocket-client.ts`) and use the
 * connection (`client-core.ts`).
 */
export abstract class ClientConnection<S extends SocketLike = SocketLike> extends Supervisor<S> {
  #loading: Promise<void> | undefined;
  #keepAlive: KeepAlive | undefined;
  #unwatchPage: (() => void) | undefined;

  /**
   * The id of this connection, given by the server. Each reconnect has a new one. `undefined` unless the state is `open`.
   */
  get clientId(): string | undefined {
    return this.currentLink?.greeting?.clientId;
  }

  /** The user of this connection, as the server says; `undefined` when anonymous or not open. */
  get user(): Pick<WebSocketUser, 'userId'> | undefined {
    return this.currentLink?.greeting?.user;
  }

  /** Prepares the handlers once. `connectToServer()` calls it. After a failure the next call tries again. */
  load(): Promise<void> {
    this.#loading ??= this.loadHandlers().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /**
   * Resolves when the server has greeted this client and, on a reconnect, the rooms were joined again. Settles within
   * `connectTimeoutMs`. Calls during an attempt share its outcome. Calls while open resolve at once. A call while the client
   * waits to reconnect tries at once.
   * @throws {ConnectionError} when there is no connection. The client is then `closed`, unless it was reconnecting or
   * `reconnect.initial` is set.
   */
  connectToServer(): Promise<void> {
    this.#watch();
    return this.tryNow();
  }

  /**
   * Replaces the connection at once, for a socket that may be dead without being closed. Rooms are joined again and listeners
   * stay. Pending requests and streams fail with ConnectionError. Without a connection it does what `connectToServer()` does.
   * In a page the client calls it by itself when the page comes back.
   * @throws {ConnectionError} as `connectToServer()`
   */
  override reconnect(): Promise<void> {
    this.#watch();
    return super.reconnect();
  }

  /** True while messages can be sent. */
  isClientConnected(): boolean {
    return this.currentLink?.isOpen ?? false;
  }

  /** The open connection. @throws {ConnectionError} while there is none */
  protected openLink(): Link<S> {
    const link = this.currentLink;
    if (!link) throw new ConnectionError(`The client is ${this.state}, not open. Await connectToServer() first.`);
    return link;
  }

  protected override opened(link: Link<S>): void {
    this.#keepAlive = new KeepAlive(link, this.options);
  }

  protected override lost(_link: Link<S>, _willReconnect: boolean): void {
    this.#keepAlive?.stop();
    this.#keepAlive = undefined;
  }

  /** Before the listeners: one may connect again. */
  protected override closed(): void {
    this.#unwatchPage?.();
    this.#unwatchPage = undefined;
  }

  protected abstract receive(message: ServerMessage, link: Link<S>): void;

  /** Makes the socket of one attempt. May throw; mustn't wait. */
  protected abstract createSocket(target: ConnectTarget): S;

  /** Overridden where handlers have to be found before the first connect. */
  protected async loadHandlers(): Promise<void> {}

  /** Calls `onWake` when a connection may have been lost unnoticed. @returns a function that stops it */
  protected watchPage(_onWake: () => void): () => void {
    return () => undefined;
  }

  /** Gets url, protocols and token, before every attempt. */
  protected async findTarget(): Promise<ConnectTarget> {
    const { url, protocols, token } = this.options;
    const found = await Promise.all([valueOf(url), valueOf(protocols), valueOf(token)]);
    return {
      url: toSocketUrl(found[0], pageUrl()),
      protocols: [found[1]].flat(),
      ...(found[2] && { token: found[2] }),
    };
  }

  /** Makes a connection and waits for its greeting. */
  protected override async dial(attempt: Attempt): Promise<Link<S>> {
    await attempt.race(this.load());
    const target = await attempt.race(this.findTarget());
    const handlers: LinkHandlers<S> = {
      onMessage: (message, from) => this.receive(message, from),
      onError: this.events.report,
      onEnd: (ended) => this.linkEnded(ended),
    };
    const link = new Link(this.createSocket(target), handlers, this.options);
    try {
      await attempt.race(link.greeted.promise);
      return link;
    } catch (error) {
      link.close(CloseCode.Normal, '');
      throw this.refusalOf(link.socket) ?? error;
    }
  }

  /** A better error for a socket that never opened, where the platform has one. */
  protected refusalOf(_socket: S): ConnectionError | undefined {
    return undefined;
  }

  /** A socket may have died unnoticed: the page was hidden, the laptop slept, the network was away. */
  #watch(): void {
    this.#unwatchPage ??= this.watchPage(async () => {
      await this.#keepAlive?.probe();
      this.retryNow();
    });
  }
}
