import { type EventLoopUtilization, performance } from 'node:perf_hooks';

/**
 * When queued messages are written: at the end of each turn, a little later under load, or with at least `gapMs`
 * between two writes.
 */
export type FlushPace = 'turn' | 'auto' | { gapMs: number };

/** Milliseconds that the event loop has worked and waited, since its start. */
type Utilization = Pick<EventLoopUtilization, 'active' | 'idle'>;

/** A flush that takes less time isn't worth delaying, in ms. */
const WORTH_MS = 0.5;
const MAX_DELAY_MS = 5;
/** With this many messages for each socket in a flush, waiting longer would save little and cost latency. */
const MANY_MESSAGES = 4;
/**
 * The share of the available processor time above which a process counts as busy. Below it there is nothing to save.
 */
const BUSY = 0.8;

/**
 * Writing to a thousand sockets takes milliseconds, for one message each or for three. Under load, the next flush
 * therefore waits as long as the last one took, so that more messages share it. This saves 30 to 40 % of the processor
 * time, and adds that wait to the median latency.
 */
export class AutoPace {
  #notBefore = 0;
  /** How long flushes have waited since the load was last measured, in ms. */
  #waitedMs = 0;
  #measured: Utilization;

  constructor(private readonly utilization: () => Utilization = () => performance.eventLoopUtilization()) {
    this.#measured = utilization();
  }

  /** @returns how long the next flush should wait, in ms */
  waitMs(now: number): number {
    const waitMs = Math.max(0, this.#notBefore - now);
    this.#waitedMs += waitMs;
    return waitMs;
  }

  /**
   * Called after each flush.
   * @param tookMs roughly its processor time
   * @param messages the average number of messages for each socket
   */
  flushed(now: number, tookMs: number, messages: number): void {
    this.#notBefore = 0;
    if (tookMs < WORTH_MS || messages >= MANY_MESSAGES) return;
    if (this.#isBusy()) this.#notBefore = now + Math.min(tookMs, MAX_DELAY_MS);
  }

  /** The time that flushes waited doesn't count as idle time: without the wait, it would have been work. */
  #isBusy(): boolean {
    const measured = this.utilization();
    const active = measured.active - this.#measured.active;
    const idle = Math.max(0, measured.idle - this.#measured.idle - this.#waitedMs);
    this.#measured = measured;
    this.#waitedMs = 0;
    return active > BUSY * (active + idle);
  }
}
