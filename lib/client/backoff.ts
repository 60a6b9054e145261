import type { CloseAdvice } from '../protocol/close-codes.js';

export interface BackoffOptions {
  minDelayMs: number;
  maxDelayMs: number;
  /** 0 (included) to 1 (excluded). @default `Math.random` */
  random?: () => number;
  /** A clock that never goes back, in ms. @default `performance.now()` */
  now?: () => number;
}

/** The longest first wait after "reconnect now": enough to spread many clients over an instant. */
const PROMPT_JITTER_MS = 500;
const LONGEST_NEEDED_STABILITY_MS = 10_000;

/**
 * How long to wait before the next attempt, with full jitter: a random time from 0 to a limit that doubles. So clients of the
 * same lost server don't all come back together. Attempts are counted until a connection has lasted.
 */
export class Backoff {
  /** Since the last stable connection. */
  attempts = 0;
  #connectedAt = Infinity;
  readonly #options: Required<BackoffOptions>;

  constructor(options: BackoffOptions) {
    this.#options = { random: Math.random, now: () => performance.now(), ...options };
  }

  /**
   * Milliseconds to wait before the next attempt. Counts the attempt. 'back-off' waits at least half of `maxDelayMs`.
   * 'reconnect-now' is fast only the first time.
   * @param retryAfterMs the server's `Retry-After`: wait at least that long
   */
  next(advice: CloseAdvice, retryAfterMs?: number): number {
    const { minDelayMs, maxDelayMs, random } = this.#options;
    const attempt = this.attempts++;
    if (advice === 'back-off' && retryAfterMs === undefined) return (maxDelayMs + random() * maxDelayMs) / 2;
    const limitMs = advice === 'reconnect-now' && attempt === 0 ? PROMPT_JITTER_MS : minDelayMs * 2 ** attempt;
    return random() * Math.min(maxDelayMs, limitMs) + (retryAfterMs ?? 0);
  }

  connected(): void {
    this.#connectedAt = this.#options.now();
  }

  /**
   * Only a connection that lasted resets the count. Otherwise a server that accepts and closes at once would be called without
   * a pause.
   */
  lost(): void {
    const { now, maxDelayMs } = this.#options;
    if (now() - this.#connectedAt >= Math.min(maxDelayMs, LONGEST_NEEDED_STABILITY_MS)) this.attempts = 0;
    this.#connectedAt = Infinity;
  }
}
