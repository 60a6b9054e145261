import type { Owner } from './key-owners.js';
import type { Asker, Mine } from './reply-store.js';

/** A key whose handler runs. */
export interface Running extends Mine {
  readonly asker: Asker;
  readonly owner: Owner;
  /** Until it has a place, 0. */
  hash: number;
  readonly windowMs: number;
  readonly runMs: number;
  /** Until when it is known, if it doesn't end before. Set when it gets its place. */
  until: number | undefined;
  /** Its place among those that run: negative. 0 as long as it has none. */
  place: number;
}

/** The keys whose handlers run, each in a place of its own. */
export class RunningKeys {
  /** Of the keys. */
  chars = 0;
  readonly #slots: (Running | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#slots.length - this.#free.length;
  }

  each(visit: (one: Running) => void): void {
    for (const one of this.#slots) if (one) visit(one);
  }

  at(place: number): Running | undefined {
    return place < 0 ? this.#slots[-1 - place] : undefined;
  }

  add(one: Running): void {
    const slot = this.#free.pop() ?? this.#slots.length;
    this.#slots[slot] = one;
    one.place = -1 - slot;
    this.chars += one.asker.key.length;
  }

  delete(one: Running): void {
    const slot = -1 - one.place;
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    one.place = 0;
    this.chars -= one.asker.key.length;
  }
}
