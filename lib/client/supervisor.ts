import { ConnectionError, InvalidOptionsError } from '../errors.js';
import type { After } from '../pending-requests.js';
import { overdue } from './overdue.js';
import { adviceOf, CloseCode } from '../protocol/close-codes.js';
import type { CloseAdvice } from '../protocol/close-codes.js';
import { abandon, type Attempt } from './attempt.js';
import { deferred } from './deferred.js';
import { Backoff } from './backoff.js';
import { CLIENT_DEFAULTS } from './client-defaults.js';
import { EventSink } from './client-events.js';
import type { ClientState } from './client-events.js';
import { toConnectionError } from './client-errors.js';
import type { WebSocketClientOptions } from './client-options.js';
import type { HandshakeRefusedError } from './handshake-refused-error.js';
import type { Link, LinkEnd } from './link.js';
import { resolveClientOptions } from './resolve-client-options.js';
import type { ResolvedClientOptions } from './resolve-client-options.js';
import type { SocketLike } from './socket-like.js';

/**
 * Decides when to connect, when to reconnect and when to stop. There is at most one attempt, one link and one timer at a time.
 * The state changes before any callback, so that a callback may connect or disconnect. Subclasses make the links.
 */
export abstract class Supervisor<S extends SocketLike> {
  declare protected readonly options: ResolvedClientOptions<S>;
  declare protected readonly events: EventSink<S>;
  /** Calls a task later, unless it is cancelled. */
  protected readonly after: After = overdue;
  #state: ClientState = 'idle';
  #link: Link<S> | undefined;
  /** The link that `opened` was called with. An earlier callback may already have disconnected it. */
  #announced: Link<S> | undefined;
  #attempt: Attempt | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #retryAt = 0;
  /** The server asked for the current wait. */
  #isToldToWait = false;
  #backoff!: Backoff;

