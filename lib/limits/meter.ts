import type { TokenBucket } from 'limiter';
import { fullBucket } from './rate.js';

/** A second in which messages are over the rate is one strike, however many they are up to another burst. */
const STRIKE_MS = 1_000;

/** `limits.messages` with its defaults. */
export interface MessageRate {
  perSecond: number;
  burst: number;
  bytesPerSecond: number;
  strikes: number;
  strikeWindowMs: number;
}

/** What one connection has used of its rate. */
export class Meter {
  readonly #messages: TokenBucket;
  readonly #bytes: TokenBucket;
  /** When each strike began, those of the window alone. Most connections never have one. */
  #strikes: number[] | undefined;
  #refusedInStrike = 0;

  constructor(
    private readonly rate: MessageRate,
    maxPayload: number,
  ) {
    this.#messages = fullBucket(rate.perSecond, rate.burst);
    // One message of any allowed size must always be possible, or it could never be sent.
    this.#bytes = fullBucket(rate.bytesPerSecond, Math.max(rate.bytesPerSecond, maxPayload));
  }

  /** @returns false for a message over the rate */
  take(bytes: number): boolean {
    return this.#messages.tryRemoveTokens(1) && this.#bytes.tryRemoveTokens(bytes);
  }

  /** Milliseconds until a message of this size would be taken. */
  waitMs(bytes: number): number {
    return Math.max(this.#messages.getWaitTime(1), this.#bytes.getWaitTime(Math.min(bytes, this.#bytes.bucketSize)));
  }

  /**
   * Notes that a message was over the rate. One impatient burst is one strike; a flood runs through its strikes by their
   * number alone, so that only so many of its messages have to be answered.
   * @returns true when the strikes are used up
   */
  strike(now: number): boolean {
    const { burst, strikes, strikeWindowMs } = this.rate;
    const since = (this.#strikes ??= []);
    while (since.length > 0 && now - (since[0] as number) >= strikeWindowMs) since.shift();
    const last = since.at(-1);
    if (last === undefined || now - last >= STRIKE_MS || this.#refusedInStrike >= burst) {
      since.push(now);
      this.#refusedInStrike = 0;
    }
    this.#refusedInStrike++;
    return since.length >= strikes;
  }
}
