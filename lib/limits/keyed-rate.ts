import type { TokenBucket } from 'limiter';
import { burstOf, fullBucket, type Rate } from './rate.js';

/** Keys that are remembered at once. */
const MAX_KEYS = 100_000;

/**
 * One rate for each key, such as an address. Memory is bounded and needs no timer: each new key looks at two others, in
 * turn, and forgets those that have been quiet long enough for their bucket to be full again, which is as good as new. With
 * `maxKeys` of them busy one goes all the same.
 */
export class KeyedRate {
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #burst: number;
  #hand: MapIterator<[string, TokenBucket]>;

  constructor(
    private readonly rate: Rate,
    private readonly maxKeys = MAX_KEYS,
  ) {
    this.#burst = burstOf(rate);
    this.#hand = this.#buckets.entries();
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one. @returns 0, or when there is none the milliseconds until there will be */
  take(key: string): number {
    const bucket = this.#buckets.get(key) ?? this.#add(key);
    return bucket.tryRemoveTokens(1) ? 0 : bucket.getWaitTime(1);
  }

  #add(key: string): TokenBucket {
    this.#age();
    this.#age();
    const bucket = fullBucket(this.rate.perSecond, this.#burst);
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #age(): void {
    let next = this.#hand.next();
    if (next.done) next = (this.#hand = this.#buckets.entries()).next();
    if (next.done) return;
    const [key, bucket] = next.value;
    bucket.drip();
    if (bucket.content >= this.#burst || this.#buckets.size >= this.maxKeys) this.#buckets.delete(key);
  }
}
