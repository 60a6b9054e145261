import { ConnectionError, TimeoutError } from '../errors.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { Link } from './link.js';
import type { SocketLike } from './socket-like.js';
import { Stopwatch } from './stopwatch.js';

/** Milliseconds that the server has to answer when the connection is probably dead. */
const PROBE_MS = 2_000;
/** Milliseconds between pings of a server that doesn't state them. */
const USUAL_HEARTBEAT_MS = 25_000;

export interface KeepAliveOptions {
  pingIntervalMs: false | number;
  pongTimeoutMs: number;
}

/** Sends pings at intervals, and closes the connection with 4201 when the server stays silent. */
export class KeepAlive {
  readonly #link: Link<SocketLike>;
  readonly #pongTimeoutMs: number;
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #isWaiting = false;
  readonly #sinceTick = new Stopwatch();

  constructor(link: Link<SocketLike>, { pingIntervalMs, pongTimeoutMs }: KeepAliveOptions) {
    this.#link = link;
    this.#pongTimeoutMs = pongTimeoutMs;
    if (pingIntervalMs === false) return;
    this.#timer = setInterval(() => this.#tick(pingIntervalMs), pingIntervalMs);
    // In Node this timer must not keep the process alive. In browsers a timer is a number.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Closes the connection if the server was silent for longer than its heartbeat and doesn't answer a ping now. */
  async probe(): Promise<void> {
    const heartbeatMs = this.#link.greeting?.heartbeatMs ?? USUAL_HEARTBEAT_MS;
    if (this.#link.silence.ms > heartbeatMs) await this.#ping(this.#probeMs);
  }

  /** Shorter than usual: somebody waits for the result, after this process slept or the page was hidden. */
  get #probeMs(): number {
    return Math.min(this.#pongTimeoutMs, PROBE_MS);
  }

  #tick(pingIntervalMs: number): void {
    const hasSlept = this.#isLate(this.#sinceTick, pingIntervalMs);
    this.#sinceTick.restart();
    if (!this.#isWaiting) void this.#ping(hasSlept ? this.#probeMs : this.#pongTimeoutMs);
  }

  async #ping(timeoutMs: number): Promise<void> {
    this.#isWaiting = true;
    const isSilent = await this.#isSilent(timeoutMs);
    this.#isWaiting = false;
    if (!isSilent) return;
    const error = new ConnectionError('The server was silent after a ping.');
    this.#link.close(CloseCode.NoPong, 'no pong', error);
  }

  /** Any frame is a sign of life. A pong may wait behind a slow handler, and a refusal is an answer, too. */
  async #isSilent(timeoutMs: number): Promise<boolean> {
    const link = this.#link;
    const asked = new Stopwatch();
    try {
      await link.requests.request({ type: 'system', action: 'ping' }, { timeoutMs });
      return false;
    } catch (error) {
      // Equal: a frame came within the millisecond of the ping. If it came before it, the next ping tells.
      if (!(error instanceof TimeoutError) || link.silence.ms <= asked.ms || !link.isOpen) return false;
      // The machine slept: the answer may still be under way.
      return this.#isLate(asked, timeoutMs) ? this.#isSilent(this.#probeMs) : true;
    }
  }

  #isLate({ ms }: Stopwatch, expectedMs: number): boolean {
    return ms > expectedMs + this.#pongTimeoutMs / 4;
  }
}
