import type { Clock } from '../clock.js';
import type { Outlet } from './transport.js';

/** A message that took longer was held up by a frozen Redis or a broken network, in ms. */
const STALE_AFTER_MS = 5_000;
/** A slower reading of the clock is too imprecise, in ms. */
const MAX_ROUND_TRIP_MS = 1_000;

/** A reading that differs this much from the last one means that the clock was set, in ms. */
const STEP_MS = 500;
/** By then, all processes have read a clock that was set, in ms. */
const SETTLED_MS = 10_000;

/** The clock isn't read again sooner than this, in ms. */
const MEASURE_AGAIN_MS = 200;

/** The clock of Redis. All nodes and emitters can read it, while the clocks of two hosts may differ. */
export class SharedClock {
  #ahead: number | undefined;
  /** The clock before it was set. Some processes may still use it. */
  #before: { ahead: number; until: number } | undefined;

  #measuredAt = -Infinity;

  constructor(private readonly clock: Clock) {}

  /**
   * In ms since the epoch. 0 while it isn't known.
   * @param here the clock of this process, if it was read already
   */
  now(here = this.clock.now()): number {
    return this.#ahead === undefined ? 0 : here + this.#ahead;
  }

  /** Reads the clock again, because a message seems stale and the clock may have been set. */
  async measureAgain(outlet: Pick<Outlet, 'isOpen' | 'time'>): Promise<void> {
    if (outlet.isOpen && this.clock.now() - this.#measuredAt >= MEASURE_AGAIN_MS) await this.measure(outlet);
  }

  async measure(outlet: Pick<Outlet, 'time'>): Promise<void> {
    const before = (this.#measuredAt = this.clock.now());
    const [seconds, microseconds] = (await outlet.time()).map(Number) as [number, number];
    const after = this.clock.now();
    if (after - before > MAX_ROUND_TRIP_MS) return;
    const ahead = seconds * 1_000 + microseconds / 1_000 - (before + after) / 2;
    const last = this.#ahead;
    if (last !== undefined && Math.abs(ahead - last) > STEP_MS)
      this.#before = { ahead: last, until: after + SETTLED_MS };
    this.#ahead = ahead;
  }

  /** True for a message that was sent too long ago. Both clocks count for a while if it was set. */
  isStale(sentAt: number, here = this.clock.now()): boolean {
    if (!isStale(sentAt, this.now(here))) return false;
    return !this.#before || here > this.#before.until || isStale(sentAt, here + this.#before.ahead);
  }
}

/** True for a message that was sent too long ago. False if one of the times is unknown. */
export const isStale = (sentAt: number, now: number): boolean => sentAt > 0 && now > 0 && now - sentAt > STALE_AFTER_MS;
