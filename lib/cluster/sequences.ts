/** Counts what this node publishes on each channel. Bounded: a forgotten channel begins again at 1. */
export class OutgoingSequences {
  readonly #last = new Map<string, number>();

  constructor(private readonly maxChannels = 100_000) {}

  next(channel: string): number {
    const sequence = (this.#last.get(channel) ?? 0) + 1;
    if (sequence === 1 && this.#last.size >= this.maxChannels) this.#forgetOldest();
    this.#last.set(channel, sequence);
    return sequence;
  }

  #forgetOldest(): void {
    for (const channel of this.#last.keys()) {
      this.#last.delete(channel);
      return;
    }
  }
}

/** How much later than usual a message may come before it counts as stale, in ms. */
const STALE_AFTER_MS = 5_000;
/** When every message of a publisher has been late for this long, one of the two clocks was set, in ms. */
const CLOCK_MOVED_AFTER_MS = 10_000;
/** Publishers that are remembered: nodes are forgotten when they go, emitters never say so. */
const MAX_PUBLISHERS = 10_000;
/** Messages to several rooms that a publisher may have under way at once before a copy could slip through. */
const REMEMBERED = 1_024;

/** Nodes that left and whose last messages may still be on their way. */
const MAX_GONE = 1_000;

/** What arrives from one publisher: finds gaps, stale messages and second copies. */
class Publisher {
  readonly #lastOn = new Map<string, number>();
  readonly #seen = new Set<number>();
  /** The shortest way a message took, by two clocks that needn't agree: what is much longer was held up somewhere. */
  #usualDelay = Infinity;
  /** Since when every message has seemed late, and the shortest way one of them took. */
  #late: { since: number; shortest: number } | undefined;

  /** @returns how many are missing before this one */
  gapBefore(channel: string, sequence: number): number {
    const last = this.#lastOn.get(channel);
    this.#lastOn.set(channel, sequence);
    return last === undefined || sequence <= last ? 0 : sequence - last - 1;
  }

  isStale(sentAt: number, now: number): boolean {
    const delay = now - sentAt;
    this.#usualDelay = Math.min(this.#usualDelay, delay);
    if (delay - this.#usualDelay <= STALE_AFTER_MS) {
      this.#late = undefined;
      return false;
    }
    this.#late ??= { since: now, shortest: delay };
    this.#late.shortest = Math.min(this.#late.shortest, delay);
    if (now - this.#late.since < CLOCK_MOVED_AFTER_MS) return true;
    // What was held up comes in one go; what has been late for so long has a clock that was set.
    this.#usualDelay = this.#late.shortest;
    this.#late = undefined;
    return delay - this.#usualDelay > STALE_AFTER_MS;
  }

  isSecondCopy(copyId: number): boolean {
    if (this.#seen.has(copyId)) return true;
    this.#seen.add(copyId);
    if (this.#seen.size > REMEMBERED) for (const oldest of this.#seen) return !this.#seen.delete(oldest);
    return false;
  }

  forget(channel: string): void {
    this.#lastOn.delete(channel);
  }

  /** Gone, as it seems: only how long its messages take is kept. */
  rest(): void {
    this.#lastOn.clear();
    this.#seen.clear();
  }
}

/** What arrives from all publishers. */
export class IncomingSequences {
  readonly #publishers = new Map<string, Publisher>();
  readonly #gone = new Set<string>();

  of(nodeId: string): Publisher {
    let publisher = this.#publishers.get(nodeId);
    if (!publisher) {
      if (this.#publishers.size >= MAX_PUBLISHERS) this.#forgetOldest();
      this.#publishers.set(nodeId, (publisher = new Publisher()));
    }
    return publisher;
  }

  #forgetOldest(): void {
    for (const nodeId of this.#publishers.keys()) {
      this.#publishers.delete(nodeId);
      return;
    }
  }

  /** Called when this node stops listening on a channel: what comes after is no gap. */
  forgetChannel(channel: string): void {
    for (const publisher of this.#publishers.values()) publisher.forget(channel);
  }

  /** What a network held back arrives after its node was buried, and must still be known to be late. */
  forgetNode(nodeId: string): void {
    const publisher = this.#publishers.get(nodeId);
    if (!publisher) return;
    publisher.rest();
    this.#gone.delete(nodeId);
    this.#gone.add(nodeId);
    if (this.#gone.size <= MAX_GONE) return;
    for (const oldest of this.#gone) {
      this.#gone.delete(oldest);
      this.#publishers.delete(oldest);
      return;
    }
  }
}
