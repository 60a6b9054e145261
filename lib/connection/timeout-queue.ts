import { monotonicMs } from '../clock.js';

/** What a queue keeps at its items, each of which stands in one queue at most. */
export interface Timed<T> {
  /** By the monotonic clock; 0 for one that stands in none. */
  deadline: number;
  earlier: T | undefined;
  later: T | undefined;
}

/**
 * Deadlines that all lie equally far ahead: they expire in the order they came, so one timer serves them all instead of
 * one for each message.
 *
 * A list and not a `Map`: the tables that a busy `Map` leaves behind point at the next one and at what they held, and once
 * one of them is old, a young collection keeps them all.
 */
export class TimeoutQueue<T extends Timed<T>> {
  #first: T | undefined;
  #last: T | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly timeoutMs: number,
    private readonly expired: (item: T) => void,
  ) {}

  /** From now on; a no-op for one whose time runs already. */
  add(item: T): void {
    if (item.deadline > 0) return;
    item.deadline = monotonicMs() + this.timeoutMs;
    item.earlier = this.#last;
    if (this.#last) this.#last.later = item;
    else this.#first = item;
    this.#last = item;
    this.#timer ??= setTimeout(() => this.#sweep(), this.timeoutMs).unref();
  }

  /** True for one whose time has run out, though it may not have been told yet. */
  isOver({ deadline }: T): boolean {
    return deadline > 0 && deadline <= monotonicMs();
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
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#first) this.delete(this.#first);
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = monotonicMs();
    while (this.#first) {
      const item = this.#first;
      if (item.deadline > now) {
        this.#timer = setTimeout(() => this.#sweep(), item.deadline - now).unref();
        return;
      }
      this.delete(item);
      this.expired(item);
    }
  }
}
