/** A run of numbers on a channel; the next one begins here. What a channel counts in a run stays far below it. */
const RUN = 2 ** 32;

/**
 * Counts what this node publishes on each channel. Bounded: a channel that was forgotten begins a new run, whose numbers are above
 * all that it had.
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

  /** Half of them, so that runs don't run out. */
  #forgetOldest(): void {
    this.#run++;
    let count = Math.ceil(this.maxChannels / 2);
    for (const channel of this.#last.keys()) {
      if (count-- === 0) return;
      this.#last.delete(channel);
    }
  }
}

/** Publishers that are remembered: emitters never say that they go. */
const MAX_PUBLISHERS = 10_000;
/** One that is silent for this long is forgotten, in ms. */
const FORGET_AFTER_MS = 600_000;
/** A copy that comes later than this is too late anyway, in ms. */
const REMEMBER_COPIES_MS = 6_000;
/** Copies that are remembered of a publisher at most, twice. */
const MAX_COPIES = 100_000;

/** What arrives from one publisher: finds gaps, what comes late, and second copies. */
class Publisher {
  usedAt = 0;
  /** Undefined: never, or its node is gone. */
  heardAt: number | undefined;
  readonly #lastOn = new Map<string, number>();
  /** Copies of now, and those before: they are forgotten by halves. */
  #seen = new Set<number>();
  #seenBefore = new Set<number>();
  #seenSince = -Infinity;

  /** @returns how many are missing before this one; -1 for one that comes after a later one */
  gapBefore(channel: string, sequence: number): number {
    const last = this.#lastOn.get(channel);
    if (last !== undefined && sequence <= last) return -1;
    this.#lastOn.set(channel, sequence);
    const isSameRun = last !== undefined && Math.floor(last / RUN) === Math.floor(sequence / RUN);
    return isSameRun ? sequence - last - 1 : 0;
  }

  /** @returns true when it was noted before: this is the second copy of a message */
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

/** What arrives from all publishers. */
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

  /** By the clock of this process; undefined for one that was never heard. */
  lastHeardOf(nodeId: string): number | undefined {
    return this.#publishers.get(nodeId)?.heardAt;
  }

  /** Forgets who has been silent for long. */
  sweep(now: number): void {
    this.#sweptAt = now;
    for (const [nodeId, publisher] of this.#publishers) {
      if (now - publisher.usedAt > FORGET_AFTER_MS) this.#publishers.delete(nodeId);
    }
  }

  /** Called when this node stops listening on a channel: what comes after is no gap. */
  forgetChannel(channel: string): void {
    for (const publisher of this.#publishers.values()) publisher.forget(channel);
  }

  /** It is gone, or goes on under another id: then what it publishes is still counted from where it was. */
  forgetNode(nodeId: string): void {
    const publisher = this.#publishers.get(nodeId);
    if (publisher) publisher.heardAt = undefined;
  }
}
