import { Copies } from './copies.js';
import { RUN, type Tail } from './outgoing-sequences.js';

/** How many publishers are remembered. Emitters never announce their end. */
const MAX_PUBLISHERS = 10_000;
/** A publisher that is silent for this long is forgotten, in ms. */
const FORGET_AFTER_MS = 600_000;
/** A subscription takes effect, and a message arrives, within this time, in ms. */
const ON_THE_WAY_MS = 1_000;

/** Follows the numbers of one publisher: finds gaps and late messages. */
class Publisher {
  usedAt = 0;
  /** Undefined if it was never heard, or its node is gone. */
  heardAt: number | undefined;
  readonly copies = new Copies();
  readonly #lastOn = new Map<string, number>();
  /** By channel, the number up to which missing messages were counted at the last announcement. Mostly empty. */
  readonly #countedOn = new Map<string, number>();

  /**
   * @param hadAll this node has listened since before the first one
   * @returns how many are missing before this one; -1 if a later one has arrived
   */
  gapBefore(channel: string, sequence: number, hadAll = false): number {
    const last = this.#lastOn.get(channel) ?? (hadAll ? sequence - (sequence % RUN) : undefined);
    if (last !== undefined && sequence <= last) return -1;
    this.#lastOn.set(channel, sequence);
    if (last === undefined || !isSameRun(last, sequence)) return 0;
    return this.#countedOn.size === 0 ? sequence - last - 1 : this.#gapWithoutCounted(channel, last, sequence);
  }

  /**
   * Compares a channel with the last number that its publisher announced.
   * @param count how many of the last messages should have arrived if none ever did
   * @returns how many missing messages weren't counted yet
   */
  gapAtEnd(channel: string, last: number, count: number): number {
    const known = this.#lastOn.get(channel) ?? last - count;
    const counted = Math.max(known, this.#countedOn.get(channel) ?? 0);
    if (last <= counted || !isSameRun(counted, last)) return 0;
    this.#lastOn.set(channel, known);
    this.#countedOn.set(channel, last);
    return last - counted;
  }

  /**
   * The same for numbers whose last one is announced again and again. A number above it was forged, and counts no more.
   */
  gapUpTo(channel: string, last: number): number {
    const known = this.#lastOn.get(channel);
    if (known !== undefined && known <= last) return this.gapAtEnd(channel, last, 0);
    this.#lastOn.set(channel, last);
    this.#countedOn.delete(channel);
    return 0;
  }

  #gapWithoutCounted(channel: string, last: number, sequence: number): number {
    const counted = this.#countedOn.get(channel) ?? last;
    if (sequence >= counted) this.#countedOn.delete(channel);
    return sequence - 1 - Math.max(last, Math.min(counted, sequence - 1));
  }

  forget(channel: string): void {
    this.#lastOn.delete(channel);
    this.#countedOn.delete(channel);
  }
}

const isSameRun = (one: number, other: number): boolean => Math.floor(one / RUN) === Math.floor(other / RUN);

/** Whether a node that has listened for so long could hear what was published so long ago. */
export const wasThere = (sinceMs: number, publishedMsAgo: number): boolean => sinceMs > publishedMsAgo + ON_THE_WAY_MS;

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

  /**
   * Compares a channel with the last number that its publisher announced.
   * @param since when this node began to listen on the channel
   * @returns how many messages are missing at the end, and weren't counted yet
   */
  gapAtEnd(nodeId: string, { channel, last, count, withinMs }: Tail, since: number, now: number): number {
    return this.of(nodeId, now).gapAtEnd(channel, last, wasThere(now - since, withinMs) ? count : 0);
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
