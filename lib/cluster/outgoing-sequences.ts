/** A run of numbers on a channel; the next one begins here. What a channel counts in a run stays far below it. */
export const RUN = 2 ** 32;

/** After so many ms of silence it is told how far a channel got; again, as whoever missed it may have missed that, too. */
const TOLD_AFTER_MS = [1_000, 8_000, 30_000];
/** Of so many channels at a time; the others wait for the next. */
export const MAX_TAILS = 1_000;

/** How far a channel got that is silent now. */
export interface Tail {
  readonly channel: string;
  /** Its last number. */
  readonly last: number;
  /** So many were published since it was looked at the last time before it fell silent, and how long ago that was, in ms. */
  readonly count: number;
  readonly withinMs: number;
}

interface Counter {
  readonly channel: string;
  last: number;
  /** When it was looked at, and where it was then; and the same of the time before it changed. */
  seenAt: number;
  seen: number;
  changedAt: number;
  before: number;
  /** How often it was told how far it got, since then. */
  told: number;
  isWatched: boolean;
}

/**
 * Counts what this node publishes on each channel. Bounded: a channel that was forgotten begins a new run, whose numbers are above
 * all that it had.
 */
export class OutgoingSequences {
  readonly #counters = new Map<string, Counter>();
  /** Those of which something may have to be told. */
  #watched: Counter[] = [];
  #lookedAt = 0;
  #run = 0;

  constructor(private readonly maxChannels = 100_000) {}

  next(channel: string): number {
    const counter = this.#counters.get(channel) ?? this.#begin(channel);
    if (!counter.isWatched) this.#watch(counter);
    return ++counter.last;
  }

  /**
   * Looks at all channels that were used.
   * @param isEnd nothing comes any more: those that aren't silent yet are told of, too
   * @returns of which it is to be told how far they got
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

  /** Half of them, so that runs don't run out. */
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
