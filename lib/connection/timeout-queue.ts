import type { Clock } from '../clock.js';

/** Fields that the queue keeps on its items. An item is in one queue at most. */
export interface Timed<T> {
  /** By the monotonic clock; 0 for an item in no queue. */
  deadline: number;
  earlier: T | undefined;
  later: T | undefined;
}

/**
 * Deadlines with the same time limit. They expire in the order in which they were added, so one timer is enough.
 *
 * A linked list and not a `Map`: a busy `Map` leaves tables behind that point to the next table and to its entries. Once one
 * of them is old, the garbage collection of young objects keeps them all.
 */
export class TimeoutQueue<T extends Timed<T>> {
  #first: T | undefined;
  #last: T | undefined;
  #cancelSweep: (() => void) | undefined;

  constructor(
    private readonly clock: Pick<Clock, 'now' | 'after'>,
    private readonly timeoutMs: number,
    private readonly expired: (item: T) => void,
  ) {}

  /** Starts the time of an item; does nothing if it runs already. */
  add(item: T): void {
    if (item.deadline > 0) return;
    item.deadline = this.clock.now() + this.timeoutMs;
    item.earlier = this.#last;
    if (this.#last) this.#last.later = item;
    else this.#first = item;
    this.#last = item;
    if (!this.#cancelSweep) this.#sweepIn(this.timeoutMs);
  }

  /** True for an item whose time is over, even if `expired` wasn't called yet. */
  isOver({ deadline }: T): boolean {
    return deadline > 0 && deadline <= this.clock.now();
  }

  delete(item: T): void {
    if (item.deadline === 0) return;
    const { earlier, later } = item;
    if (earlier) earlier.later = later;
    else this.#first = later;
    if (later) later.earlier = earlier;
    else this.#last = earlier;
    item.deadline = 0;
    item.earlier = item.later = undefined;
  }

  stop(): void {
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
    while (this.#first) this.delete(this.#first);
  }

  #sweepIn(ms: number): void {
    this.#cancelSweep = this.clock.after(ms, this.#sweep);
  }

  readonly #sweep = (now: number): void => {
    this.#cancelSweep = undefined;
    while (this.#first) {
      const item = this.#first;
      if (item.deadline > now) return this.#sweepIn(item.deadline - this.clock.now());
      this.delete(item);
      this.expired(item);
    }
  };
}
