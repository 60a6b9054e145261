import type { Clock } from '../clock.js';
import { Bucket, burstOf, gapOf, type Rate } from './rate.js';

/** The number of keys that are remembered. */
const MAX_KEYS = 100_000;

/**
 * One rate for each key, e.g. for each address. Memory is bounded and no timer is needed: each new key checks two others in
 * turn, and removes those whose bucket is full again. When there are `maxKeys` keys and none is full, one is removed anyway.
 */
export class KeyedRate {
  readonly #buckets = new Map<string, Bucket>();
  readonly #burst: number;
  #hand: MapIterator<[string, Bucket]>;

  constructor(
    private readonly rate: Rate,
    private readonly clock: Pick<Clock, 'now'>,
    private readonly maxKeys = MAX_KEYS,
  ) {
    this.#burst = burstOf(rate);
    this.#hand = this.#buckets.entries();
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Milliseconds between messages of one key that would all be accepted, from when one is. */
  get gapMs(): number {
    return gapOf(this.rate);
  }

  /** Takes one token. @returns 0, or the milliseconds until there will be one */
  take(key: string): number {
    const bucket = this.#buckets.get(key) ?? this.#add(key);
    return bucket.tryRemoveTokens(1) ? 0 : bucket.getWaitTime(1);
  }

  #add(key: string): Bucket {
    this.#age();
    this.#age();
    const bucket = new Bucket(this.clock, this.rate.perSecond, this.#burst);
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
