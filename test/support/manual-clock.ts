import type { Clock } from '../../lib/clock.js';

interface Timer {
  due: number;
  every: number | undefined;
  task: (now: number) => void;
}

/** Time that passes when a test says so. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  /** @param turns of the event loop after each timer, for what it began */
  constructor(private readonly turns = 1) {}

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now;
  }

  soon(task: () => void): void {
    this.after(0, task);
  }

  after(ms: number, task: (now: number) => void): () => void {
    return this.#add({ due: this.#now + ms, every: undefined, task });
  }

  every(ms: number, task: () => void): () => void {
    return this.#add({ due: this.#now + ms, every: ms, task });
  }

  /** Calls what is due on the way, in its order, and lets what it began settle. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.#settle();
    for (;;) {
      const [next] = [...this.#timers].filter(({ due }) => due <= end).toSorted((one, other) => one.due - other.due);
      if (!next) break;
      this.#now = next.due;
      if (next.every === undefined) this.#timers.delete(next);
      else next.due += next.every;
      next.task(this.#now);
      await this.#settle();
    }
    this.#now = end;
  }

  async #settle(): Promise<void> {
    for (let turn = 0; turn < this.turns; turn++) await settle();
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}

/** Lets promises that wait for nothing but each other settle. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
