import { ConnectionError, TimeoutError } from '../errors.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { Link } from './link.js';
import { pause } from './room-joins.js';
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
  #isWaiting = false;
  #sinceTick = new Stopwatch();

  constructor(link: Link<SocketLike>, { pingIntervalMs, pongTimeoutMs }: KeepAliveOptions) {
    this.#link = link;
    this.#pongTimeoutMs = pongTimeoutMs;
    if (pingIntervalMs === false) return;
    const timer = setInterval(() => this.#tick(pingIntervalMs), pingIntervalMs);
    // In Node this timer must not keep the process alive. In browsers a timer is a number.
    (timer as { unref?: () => void }).unref?.();
    void pause(link).then(() => clearInterval(timer));
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
    this.#sinceTick = new Stopwatch();
    if (!this.#isWaiting) void this.#ping(hasSlept ? this.#probeMs : this.#pongTimeoutMs);
  }

  /** Any frame is a sign of life. A pong may wait behind a slow handler, and a refusal is an answer, too. */
  async #ping(timeoutMs: number): Promise<void> {
    const link = this.#link;
    const asked = new Stopwatch();
    this.#isWaiting = true;
    try {
      await link.request({ type: 'system', action: 'ping' }, { timeoutMs });
    } catch (error) {
      // Equal: a frame came within the millisecond of the ping. If it came before it, the next ping tells.
      if (error instanceof TimeoutError && link.silence.ms > asked.ms && link.isOpen) {
        // The machine slept: the answer may still be under way.
        if (this.#isLate(asked, timeoutMs)) await this.#ping(this.#probeMs);
        else link.close(CloseCode.NoPong, 'no pong', new ConnectionError('The server is silent.'));
      }
    }
    this.#isWaiting = false;
  }

  #isLate({ ms }: Stopwatch, expectedMs: number): boolean {
    return ms > expectedMs + this.#pongTimeoutMs / 4;
  }
}
