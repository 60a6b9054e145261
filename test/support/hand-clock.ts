import type { Clock } from '../../lib/clock.js';

interface Timer {
  at: number;
  task: () => void;
  everyMs: number | undefined;
}

/** A clock that a test moves by hand: timers run in order, and what they set going settles before the next. */
export class HandClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  soon(task: () => void): void {
    this.after(0, task);
  }

  after(ms: number, task: () => void): () => void {
    return this.#add({ at: this.#now + ms, task, everyMs: undefined });
  }

  every(ms: number, task: () => void): () => void {
    return this.#add({ at: this.#now + ms, task, everyMs: ms });
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#now = next.at;
      if (next.everyMs === undefined) this.#timers.delete(next);
      else next.at += next.everyMs;
      next.task();
      await settle();
    }
    this.#now = end;
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  #next(end: number): Timer | undefined {
    const [first] = [...this.#timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
    return first;
  }
}

/** Lets promises that wait for nothing but each other settle. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
