/** A copy that arrives later is dropped as stale, in ms. */
const REMEMBER_MS = 6_000;
/** Half of the copies and clients that are remembered for a publisher. */
const MAX_REMEMBERED = 100_000;
/** All of them: whoever is in one of its rooms. */
const EVERYBODY = new Set<string>();

/** Says whether a client gets this delivery for the first time. */
export type IsFirst = (clientId: string) => boolean;

/** The deliveries of one publisher that arrive more than once, and who got them: a client gets one copy of each. */
export class Copies {
  /** By number, the clients that had it; the newer half. The older half is forgotten next. */
  #had = new Map<number, Set<string>>();
  #hadBefore = new Map<number, Set<string>>();
  #since = -Infinity;
  #size = 0;

  /** @returns true for the second copy of a message. The first one was for all its rooms */
  note(copyId: number, now: number): boolean {
    if (this.#find(copyId)) return true;
    this.#remember(copyId, EVERYBODY, now);
    return false;
  }

  /** For a message that arrives in parts, each for some of its rooms. */
  partOf(partsId: number, now: number): IsFirst {
    const known = this.#find(partsId);
    const had = known ?? new Set<string>();
    if (!known) this.#remember(partsId, had, now);
    return (clientId) => {
      if (had.has(clientId)) return false;
      had.add(clientId);
      this.#size++;
      return true;
    };
  }

  #find(id: number): Set<string> | undefined {
    return this.#had.get(id) ?? this.#hadBefore.get(id);
  }

  #remember(id: number, had: Set<string>, now: number): void {
    if (now - this.#since > REMEMBER_MS || this.#size >= MAX_REMEMBERED) {
      this.#hadBefore = this.#had;
      this.#had = new Map();
      this.#since = now;
      this.#size = 0;
    }
    this.#had.set(id, had);
    this.#size++;
  }
}
