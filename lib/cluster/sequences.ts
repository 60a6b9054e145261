/** Where the next run of numbers of a channel begins. The numbers within a run stay far below it. */
const RUN = 2 ** 32;

/**
 * Numbers what this node publishes on each channel. To stay bounded it forgets old channels; such a channel begins a
 * new run, above all its earlier numbers.
 */
export class OutgoingSequences {
  readonly #last = new Map<string, number>();
  #run = 0;

  constructor(private readonly maxChannels = 100_000) {}

  next(channel: string): number {
    let last = this.#last.get(channel);
    if (last === undefined) {
      if (this.#last.size >= this.maxChannels) this.#forgetOldest();
      last = this.#run * RUN;
    }
    this.#last.set(channel, last + 1);
    return last + 1;
  }

  /** Forgets half of them at a time, so that runs don't run out. */
  #forgetOldest(): void {
    this.#run++;
    let count = Math.ceil(this.maxChannels / 2);
    for (const channel of this.#last.keys()) {
      if (count-- === 0) return;
      this.#last.delete(channel);
    }
  }
}

/** How many publishers are remembered. Emitters never announce their end. */
const MAX_PUBLISHERS = 10_000;
/** A publisher that is silent for this long is forgotten, in ms. */
const FORGET_AFTER_MS = 600_000;
/** A copy that arrives later is dropped as stale, in ms. */
const REMEMBER_COPIES_MS = 6_000;
/** Half of the copies that are remembered for a publisher. */
const MAX_COPIES = 100_000;

/** Follows the numbers of one publisher: finds gaps, late messages and second copies. */
class Publisher {
  usedAt = 0;
  /** Undefined if it was never heard, or its node is gone. */
  heardAt: number | undefined;
  readonly #lastOn = new Map<string, number>();
  /** The newer half of the copies; the older half is forgotten next. */
  #seen = new Set<number>();
  #seenBefore = new Set<number>();
  #seenSince = -Infinity;

  /** @returns how many are missing before this one; -1 if a later one has arrived */
  gapBefore(channel: string, sequence: number): number {
    const last = this.#lastOn.get(channel);
    if (last !== undefined && sequence <= last) return -1;
    this.#lastOn.set(channel, sequence);
    const isSameRun = last !== undefined && Math.floor(last / RUN) === Math.floor(sequence / RUN);
    return isSameRun ? sequence - last - 1 : 0;
  }

  /** @returns true for the second copy of a message */
  noteCopy(copyId: number, now: number): boolean {
    if (this.#seen.has(copyId) || this.#seenBefore.has(copyId)) return true;
    if (now - this.#seenSince > REMEMBER_COPIES_MS || this.#seen.size >= MAX_COPIES) {
      this.#seenBefore = this.#seen;
      this.#seen = new Set();
      this.#seenSince = now;
    }
    this.#seen.add(copyId);
    return false;
  }

  forget(channel: string): void {
    this.#lastOn.delete(channel);
  }
}

/** Follows the numbers of all publishers. */
export class IncomingSequences {
  readonly #publishers = new Map<string, Publisher>();
  #sweptAt = 0;

  of(nodeId: string, now: number): Publisher {
    let publisher = this.#publishers.get(nodeId);
    if (!publisher) {
      if (now - this.#sweptAt > FORGET_AFTER_MS) this.sweep(now);
      if (this.#publishers.size >= MAX_PUBLISHERS) this.#forgetOldest();
      this.#publishers.set(nodeId, (publisher = new Publisher()));
    }
    publisher.usedAt = now;
    return publisher;
  }

  #forgetOldest(): void {
    for (const nodeId of this.#publishers.keys()) {
      this.#publishers.delete(nodeId);
      return;
    }
  }

  /** By the clock of this process. Undefined if it was never heard. */
  lastHeardOf(nodeId: string): number | undefined {
    return this.#publishers.get(nodeId)?.heardAt;
  }

  /** Forgets publishers that were silent for long. */
  sweep(now: number): void {
    this.#sweptAt = now;
    for (const [nodeId, publisher] of this.#publishers) {
      if (now - publisher.usedAt > FORGET_AFTER_MS) this.#publishers.delete(nodeId);
    }
  }

  /** This node stops listening on a channel. If it comes back, the numbers between are no gap. */
  forgetChannel(channel: string): void {
    for (const publisher of this.#publishers.values()) publisher.forget(channel);
  }

  /** The node is gone, or has a new id. Its numbers are kept: under a new id it goes on counting. */
  forgetNode(nodeId: string): void {
    const publisher = this.#publishers.get(nodeId);
    if (publisher) publisher.heardAt = undefined;
  }
}
