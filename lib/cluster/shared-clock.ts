import type { Clock } from '../clock.js';
import type { Outlet } from './transport.js';

/** A message that took longer than this was held up somewhere, by a frozen Redis or a network that came back, in ms. */
const STALE_AFTER_MS = 5_000;
/** A reading that took longer says too little about the time, in ms. */
const MAX_ROUND_TRIP_MS = 1_000;

/** A reading that is further from the last one than this: the clock was set, in ms. */
const STEP_MS = 500;
/** All have read a clock that was set by then, in ms. */
const SETTLED_MS = 10_000;

/** It is read again no sooner than this after the last time, in ms. */
const MEASURE_AGAIN_MS = 200;

/** The clock of Redis, the one that all nodes and emitters can read: those of two hosts needn't agree. */
export class SharedClock {
  #ahead: number | undefined;
  /** Before it was set, which not all may know yet. */
  #before: { ahead: number; until: number } | undefined;

  #measuredAt = -Infinity;

  constructor(private readonly clock: Clock) {}

  /** Milliseconds since the epoch, by Redis; 0 while it isn't known. */
  now(): number {
    return this.#ahead === undefined ? 0 : this.clock.now() + this.#ahead;
  }

  /** Once more, as something seems stale: it was set, perhaps. */
  async measureAgain(outlet: Pick<Outlet, 'time'>): Promise<void> {
    if (this.clock.now() - this.#measuredAt >= MEASURE_AGAIN_MS) await this.measure(outlet);
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

  /** True for what was sent too long ago to be delivered, by the clock as it is and, if it was just set, as it was. */
  isStale(sentAt: number): boolean {
    if (!isStale(sentAt, this.now())) return false;
    const now = this.clock.now();
    return !this.#before || now > this.#before.until || isStale(sentAt, now + this.#before.ahead);
  }
}

/** True for what was sent too long ago to be delivered; false where one of the two times isn't known. */
export const isStale = (sentAt: number, now: number): boolean => sentAt > 0 && now > 0 && now - sentAt > STALE_AFTER_MS;
