import type { Clock } from '../clock.js';
import { type Failed, guarded } from '../guarded.js';

/** How long work goes on in one turn of the event loop, in ms. Reading one node and copying another may meet in one turn. */
const STEP_MS = 5;

/** Long work in steps: between them everything else in this process has its turn. All that is done here shares one budget. */
export class Steps {
  /** Undefined: nothing was done in this turn yet. */
  #until: number | undefined;
  #nextTurn: Promise<void> = Promise.resolve();

  constructor(
    private readonly clock: Clock,
    /** Hears of an item that could not be worked on; the others are. */
    private readonly failed: Failed,
  ) {}

  /** Work that fits into a step is done when this returns; the rest when its promise resolves. It never rejects. */
  async each<T>(items: Iterable<T>, place: string, work: (item: T) => void): Promise<void> {
    const guardedWork = guarded(place, this.failed, work);
    for (const item of items) {
      guardedWork(item);
      while (!this.#hasTime()) await this.#nextTurn; // before the next item is looked at: it may be another one by then
    }
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