  /** @throws {InvalidOptionsError} naming every bad option and what to write instead. */
  constructor(options: WebSocketClientOptions<S>) {
    this.options = resolveClientOptions(options);
    this.events = new EventSink(this.options.events, this.options.maxErrorReports);
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Milliseconds until the next attempt to connect. Undefined while none waits. */
  get reconnectingIn(): number | undefined {
    return this.#retryTimer === undefined ? undefined : Math.max(0, this.#retryAt - performance.now());
  }

  /** The link while the state is `open`. */
  protected get currentLink(): Link<S> | undefined {
    return this.#state === 'open' ? this.#link : undefined;
  }

  /** Makes a link and waits for its greeting. Closes it when the attempt is abandoned. */
  protected abstract dial(attempt: Attempt): Promise<Link<S>>;

  /** Runs between the greeting and `open`. Never rejects. */
  protected abstract restore(link: Link<S>): Promise<void>;

  /** The connection is open. Messages wait until this returns. */
  protected abstract opened(link: Link<S>): void;

  protected abstract lost(link: Link<S>, willReconnect: boolean): void;

  /** The client doesn't try any more. */
  protected abstract closed(): void;

  /**
   * Resolves when the server has greeted this client and, on a reconnect, the rooms were joined again. Settles within
   * `connectTimeoutMs`. Calls during an attempt share its outcome. Calls while open resolve at once. A call while the client
   * waits to reconnect tries at once.
   * @throws {ConnectionError} when there is no connection. The client is then `closed`, unless it was reconnecting or
   * `reconnect.initial` is set.
   */
  connectToServer(): Promise<void> {
    if (this.#attempt) return this.#attempt.outcome;
    if (this.#state === 'open') return Promise.resolve();
    // While reconnecting, this call ends the wait.
    this.#clearRetry();
    if (this.#state === 'reconnecting') return this.#try();
    this.#backoff = new Backoff(this.options.reconnect || CLIENT_DEFAULTS.reconnect);
    this.#state = 'connecting';
    const outcome = this.#try();
    this.#announceState('connecting');
    return outcome;
  }

  /**
   * Replaces the connection at once, for a socket that may be dead without being closed. Rooms are joined again and listeners
   * stay. Pending requests and streams fail with ConnectionError. Without a connection it does what `connectToServer()` does.
   * In a page the client calls it by itself when the page comes back.
   * @throws {ConnectionError} as `connectToServer()`
   */
  reconnect(): Promise<void> {
    const link = this.currentLink;
    if (!link) return this.connectToServer();
    this.#link = undefined;
    this.#state = 'reconnecting';
    link.close(CloseCode.Normal, 'reconnecting', new ConnectionError('reconnect() was called.'));
    this.#backoff.lost();
    const outcome = this.#try();
    this.#announceState('reconnecting');
    if (link === this.#announced) this.lost(link, true);
    return outcome;
  }

  /** The network or the page is back: ends the wait, unless the server asked for it. */
  protected retryNow(): void {
    // Nobody waits for this promise. #failed() reports its error.
    if (this.#retryTimer !== undefined && !this.#isToldToWait) this.connectToServer().catch(() => undefined);
  }

  disconnect(code: number, reason: string): void {
    const [before, link, attempt] = [this.#state, this.#link, this.#attempt];
    this.#clearRetry();
    this.#link = undefined;
    this.#attempt = undefined;
    if (before === 'idle' || before === 'closed') return;
    this.#state = 'closed';
    const error = new ConnectionError('disconnect() was called.');
    if (attempt) abandon(attempt, error);
    link?.close(code, reason, error);
    this.#announceState('closed');
    if (link && link === this.#announced) this.lost(link, false);
  }

  /** To be called once for each link that ends. */
  protected linkEnded(link: Link<S>): void {
    // Before `open` the attempt itself sees the end. After disconnect() it doesn't matter.
    if (link !== this.#link || this.#state !== 'open') return;
    this.#link = undefined;
    this.#backoff.lost();
    const advice = adviceOf((link.end as LinkEnd).code);
    const willReconnect = this.#mayRetry(advice);
    this.#state = willReconnect ? 'reconnecting' : 'closed';
    this.#announceState(this.#state);
    this.lost(link, willReconnect);
    this.#scheduleRetry(advice);
  }

  #try(): Promise<void> {
    const attempt = (this.#attempt = deferred<never>() as Attempt);
    return (attempt.outcome = this.#run(attempt));
  }

  async #run(attempt: Attempt): Promise<void> {
    try {
      const link = await this.#establish(attempt);
      // No await from here to `opened`: disconnect() or the link's end could come between.
      if (attempt.reason) throw attempt.reason;
      link.throwIfEnded();
      this.#attempt = undefined;
      this.#state = 'open';
      this.#backoff.connected();
      this.#announceState('open');
      link.throwIfEnded();
      this.#announced = link;
      this.opened(link);
      link.release();
    } catch (thrown) {
      const error = toConnectionError(thrown);
      if (this.#attempt === attempt) this.#failed(error);
      throw error;
    }
  }

  /** One time limit for both steps: for dialling, then for joining the rooms. */
  async #establish(attempt: Attempt): Promise<Link<S>> {
    const { connectTimeoutMs } = this.options;
    let link: Link<S> | undefined;
    const cancelTimeout = this.after(connectTimeoutMs, () => {
      if (link) return link.hurried.resolve();
      abandon(attempt, new ConnectionError(`The server is silent (${connectTimeoutMs} ms).`));
    });
    try {
      link = await this.dial(attempt);
      if (attempt.reason) link.close(CloseCode.Normal, '');
      else {
        this.#link = link;
        await Promise.race([link.hurried.promise, this.restore(link)]);
      }
      return link;
    } finally {
      cancelTimeout();
    }
  }

  #failed(error: ConnectionError): void {
    const { reconnect } = this.options;
    // Only the Node client has the class of a refusal, so browsers don't load it.
    const refusal: Partial<HandshakeRefusedError> = error;
    const advice = refusal.advice ?? adviceOf(error.closeCode ?? CloseCode.Normal);
    const isFirst = this.#state === 'connecting';
    this.#attempt = undefined;
    this.#link = undefined;
    // A mistake in the options stays one.
    const mayGoOn = reconnect && reconnect.initial && !(error.cause instanceof InvalidOptionsError);
    const willRetry = this.#mayRetry(advice) && (!isFirst || mayGoOn);
    const before = this.#state;
    this.#state = willRetry ? 'reconnecting' : 'closed';
    if (this.#state !== before) this.#announceState(this.#state);
    // The caller of the first connectToServer() gets the rejection.
    if (!isFirst) this.events.report(error);
    this.#scheduleRetry(advice, refusal.retryAfterMs);
  }

  #mayRetry(advice: CloseAdvice): boolean {
    const { reconnect } = this.options;
    return reconnect !== false && advice !== 'stop' && this.#backoff.attempts < reconnect.maxAttempts;
  }

  /** Callbacks may have disconnected, or connected, meanwhile. */
  #scheduleRetry(advice: CloseAdvice, retryAfterMs?: number): void {
    if (this.#state !== 'reconnecting' || this.#attempt || this.#retryTimer !== undefined) return;
    const delayMs = this.#backoff.next(advice, retryAfterMs);
    this.#isToldToWait = advice === 'back-off' || retryAfterMs !== undefined;
    this.#retryAt = performance.now() + delayMs;
    // This timer keeps a Node process alive: a service must not exit because it lost its server.
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      // Nobody waits for this promise. #failed() has reported its error.
      this.#try().catch(() => undefined);
    }, delayMs);
    this.events.emit('reconnecting', { attempt: this.#backoff.attempts, delayMs });
  }

  #clearRetry(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
  }

  #announceState(state: ClientState): void {
    if (state === 'closed') this.closed();
    this.events.emit('state', { state });
  }
}
