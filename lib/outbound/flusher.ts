import type { WebSocket } from 'ws';
import { monotonicMs } from '../clock.js';
import { guarded } from '../guarded.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { AutoPace, type FlushPace } from './flush-pace.js';
import { FrameRun } from './frame-run.js';

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

/** What waits for one socket. */
export interface FlushedOutbox {
  readonly ws: WebSocket;
  /** Something is queued, and will be written. */
  isTouched: boolean;
  /** How many messages are queued. */
  readonly queuedMessages: number;
  /** What it was found to be behind by. 0 for a socket that keeps up. */
  waitingBytes: number;
  /** What it is behind by now, without what was only offered to it. */
  readonly owedBytes: number;
  /** When it fell behind, by the monotonic clock. */
  behindSince: number;
  flushedAt: number;
  /** Writes what was queued. */
  turnEnded(): void;
  /** Looks whether what waits was taken. */
  look(): void;
  end(): void;
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
  /** So much is written to a socket between two pings that ask whether its peer reads. */
  readonly askEveryBytes: number;
  readonly #behind = new Set<FlushedOutbox>();
  #touched: FlushedOutbox[] = [];
  /** Those that don't wait for the next flush. */
  #hurried: FlushedOutbox[] = [];
  #later: FlushedOutbox[] = [];
  #gap: NodeJS.Timeout | undefined;
  /** The next flush, when it waits. */
  #delay: NodeJS.Timeout | undefined;
  readonly #gapMs: number;
  readonly #auto: AutoPace | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #sweptAt = 0;
  #eviction: NodeJS.Immediate | undefined;

  constructor(
    readonly limits: Omit<ResolvedOptions['backpressure'], 'policy'>,
    pace: FlushPace,
    /** Closes the client's socket with 4113. */
    private readonly closeSlow: (outbox: FlushedOutbox) => void,
    private readonly failed: (error: unknown) => void,
  ) {
    // One such part before the question, and one while the answer is under way.
    this.askEveryBytes = (limits.maxInFlightBytes || Infinity) / 2;
    this.#gapMs = typeof pace === 'object' ? pace.gapMs : 0;
    if (pace === 'auto') this.#auto = new AutoPace();
  }

