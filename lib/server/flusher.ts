import type { ResolvedOptions } from '../resolve-options.js';
import { FrameRun } from './frame-run.js';
import type { Outbox } from './outbox.js';

/** How often sockets that are behind are looked at. */
const SWEEP_MS = 1_000;

/** What slow clients didn't get, counted since the start. */
export interface BackpressureCounters {
  /** Volatile messages left out for a client that was behind. */
  dropped: number;
  /** Messages whose place a newer one with the same `conflateKey` took. */
  conflated: number;
  /** Clients closed with 4113. */
  closed: number;
}

/**
 * Writes what the outboxes queued, once at the end of the event-loop turn, and keeps them within their budgets: bytes per
 * socket, time to drain, bytes of the whole process.
 */
export class Flusher {
  readonly counters: BackpressureCounters = { dropped: 0, conflated: 0, closed: 0 };
  /** Where the runs of this turn begin. */
  run = FrameRun.start();
  /** Bytes that wait in all sockets. */
  waitingBytes = 0;
  readonly #behind = new Set<Outbox>();
  #touched: Outbox[] = [];
  #later: Outbox[] = [];
  #gap: NodeJS.Timeout | undefined;
  #sweep: NodeJS.Timeout | undefined;

  constructor(
    readonly limits: Omit<ResolvedOptions['backpressure'], 'policy'>,
    private readonly flushGapMs: number,
    /** Closes the client's socket with 4113. */
    private readonly closeSlow: (outbox: Outbox) => void,
  ) {}

  touch(outbox: Outbox): void {
    outbox.isTouched = true;
    if (this.#touched.push(outbox) === 1) setImmediate(this.#flush);
  }

  tooSlow(outbox: Outbox): void {
    this.counters.closed++;
    this.closeSlow(outbox);
  }

  /** So many bytes wait in the socket now. */
  waits(outbox: Outbox, bytes: number): void {
    this.waitingBytes += bytes - outbox.waitingBytes;
    outbox.waitingBytes = bytes;
    if (bytes === 0) this.#behind.delete(outbox);
    else this.#behind.add(outbox);
    if (this.#behind.size > 0) this.#sweep ??= setInterval(this.#closeStalled, SWEEP_MS).unref();
    if (this.waitingBytes > this.limits.processMaxBufferedBytes) this.#evictLargest();
  }

  stop(): void {
    clearInterval(this.#sweep);
    clearTimeout(this.#gap);
    this.#sweep = this.#gap = undefined;
  }

  readonly #flush = (): void => {
    const touched = this.#touched;
    this.#touched = [];
    this.run = FrameRun.start();
    if (this.flushGapMs > 0) return this.#flushSpaced(touched, performance.now());
    for (const outbox of touched) {
      outbox.isTouched = false;
      outbox.flush();
    }
  };

  /** A socket that was written to a moment ago waits for the rest of the gap; one that wasn't is written to at once. */
  #flushSpaced(touched: Outbox[], now: number): void {
    for (const outbox of touched) {
      if (now - outbox.flushedAt < this.flushGapMs) {
        this.#later.push(outbox);
        continue;
      }
      outbox.isTouched = false;
      outbox.flushedAt = now;
      outbox.flush();
    }
    if (this.#later.length > 0) this.#gap ??= setTimeout(this.#flushLater, this.flushGapMs);
  }

  readonly #flushLater = (): void => {
    this.#gap = undefined;
    const now = performance.now();
    for (const outbox of this.#later.splice(0)) {
      outbox.isTouched = false;
      outbox.flushedAt = now;
      outbox.flush();
    }
  };

  readonly #closeStalled = (): void => {
    const limit = performance.now() - this.limits.drainTimeoutMs;
    for (const outbox of this.#behind) if (outbox.behindSince < limit) this.tooSlow(outbox);
    if (this.#behind.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  };

  #evictLargest(): void {
    for (const outbox of this.#behind) this.#recount(outbox);
    while (this.waitingBytes > this.limits.processMaxBufferedBytes && this.#behind.size > 0) {
      let largest: Outbox | undefined;
      for (const outbox of this.#behind) if (outbox.waitingBytes > (largest?.waitingBytes ?? 0)) largest = outbox;
      if (!largest) return;
      this.tooSlow(largest);
    }
  }

  /** What was written since the socket fell behind doesn't count any more. */
  #recount(outbox: Outbox): void {
    const bytes = Math.max(1, outbox.bufferedBytes);
    this.waitingBytes += bytes - outbox.waitingBytes;
    outbox.waitingBytes = bytes;
  }
}
