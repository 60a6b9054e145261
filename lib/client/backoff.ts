import type { CloseAdvice } from '../protocol/close-codes.js';

export interface BackoffOptions {
  minDelayMs: number;
  maxDelayMs: number;
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
  readonly #options: BackoffOptions;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /**
   * Milliseconds to wait before the next attempt. Counts the attempt. 'back-off' waits at least half of `maxDelayMs`.
   * 'reconnect-now' is fast only the first time.
   * @param retryAfterMs the server's `Retry-After`: wait at least that long
   */
  next(advice: CloseAdvice, retryAfterMs?: number): number {
    const { minDelayMs, maxDelayMs } = this.#options;
    const attempt = this.attempts++;
    if (advice === 'back-off' && retryAfterMs === undefined) return (maxDelayMs + Math.random() * maxDelayMs) / 2;
    const limitMs = advice === 'reconnect-now' && attempt === 0 ? PROMPT_JITTER_MS : minDelayMs * 2 ** attempt;
    return Math.random() * Math.min(maxDelayMs, limitMs) + (retryAfterMs ?? 0);
  }

  connected(): void {
    this.#connectedAt = performance.now();
  }

  /**
   * Only a connection that lasted resets the count. Otherwise a server that accepts and closes at once would be called without
   * a pause.
   */
  lost(): void {
    const { maxDelayMs } = this.#options;
    if (performance.now() - this.#connectedAt >= Math.min(maxDelayMs, LONGEST_NEEDED_STABILITY_MS)) this.attempts = 0;
    this.#connectedAt = Infinity;
  }
}
