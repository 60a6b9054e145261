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

/** Publishers that are remembered: nodes are forgotten when they go, emitters never say so. */
const MAX_PUBLISHERS = 10_000;
/** Messages to several rooms that a publisher may have under way at once before a copy could slip through. */
const REMEMBERED = 1_024;

/** What arrives from one publisher: finds gaps and second copies. */
class Publisher {
  /** By the shared clock; 0 while that isn't known. */
  heardAt = 0;
  readonly #lastOn = new Map<string, number>();
  readonly #seen = new Set<number>();

  /** @returns how many are missing before this one */
  gapBefore(channel: string, sequence: number): number {
    const last = this.#lastOn.get(channel);
    this.#lastOn.set(channel, sequence);
    return last === undefined || sequence <= last ? 0 : sequence - last - 1;
  }

  /** @returns true when it was noted before: this is the second copy of a message */
  noteCopy(copyId: number): boolean {
    if (this.#seen.has(copyId)) return true;
    this.#seen.add(copyId);
    if (this.#seen.size > REMEMBERED) for (const oldest of this.#seen) return !this.#seen.delete(oldest);
    return false;
  }

  forget(channel: string): void {
    this.#lastOn.delete(channel);
  }
}

/** What arrives from all publishers. */
export class IncomingSequences {
  readonly #publishers = new Map<string, Publisher>();

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

  /** By the shared clock; undefined for one that was never heard. */
  lastHeardOf(nodeId: string): number | undefined {
    return this.#publishers.get(nodeId)?.heardAt;
  }

  /** Called when this node stops listening on a channel: what comes after is no gap. */
  forgetChannel(channel: string): void {
    for (const publisher of this.#publishers.values()) publisher.forget(channel);
  }

  forgetNode(nodeId: string): void {
    this.#publishers.delete(nodeId);
  }
}
