import type { WebSocket } from 'ws';
import { guarded } from '../guarded.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { System } from '../system.js';
import { AutoPace, type FlushPace } from './flush-pace.js';
import { FrameRun } from './frame-run.js';

/** How often sockets that are behind are checked, in ms. */
const SWEEP_MS = 1_000;
/** A larger write isn't cheaper. So many bytes don't wait for the end of a gap. */
const FULL_BYTES = 65_536;

/** What slow clients didn't get since the start. */
export interface BackpressureCounters {
  /** Volatile messages that were dropped for a client that was behind. */
  dropped: number;
  /** Messages that a newer one with the same `conflateKey` replaced. */
  conflated: number;
  /** Clients closed with 4113. */
  closed: number;
}

/** The messages that wait for one socket. */
export interface FlushedOutbox {
  readonly ws: WebSocket;
  /** Something is queued and will be written. */
  isTouched: boolean;
  /** How many messages are queued. */
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  /** How many bytes it was behind at the last check. 0 for a socket that keeps up. */
  waitingBytes: number;
  /** How many bytes it is behind now, not counting messages that were only offered. */
  readonly owedBytes: number;
  /** When it fell behind, by the monotonic clock. */
  behindSince: number;
  flushedAt: number;
  /** Writes what was queued. */
  turnEnded(): void;
  /** Checks what the operating system has taken meanwhile. */
  look(): void;
  end(): void;
}

/**
 * Writes what the outboxes queued, once at the end of a turn of the event loop. Keeps them within their limits: bytes
 * and time for each socket, and bytes for the whole process.
 */
export class Flusher {
  readonly counters: BackpressureCounters = { dropped: 0, conflated: 0, closed: 0 };
  /** The empty run. Each turn begins with a new one. */
  run = FrameRun.start();
  /** Bytes that wait for all sockets. */
  waitingBytes = 0;
  /** After this many bytes, at most, a ping asks whether the peer still reads. */
  readonly askEveryBytes: number;
  /** An outbox with more bytes is written at the end of this turn. */
  readonly fullBytes: number;
  readonly #behind = new Set<FlushedOutbox>();
  #touched: FlushedOutbox[] = [];
  /** Outboxes that don't wait for the next flush. */
  #hurried: FlushedOutbox[] = [];
  /** Outboxes whose gap isn't over. */
  #later = new Set<FlushedOutbox>();
  #cancelGap: (() => void) | undefined;
  /** When the first of these gaps is over. */
  #gapEndsAt = Infinity;
  /** Set while the next flush waits. */
  #cancelDelay: (() => void) | undefined;
  readonly #gapMs: number;
  readonly #auto: AutoPace | undefined;
  #stopSweeping: (() => void) | undefined;
  #sweptAt = 0;
  #eviction: NodeJS.Immediate | undefined;

  constructor(
    readonly limits: Omit<ResolvedOptions['backpressure'], 'policy'>,
    pace: FlushPace,
    /** Closes the client's socket with 4113. */
    private readonly closeSlow: (outbox: FlushedOutbox) => void,
    private readonly failed: (error: unknown) => void,
    readonly system: System,
  ) {
    // Half of the limit is written before the ping, the other half while its pong is under way.
    this.askEveryBytes = (limits.maxInFlightBytes || Infinity) / 2;
    this.#gapMs = typeof pace === 'object' ? pace.gapMs : 0;
    if (pace === 'auto') this.#auto = new AutoPace();
    this.fullBytes = pace === 'turn' ? Infinity : FULL_BYTES;
  }

