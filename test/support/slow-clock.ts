import type { Clock } from '../../lib/clock.js';
import { settle } from './manual-clock.js';

/** Each look at it takes a millisecond; what is to come soon comes when the test says so. */
export class SlowClock implements Clock {
  #now = 0;
  #soon: (() => void)[] = [];

  get hasMore(): boolean {
    return this.#soon.length > 0;
  }

  now(): number {
    return ++this.#now;
  }

  wall(): number {
    return this.now();
  }

  soon(task: () => void): void {
    this.#soon.push(task);
  }

  after(): () => void {
    return () => undefined;
  }

  every(): () => void {
    return () => undefined;
  }

  async turn(): Promise<void> {
    for (const task of this.#soon.splice(0)) task();
    await settle();
  }
}
