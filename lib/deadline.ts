import type { Clock } from './clock.js';

export const TIMED_OUT = Symbol('timed out');

/** What a time limit needs of a clock. */
export type Timer = Pick<Clock, 'after'>;

/**
 * A time limit for one or several waits. Cancel it when they are over, because its timer keeps the process alive: a shutdown must
 * reach its end. What came in time counts, also if this process stood still and reads it late.
 */
export class Deadline {
  /** Reaches the limit at once. */
  readonly end: () => void;
  readonly cancel: () => void;
  #isOver = false;
  readonly #over: Promise<typeof TIMED_OUT>;

  constructor(clock: Timer, ms: number) {
    let resolve!: (outcome: typeof TIMED_OUT) => void;
    this.#over = new Promise((settle) => (resolve = settle));
    this.end = () => {
      this.#isOver = true;
      resolve(TIMED_OUT);
    };
    this.cancel = clock.after(ms, this.end, true);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Settles like `work`, or at the limit. */
  race<T>(work: Promise<T>): Promise<T | typeof TIMED_OUT> {
    return Promise.race([work, this.#over]);
  }
}

/** Resolves when `work` has settled, or after `ms`. */
export async function withinMs(clock: Timer, ms: number, work: Promise<unknown>): Promise<void> {
  const deadline = new Deadline(clock, ms);
  await deadline.race(work.catch(() => undefined));
  deadline.cancel();
}

/**
 * Settles like `work`, but not later than after `ms`.
 * @param late makes the error of what takes longer
 */
export async function inTime<T>(clock: Timer, ms: number, work: Promise<T>, late: () => Error): Promise<T> {
  const deadline = new Deadline(clock, ms);
  const outcome = await deadline.race(work).finally(() => deadline.cancel());
  if (outcome === TIMED_OUT) throw late();
  return outcome;
}
