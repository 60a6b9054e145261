import type { Clock } from './clock.js';
import { type Failed, guarded } from './guarded.js';

/**
 * How long this works in one turn of the event loop, in ms. Half of the 10 ms of a turn, because other long work may be
 * under way.
 */
const STEP_MS = 5;

/** Does long work in steps, so that other work of this process gets its turn. All callers share the time of a turn. */
export class Steps {
  /** When this turn's step ends. Undefined before it began. */
  #until: number | undefined;
  #nextTurn: Promise<void> = Promise.resolve();
  readonly #begin = this.queue('long work', (begin: () => void) => begin());

  constructor(
    private readonly clock: Clock,
    /** Gets the error of an item. The work goes on with the next one. */
    private readonly failed: Failed,
  ) {}

  /** Begins at once: short work is done when this returns. Resolves when all is done, never rejects. */
  async each<T>(items: Iterable<T>, place: string, work: (item: T) => void): Promise<void> {
    const guardedWork = guarded(place, this.failed, work);
    for (const item of items) {
      guardedWork(item);
      while (!this.#hasTime()) await this.#nextTurn; // the next item may change meanwhile
    }
  }

  /** @returns what takes an item. Begins with it after the caller; the items keep their order */
  queue<T>(place: string, work: (item: T) => void): (item: T) => void {
    let waiting: T[] = [];
    let isWorking = false;
    const workOff = async (): Promise<void> => {
      isWorking = true;
      await Promise.resolve(); // what the caller adds comes with it
      while (waiting.length > 0) {
        const items = waiting;
        waiting = [];
        await this.each(items, place, work);
      }
      isWorking = false;
    };
    return (item) => {
      waiting.push(item);
      if (!isWorking) void workOff();
    };
  }

  /** Begins after the caller, in the order of the calls. What comes before the first `await` counts. @returns as `work` does */
  inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve) => this.#begin(() => resolve((async () => work())())));
  }

  #hasTime(): boolean {
    const now = this.clock.now();
    if (this.#until === undefined) {
      this.#until = now + STEP_MS;
      this.#nextTurn = new Promise((resolve) =>
        this.clock.soon(() => {
          this.#until = undefined;
          resolve();
        }),
      );
    }
    return now < this.#until;
  }
}
