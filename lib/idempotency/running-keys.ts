import type { Owner } from './key-owners.js';
import { type Asker, type KeyRule, type Mine, nameOf } from './reply-store.js';

/** A key whose handler runs. */
export interface Running extends Mine {
  readonly asker: Asker;
  readonly owner: Owner;
  readonly rule: KeyRule;
  /** Until when it is known, if it doesn't end before. Set when others may ask for it. */
  until: number | undefined;
}

/** The keys whose handlers run for longer than a turn. */
export class RunningKeys {
  /** Of the keys. */
  chars = 0;
  readonly #byName = new Map<string, Running>();

  get size(): number {
    return this.#byName.size;
  }

  all(): Iterable<Running> {
    return this.#byName.values();
  }

  of(asker: Asker): Running | undefined {
    return this.#byName.size > 0 ? this.#byName.get(nameOf(asker)) : undefined;
  }

  add(one: Running): void {
    this.#byName.set(nameOf(one.asker), one);
    this.chars += one.asker.key.length;
  }

  /** @returns false if it isn't here any more */
  delete(one: Running): boolean {
    const name = nameOf(one.asker);
    if (this.#byName.get(name) !== one) return false;
    this.#byName.delete(name);
    this.chars -= one.asker.key.length;
    return true;
  }
}
