/** Where the next run of numbers of a channel begins. The numbers within a run stay far below it. */
export const RUN = 2 ** 32;

/**
 * After how much silence the last number of a channel is announced, in ms. A node that missed the messages may miss the
 * first announcement, too.
 */
const TOLD_AFTER_MS = [1_000, 8_000, 30_000];
/** For how long after its first number a channel counts as new, in ms. */
const NEW_MS = 60_000;
/** How many channels are announced at a time. The others wait for the next time. */
export const MAX_TAILS = 1_000;

/** The last number of a channel that is silent now. */
export interface Tail {
  readonly channel: string;
  readonly last: number;
  /**
   * How many messages were published just before the silence: from the last check but one to the last. And how long ago
   * that began, in ms.
   */
  readonly count: number;
  readonly withinMs: number;
}

interface Counter {
  readonly channel: string;
  /** When a number was first asked for, if anybody wants to know. */
  begunAt: number | undefined;
  last: number;
  /** When the last number was first seen, and that number; then the same of the check before. */
  seenAt: number;
  seen: number;
  changedAt: number;
  before: number;
  /** How often that number was announced. */
  told: number;
  isWatched: boolean;
}

/**
 * Numbers what this node publishes on each channel. To stay bounded it forgets old channels; such a channel begins a
 * new run, above all its earlier numbers.
 */
export class OutgoingSequences {
  readonly #counters = new Map<string, Counter>();
  /** The channels whose last number may still have to be announced. */
  #watched: Counter[] = [];
  #lookedAt = 0;
  #run = 0;

  constructor(private readonly maxChannels = 100_000) {}

  next(channel: string): number {
    const counter = this.#counters.get(channel) ?? this.#begin(channel);
    if (!counter.isWatched) this.#watch(counter);
    return ++counter.last;
  }

  /** How long ago a new channel began, in ms. Undefined for the first number, and for a channel that isn't new any more. */
  begunMsAgo(channel: string, now: number): number | undefined {
    const counter = this.#counters.get(channel);
    if (!counter) return undefined;
    if (counter.begunAt === undefined) return void (counter.begunAt = now);
    const ms = now - counter.begunAt;
    return ms < NEW_MS ? Math.ceil(ms) : undefined;
  }

  /**
   * Finds channels that fell silent. Called every 2 s.
   * @param isEnd nothing more is published: all channels count as silent
   */
  tails(now: number, isEnd = false): Tail[] {
    const tails: Tail[] = [];
    for (const counter of this.#watched) {
      const { channel, last } = counter;
      if (counter.last !== counter.seen) {
        counter.changedAt = this.#lookedAt;
        counter.before = counter.seen;
        counter.seen = last;
        counter.seenAt = now;
        counter.told = 0;
      }
      const silentMs = now - counter.seenAt;
      const isDue = silentMs >= (TOLD_AFTER_MS[counter.told] ?? Infinity) || (isEnd && counter.told === 0);
      if (!isDue || (tails.length >= MAX_TAILS && !isEnd)) continue;
      counter.told++;
      counter.isWatched = counter.told < TOLD_AFTER_MS.length;
      tails.push({ channel, last, count: last - counter.before, withinMs: Math.ceil(now - counter.changedAt) });
    }
    this.#watched = this.#watched.filter(({ isWatched }) => isWatched);
    this.#lookedAt = now;
    return tails;
  }

  #begin(channel: string): Counter {
    if (this.#counters.size >= this.maxChannels) this.#forgetOldest();
    const last = this.#run * RUN;
    const counter = {
      channel,
      begunAt: undefined,
      last,
      seenAt: 0,
      seen: last,
      changedAt: 0,
      before: last,
      told: 0,
      isWatched: false,
    };
    this.#counters.set(channel, counter);
    return counter;
  }

  #watch(counter: Counter): void {
    counter.isWatched = true;
    this.#watched.push(counter);
  }

  /** Forgets half of them at a time, so that runs don't run out. */
  #forgetOldest(): void {
    this.#run++;
    let count = Math.ceil(this.maxChannels / 2);
    for (const [channel, counter] of this.#counters) {
      if (count-- === 0) break;
      this.#counters.delete(channel);
      counter.told = Infinity;
      counter.isWatched = false;
    }
    this.#watched = this.#watched.filter(({ isWatched }) => isWatched);
  }
}
