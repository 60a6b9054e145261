/** Each bucket is so much wider than the one before. */
const STEP = Math.log(1.02);
const LEAST_MS = 0.001;
const BUCKETS = 1_200;

/** Counts of latencies by size, within 2 %: millions of deliveries need no more room than one. */
export class Latencies {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;

  /** @param ms below zero where two clocks disagree: counted as the least there is */
  add(ms: number): void {
    const bucket = Math.floor(Math.log(Math.max(ms, LEAST_MS) / LEAST_MS) / STEP);
    this.#counts[Math.min(bucket, BUCKETS - 1)]!++;
    this.#total++;
  }

  /** @returns milliseconds; undefined when there are none */
  quantile(share: number): number | undefined {
    let left = this.#total * share;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket] as number;
      if (left < 0) return LEAST_MS * Math.exp((bucket + 0.5) * STEP);
    }
    return undefined;
  }
}
