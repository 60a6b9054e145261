/** A copy that arrives later is dropped as stale, in ms. */
const REMEMBER_MS = 6_000;
/** Half of the copies and clients that are remembered for a publisher. */
const MAX_REMEMBERED = 100_000;

/** Says whether a client gets this delivery for the first time. */
export type IsFirst = (clientId: string) => boolean;

/** What arrived in one span of time. The two kinds are apart: a number of one kind says nothing about the other. */
class Arrived {
  /** The numbers of messages for all their rooms. */
  readonly copies = new Set<number>();
  /** By the number of a message in parts, the clients that had it. */
  readonly parts = new Map<number, Set<string>>();
}

/** The deliveries of one publisher that arrive more than once, and who got them: a client gets one copy of each. */
export class Copies {
  /** The newer half of what is remembered. The older half is forgotten next. */
  #newer = new Arrived();
  #older = new Arrived();
  #since = -Infinity;
  #size = 0;

  /** @returns true for the second copy of a message. The first one was for all its rooms */
  note(copyId: number, now: number): boolean {
    if (this.#newer.copies.has(copyId) || this.#older.copies.has(copyId)) return true;
    this.#makeRoom(now);
    this.#newer.copies.add(copyId);
    return false;
  }

  /** For a message that arrives in parts, each for some of its rooms. */
  partOf(partsId: number, now: number): IsFirst {
    let had = this.#newer.parts.get(partsId) ?? this.#older.parts.get(partsId);
    if (!had) {
      this.#makeRoom(now);
      this.#newer.parts.set(partsId, (had = new Set()));
    }
    const clients = had;
    return (clientId) => {
      if (clients.has(clientId)) return false;
      clients.add(clientId);
      this.#size++;
      return true;
    };
  }

  #makeRoom(now: number): void {
    if (now - this.#since > REMEMBER_MS || this.#size >= MAX_REMEMBERED) {
      this.#older = this.#newer;
      this.#newer = new Arrived();
      this.#since = now;
      this.#size = 0;
    }
    this.#size++;
  }
}
