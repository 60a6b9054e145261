import type { CloseAdvice } from '../protocol/close-codes.js';

export interface BackoffOptions {
  minDelayMs: number;
  maxDelayMs: number;
  /** 0 (included) to 1 (excluded), as `Math.random`. */
  random: () => number;
  /** A clock that never goes back, in ms. */
  now: () => number;
}

/** The first answer to "reconnect now" stays below this: enough to keep a crowd from arriving in one instant. */
const PROMPT_JITTER_MS = 500;
const LONGEST_NEEDED_STABILITY_MS = 10_000;

/**
 * How long to wait before the next attempt. Full jitter: anything between nothing and a ceiling that doubles, so that
 * clients which lost the same server don't come back together. Counts attempts until a connection has proved stable.
 */
export class Backoff {
  #attempts = 0;
  #connectedAt: number | undefined;
  readonly #options: BackoffOptions;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Attempts since the last stable connection. */
  get attempts(): number {
    return this.#attempts;
  }

  /**
   * The delay in ms before the next attempt, which it counts.
   * @param retryAfterMs what the server asks for: no less than that, and spread as usual
   */
  next(advice: CloseAdvice, retryAfterMs?: number): number {
    const spread = retryAfterMs !== undefined && advice === 'back-off' ? 'reconnect' : advice;
    const delayMs = backoffDelay({ ...this.#options, advice: spread, attempt: this.#attempts });
    this.#attempts += 1;
    return delayMs + (retryAfterMs ?? 0);
  }

  connected(): void {
    this.#connectedAt = this.#options.now();
  }

  /** A server that accepts and drops at once must not be hammered: only a connection that lasted starts the count anew. */
  lost(): void {
    const neededMs = Math.min(this.#options.maxDelayMs, LONGEST_NEEDED_STABILITY_MS);
    if (this.#connectedAt !== undefined && this.#options.now() - this.#connectedAt >= neededMs) this.#attempts = 0;
    this.#connectedAt = undefined;
  }

  reset(): void {
    this.#attempts = 0;
    this.#connectedAt = undefined;
  }
}

/** `attempt` counts from 0. 'back-off' waits at least half of `maxDelayMs`; 'reconnect-now' is prompt only once. */
export function backoffDelay(options: {
  advice: CloseAdvice;
  attempt: number;
  minDelayMs: number;
  maxDelayMs: number;
  random: () => number;
}): number {
  const { advice, attempt, minDelayMs, maxDelayMs, random } = options;
  if (advice === 'back-off') return (maxDelayMs + random() * maxDelayMs) / 2;
  if (advice === 'reconnect-now' && attempt === 0) return random() * Math.min(PROMPT_JITTER_MS, maxDelayMs);
  return random() * Math.min(maxDelayMs, minDelayMs * 2 ** attempt);
}