  touch(outbox: FlushedOutbox): void {
    outbox.isTouched = true;
    if (this.#touched.push(outbox) > 1) return;
    const waitMs = this.#auto?.waitMs(this.system.clock.now()) ?? 0;
    if (waitMs > 0) this.#cancelDelay = this.system.clock.after(waitMs, this.#flush);
    else setImmediate(this.#flush);
  }

  /** Bytes that a new socket counts as written: otherwise all members of a room would be asked in the same turn. */
  headStart(): number {
    return this.askEveryBytes === Infinity ? 0 : Math.floor((this.system.ids.random() * this.askEveryBytes) / 2);
  }

  /**
   * Writes this outbox at the end of this turn, because somebody waits for its last message, or because it is full. Earlier
   * messages go out with it.
   */
  hurry(outbox: FlushedOutbox): void {
    if (this.#cancelDelay === undefined && this.#gapMs === 0) return;
    if (this.#hurried.push(outbox) === 1) setImmediate(this.#flushHurried);
  }

  tooSlow(outbox: FlushedOutbox): void {
    // The application has closed it already, and the peer doesn't read that either.
    if (outbox.ws.readyState !== outbox.ws.OPEN) outbox.ws.terminate();
    else this.counters.closed++;
    outbox.end();
    this.closeSlow(outbox);
  }

  /** Sets how many bytes wait in the socket. */
  waits(outbox: FlushedOutbox, bytes: number): void {
    this.waitingBytes += bytes - outbox.waitingBytes;
    outbox.waitingBytes = bytes;
    if (bytes === 0) this.#behind.delete(outbox);
    else this.#behind.add(outbox);
    if (this.#behind.size > 0) this.#stopSweeping ??= this.#startSweeping();
    // Once for all sockets that fall behind in this turn: searching for the largest after each would take quadratic time.
    if (this.waitingBytes > this.limits.processMaxBufferedBytes)
      this.#eviction ??= setImmediate(guarded('slow clients', this.failed, this.#evictLargest));
  }

  stop(): void {
    for (const stop of [this.#stopSweeping, this.#cancelGap, this.#cancelDelay]) stop?.();
    clearImmediate(this.#eviction);
    this.#stopSweeping = this.#cancelGap = this.#cancelDelay = this.#eviction = undefined;
    this.#gapEndsAt = Infinity;
    this.#later.clear();
    this.#touched = [];
  }

  readonly #flush = (): void => {
    const touched = this.#touched;
    this.#touched = [];
    this.#cancelDelay = undefined;
    this.run = FrameRun.start();
    if (this.#gapMs > 0) return this.#flushSpaced(touched, this.system.clock.now());
    if (this.#auto) return this.#flushMeasured(touched, this.#auto);
    for (const outbox of touched) this.#endTurnOf(outbox);
  };

  #flushMeasured(touched: FlushedOutbox[], auto: AutoPace): void {
    // One outbox stands for all: members of a room get the same messages.
    const messages = touched[touched.length >> 1]?.queuedMessages ?? 0;
    const began = this.system.clock.now();
    for (const outbox of touched) this.#endTurnOf(outbox);
    const ended = this.system.clock.now();
    auto.flushed(ended, ended - began, messages);
  }

  readonly #flushHurried = (): void => {
    const now = this.#gapMs > 0 ? this.system.clock.now() : 0;
    for (const outbox of this.#hurried.splice(0)) {
      outbox.flushedAt = now;
      this.#endTurnOf(outbox);
    }
  };

  /** A socket that was written to a moment ago waits for the rest of its gap. Any other is written to at once. */
  #flushSpaced(outboxes: Iterable<FlushedOutbox>, now: number): void {
    let endsAt = Infinity;
    for (const outbox of outboxes) {
      if (!outbox.isTouched) continue; // a reply has taken its messages along
      const gapEndsAt = outbox.flushedAt + this.#gapMs;
      if (now < gapEndsAt && outbox.queuedBytes <= FULL_BYTES) {
        this.#later.add(outbox);
        endsAt = Math.min(endsAt, gapEndsAt);
        continue;
      }
      outbox.flushedAt = now;
      this.#endTurnOf(outbox);
    }
    if (endsAt < this.#gapEndsAt) this.#wakeAt(endsAt, now);
  }

  #wakeAt(endsAt: number, now: number): void {
    this.#cancelGap?.();
    this.#gapEndsAt = endsAt;
    this.#cancelGap = this.system.clock.after(Math.ceil(endsAt - now), this.#flushLater);
  }

  readonly #flushLater = (): void => {
    const later = this.#later;
    this.#later = new Set();
    this.#gapEndsAt = Infinity;
    this.#flushSpaced(later, this.system.clock.now());
  };

  /** An error of one socket must not stop the others. A socket that lost frames is closed. */
  #endTurnOf(outbox: FlushedOutbox): void {
    try {
      outbox.turnEnded();
    } catch (error) {
      outbox.ws.terminate();
      this.failed(error);
    }
  }

  #startSweeping(): () => void {
    this.#sweptAt = this.system.clock.now();
    return this.system.clock.every(SWEEP_MS, guarded('slow clients', this.failed, this.#closeStalled));
  }

  readonly #closeStalled = (): void => {
    const { drainTimeoutMs } = this.limits;
    const now = this.system.clock.now();
    // This process was suspended. What the peers took meanwhile isn't known yet.
    const isLate = now - this.#sweptAt > 2 * SWEEP_MS;
    this.#sweptAt = now;
    if (isLate) return;
    for (const outbox of this.#behind) {
      outbox.look();
      if (outbox.owedBytes === 0) outbox.behindSince = now; // the time limit begins when it owes something
      if (outbox.waitingBytes > 0 && now - outbox.behindSince > drainTimeoutMs) this.tooSlow(outbox);
    }
    if (this.#behind.size > 0) return;
    this.#stopSweeping?.();
    this.#stopSweeping = undefined;
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

  /** Counts again, without the bytes that the operating system has taken since the last count. */
  #recount(outbox: FlushedOutbox): void {
    const bytes = Math.max(1, outbox.owedBytes);
    this.waitingBytes += bytes - outbox.waitingBytes;
    outbox.waitingBytes = bytes;
  }
}