  touch(outbox: FlushedOutbox): void {
    outbox.isTouched = true;
    if (this.#touched.push(outbox) > 1) return;
    const waitMs = this.#auto?.waitMs(monotonicMs()) ?? 0;
    if (waitMs > 0) this.#delay = setTimeout(this.#flush, waitMs);
    else setImmediate(this.#flush);
  }

  /** Somebody waits for what was queued last: it goes with the end of this turn, and what lies before it goes along. */
  hurry(outbox: FlushedOutbox): void {
    if (this.#delay === undefined && this.#gapMs === 0) return;
    if (this.#hurried.push(outbox) === 1) setImmediate(this.#flushHurried);
  }

  tooSlow(outbox: FlushedOutbox): void {
    // The application closed it already, and it doesn't take that either.
    if (outbox.ws.readyState !== outbox.ws.OPEN) outbox.ws.terminate();
    else this.counters.closed++;
    outbox.end();
    this.closeSlow(outbox);
  }

  /** So many bytes wait in the socket now. */
  waits(outbox: FlushedOutbox, bytes: number): void {
    this.waitingBytes += bytes - outbox.waitingBytes;
    outbox.waitingBytes = bytes;
    if (bytes === 0) this.#behind.delete(outbox);
    else this.#behind.add(outbox);
    if (this.#behind.size > 0) this.#sweep ??= this.#startSweep();
    // Once for all that fall behind in this turn: looking for the largest each time would cost their square.
    if (this.waitingBytes > this.limits.processMaxBufferedBytes)
      this.#eviction ??= setImmediate(guarded('slow clients', this.failed, this.#evictLargest));
  }

  stop(): void {
    clearInterval(this.#sweep);
    clearTimeout(this.#gap);
    clearTimeout(this.#delay);
    clearImmediate(this.#eviction);
    this.#sweep = this.#gap = this.#delay = this.#eviction = undefined;
    this.#later = [];
    this.#touched = [];
  }

  readonly #flush = (): void => {
    const touched = this.#touched;
    this.#touched = [];
    this.#delay = undefined;
    this.run = FrameRun.start();
    if (this.#gapMs > 0) return this.#flushSpaced(touched, monotonicMs());
    if (this.#auto) return this.#flushMeasured(touched, this.#auto);
    for (const outbox of touched) this.#endTurnOf(outbox);
  };

  #flushMeasured(touched: FlushedOutbox[], auto: AutoPace): void {
    // One stands for all: what a room gets, its members get.
    const messages = touched[touched.length >> 1]?.queuedMessages ?? 0;
    const began = monotonicMs();
    for (const outbox of touched) this.#endTurnOf(outbox);
    const ended = monotonicMs();
    auto.flushed(ended, ended - began, messages);
  }

  readonly #flushHurried = (): void => {
    const now = this.#gapMs > 0 ? monotonicMs() : 0;
    for (const outbox of this.#hurried.splice(0)) {
      outbox.flushedAt = now;
      this.#endTurnOf(outbox);
    }
  };

  /** A socket that was written to a moment ago waits for the rest of the gap; one that wasn't is written to at once. */
  #flushSpaced(touched: FlushedOutbox[], now: number): void {
    for (const outbox of touched) {
      if (now - outbox.flushedAt < this.#gapMs) {
        this.#later.push(outbox);
        continue;
      }
      outbox.flushedAt = now;
      this.#endTurnOf(outbox);
    }
    if (this.#later.length > 0) this.#gap ??= setTimeout(this.#flushLater, this.#gapMs);
  }

  readonly #flushLater = (): void => {
    this.#gap = undefined;
    const now = monotonicMs();
    for (const outbox of this.#later.splice(0)) {
      outbox.flushedAt = now;
      this.#endTurnOf(outbox);
    }
  };

  /** What fails for one must not be the end of the others' turn; a socket that lost frames can't go on. */
  #endTurnOf(outbox: FlushedOutbox): void {
    try {
      outbox.turnEnded();
    } catch (error) {
      outbox.ws.terminate();
      this.failed(error);
    }
  }

  #startSweep(): NodeJS.Timeout {
    this.#sweptAt = monotonicMs();
    return setInterval(guarded('slow clients', this.failed, this.#closeStalled), SWEEP_MS).unref();
  }

  readonly #closeStalled = (): void => {
    const { drainTimeoutMs } = this.limits;
    const now = monotonicMs();
    // This process stood still: what was taken meanwhile hasn't been seen yet.
    const isLate = now - this.#sweptAt > 2 * SWEEP_MS;
    this.#sweptAt = now;
    if (isLate) return;
    for (const outbox of this.#behind) {
      outbox.look();
      if (outbox.owedBytes === 0) outbox.behindSince = now; // the limit is for what is owed, from when it is
      if (outbox.waitingBytes > 0 && now - outbox.behindSince > drainTimeoutMs) this.tooSlow(outbox);
    }
    if (this.#behind.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  };

  readonly #evictLargest = (): void => {
    this.#eviction = undefined;
    const { processMaxBufferedBytes } = this.limits;
    for (const outbox of this.#behind) this.#recount(outbox);
    if (this.waitingBytes <= processMaxBufferedBytes) return;
    for (const outbox of [...this.#behind].toSorted((a, b) => b.waitingBytes - a.waitingBytes)) {
      this.tooSlow(outbox);
      if (this.waitingBytes <= processMaxBufferedBytes) return;
    }
  };

  /** What was written since the socket fell behind doesn't count any more. */
  #recount(outbox: FlushedOutbox): void {
    const bytes = Math.max(1, outbox.owedBytes);
    this.waitingBytes += bytes - outbox.waitingBytes;
    outbox.waitingBytes = bytes;
  }
}
