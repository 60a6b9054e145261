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
import { newKey } from './new-key.js';
import { watchPage } from './page-life.js';
import { pageUrl } from './resolve-client-options.js';
import type { SocketLike } from './socket-like.js';
import { toSocketUrl } from './socket-url.js';
import { Supervisor } from './supervisor.js';

/**
 * A connection that reconnects when it is lost. Subclasses create the socket (`browser.ts`, `websocket-client.ts`) and use the
 * connection (`client-core.ts`).
 */
export abstract class ClientConnection<S extends SocketLike = SocketLike> extends Supervisor<S> {
  #keepAlive: KeepAlive | undefined;
  #unwatchPage: (() => void) | undefined;
  /** Tells the server over reconnects that this is the same client. */
  protected session: string | undefined;

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

  /** Prepares the handlers once, where there are some. `connectToServer()` calls it. After a failure the next call tries again. */
  async load(): Promise<void> {}

  /** True while messages can be sent. */
  isClientConnected(): boolean {
    return this.currentLink?.isOpen ?? false;
  }

  /** The open connection. @throws {ConnectionError} while there is none */
  protected openLink(): Link<S> {
    const link = this.currentLink;
    if (!link) throw new ConnectionError(`The client is ${this.state}, not open.`);
    return link;
  }

  protected override opened(link: Link<S>): void {
    this.#keepAlive = new KeepAlive(link, this.options);
  }

  /** Before the listeners: one may connect again. */
  protected override closed(): void {
    this.#unwatchPage?.();
    this.#unwatchPage = undefined;
  }

  protected abstract receive(message: ServerMessage, link: Link<S>): void;

  /** Before the first attempt. */
  protected newSession(): string {
    return newKey();
  }

  /** Makes the socket of one attempt. May throw; mustn't wait. */
  protected abstract createSocket(target: ConnectTarget): S;

  /** Gets url, protocols and token, before every attempt. */
  protected async findTarget(): Promise<ConnectTarget> {
    const { url, protocols, token } = this.options;
    const found = await Promise.all([valueOf(url), valueOf(protocols), valueOf(token)]);
    return { url: toSocketUrl(found[0], pageUrl()), protocols: [found[1]].flat(), token: found[2] };
  }

  /** Makes a connection and waits for its greeting. */
  protected override async dial(attempt: Attempt): Promise<Link<S>> {
    this.session ??= this.newSession();
    // The socket may die unnoticed: the page is hidden, the laptop sleeps, the network is away.
    this.#unwatchPage ??= watchPage(async () => {
      await this.#keepAlive?.probe();
      this.retryNow();
    });
    const target = await Promise.race([attempt.promise, this.findTarget()]);
    const handlers: LinkHandlers<S> = {
      onMessage: (message, from) => this.receive(message, from),
      onError: this.events.report,
      after: this.after,
      onEnd: (ended) => this.linkEnded(ended),
    };
    const link = new Link(this.createSocket(target), handlers, this.options);
    try {
      await Promise.race([attempt.promise, link.greeted.promise]);
      return link;
    } catch (error) {
      link.close(CloseCode.Normal, '');
      throw error;
    }
  }
}
