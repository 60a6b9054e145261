import { RUN, type Tail } from './outgoing-sequences.js';

/** Publishers that are remembered: emitters never say that they go. */
const MAX_PUBLISHERS = 10_000;
/** One that is silent for this long is forgotten, in ms. */
const FORGET_AFTER_MS = 600_000;
/** A copy that comes later than this is too late anyway, in ms. */
const REMEMBER_COPIES_MS = 6_000;
/** What is subscribed takes effect, and what a publisher says arrives, by then, in ms. */
const ON_THE_WAY_MS = 1_000;
/** Copies that are remembered of a publisher at most, twice. */
const MAX_COPIES = 100_000;

/** What arrives from one publisher: finds gaps, what comes late, and second copies. */
class Publisher {
  usedAt = 0;
  /** Undefined: never, or its node is gone. */
  heardAt: number | undefined;
  readonly #lastOn = new Map<string, number>();
  /** Up to which number what is missing was counted, as its node told; few channels have one. */
  readonly #countedOn = new Map<string, number>();
  /** Copies of now, and those before: they are forgotten by halves. */
  #seen = new Set<number>();
  #seenBefore = new Set<number>();
  #seenSince = -Infinity;

  /** @returns how many are missing before this one; -1 for one that comes after a later one */
  gapBefore(channel: string, sequence: number): number {
    const last = this.#lastOn.get(channel);
    if (last !== undefined && sequence <= last) return -1;
    this.#lastOn.set(channel, sequence);
    if (last === undefined || !isSameRun(last, sequence)) return 0;
    return this.#countedOn.size === 0 ? sequence - last - 1 : this.#gapWithoutCounted(channel, last, sequence);
  }

  /**
   * Its node says how far the channel got.
   * @param count how many of the last ones should have come, if none ever did
   * @returns how many are missing that weren't counted yet
   */
  gapAtEnd(channel: string, last: number, count: number): number {
    const known = this.#lastOn.get(channel) ?? last - count;
    const counted = Math.max(known, this.#countedOn.get(channel) ?? 0);
    if (last <= counted || !isSameRun(counted, last)) return 0;
    this.#lastOn.set(channel, known);
    this.#countedOn.set(channel, last);
    return last - counted;
  }

  #gapWithoutCounted(channel: string, last: number, sequence: number): number {
    const counted = this.#countedOn.get(channel) ?? last;
    if (sequence >= counted) this.#countedOn.delete(channel);
    return sequence - 1 - Math.max(last, Math.min(counted, sequence - 1));
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
    this.#countedOn.delete(channel);
  }
}

const isSameRun = (one: number, other: number): boolean => Math.floor(one / RUN) === Math.floor(other / RUN);

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

  /**
   * A publisher says how far it got.
   * @param since when this node began to listen on the channel
   * @returns how many messages are missing at the end, and weren't counted yet
   */
  gapAtEnd(nodeId: string, { channel, last, count, withinMs }: Tail, since: number, now: number): number {
    const isOlder = now - since > withinMs + ON_THE_WAY_MS; // it listened before the first of them was published
    return this.of(nodeId, now).gapAtEnd(channel, last, isOlder ? count : 0);
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
