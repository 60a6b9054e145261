import { ConnectionError, TimeoutError } from '../errors.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { Link } from './link.js';
import type { SocketLike } from './socket-like.js';

/** How long a server may take to answer when there is reason to believe that the connection is dead, in ms. */
const PROBE_MS = 2_000;
/** Of a server that doesn't say how often it sends pings, in ms. */
const USUAL_HEARTBEAT_MS = 25_000;

export interface KeepAliveOptions {
  pingIntervalMs: number;
  pongTimeoutMs: number;
}

/** Asks the server for a sign of life at intervals, and gives the link up with 4201 when none comes. */
export class KeepAlive {
  readonly #link: Link<SocketLike>;
  readonly #options: KeepAliveOptions;
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #isWaiting = false;
  #tickedAt = performance.now();

  constructor(link: Link<SocketLike>, options: KeepAliveOptions) {
    this.#link = link;
    this.#options = options;
    if (options.pingIntervalMs === 0) return;
    this.#timer = setInterval(() => this.#tick(), options.pingIntervalMs);
    // In Node the socket keeps the process alive, and this timer mustn't; browsers have numbers for timers.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Resolves with true when the server has been silent for longer than its heartbeat, and doesn't answer a ping now. */
  async probe(): Promise<boolean> {
    const heartbeatMs = this.#link.greeting?.heartbeatMs ?? USUAL_HEARTBEAT_MS;
    if (performance.now() - this.#link.heardAt <= heartbeatMs) return false;
    return this.#isSilent(this.#probeMs);
  }

  /** Shorter than the usual time: this process slept, or the page was hidden, and somebody waits for it now. */
  get #probeMs(): number {
    return Math.min(this.#options.pongTimeoutMs, PROBE_MS);
  }

  #tick(): void {
    const { pingIntervalMs, pongTimeoutMs } = this.#options;
    const now = performance.now();
    const hasSlept = this.#isLate(now - this.#tickedAt, pingIntervalMs);
    this.#tickedAt = now;
    if (!this.#isWaiting) void this.#ping(hasSlept ? this.#probeMs : pongTimeoutMs);
  }

  async #ping(timeoutMs: number): Promise<void> {
    this.#isWaiting = true;
    const isSilent = await this.#isSilent(timeoutMs);
    this.#isWaiting = false;
    if (!isSilent) return;
    const error = new ConnectionError(`The server said nothing for ${timeoutMs} ms after a ping.`);
    this.#link.close(CloseCode.NoPong, 'no pong', error);
  }

  /** Any frame is a sign of life: a pong may wait its turn behind a slow handler, and a refusal is an answer, too. */
  async #isSilent(timeoutMs: number): Promise<boolean> {
    const link = this.#link;
    const askedAt = performance.now();
    try {
      await link.requests.request({ type: 'system', action: 'ping' }, { timeoutMs });
      return false;
    } catch (error) {
      if (!(error instanceof TimeoutError) || link.heardAt > askedAt || !link.isOpen) return false;
      // This process stood still: what came meanwhile has not been read yet.
      return this.#isLate(performance.now() - askedAt, timeoutMs) ? this.#isSilent(this.#probeMs) : true;
    }
  }

  #isLate(tookMs: number, expectedMs: number): boolean {
    return tookMs > expectedMs + this.#options.pongTimeoutMs / 4;
  }
}
