import type { Clock } from '../clock.js';
import { Bucket, gapOf } from './rate.js';

/** How many times as many leaves as other messages. */
const LEAVES = 10;

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
  readonly #messages: Bucket;
  readonly #bytes: Bucket;
  /** Of leaves above the rate. Most connections never have one. */
  #leaves: Bucket | undefined;
  /** When each strike of the window began. Most connections never have one. */
  #strikes: number[] | undefined;
  #refusedInStrike = 0;

  constructor(
    private readonly rate: MessageRate,
    maxPayload: number,
    private readonly clock: Pick<Clock, 'now'>,
  ) {
    this.#messages = new Bucket(clock, rate.perSecond, rate.burst);
    // A message of the allowed size must always be possible.
    this.#bytes = new Bucket(clock, rate.bytesPerSecond, Math.max(rate.bytesPerSecond, maxPayload));
  }

  /** @returns false for a message over the rate */
  take(bytes: number): boolean {
    return this.#messages.tryRemoveTokens(1) && this.#bytes.tryRemoveTokens(bytes);
  }

  /** For a leave above the rate: ten times the rate. @returns false above that, too */
  takeLeave(): boolean {
    const { perSecond, burst } = this.rate;
    this.#leaves ??= new Bucket(this.clock, LEAVES * perSecond, LEAVES * burst);
    return this.#leaves.tryRemoveTokens(1);
  }

  /** Milliseconds until a message of this size would be accepted. */
  waitMs(bytes: number): number {
    return Math.max(this.#messages.getWaitTime(1), this.#bytes.getWaitTime(Math.min(bytes, this.#bytes.bucketSize)));
  }

  /** Milliseconds between messages that would all be accepted, if they are small. */
  get gapMs(): number {
    return gapOf(this.rate);
  }

  /**
   * Counts a message over the rate. The first is a strike, and each further `burst` of them another: a client that waits when it
   * is told so meets the rate now and then, and one that doesn't listen uses up the strikes.
   * @returns true when the strikes are used up
   */
  strike(now: number): boolean {
    const { burst, strikes, strikeWindowMs } = this.rate;
    const since = (this.#strikes ??= []);
    while (since.length > 0 && now - (since[0] as number) >= strikeWindowMs) since.shift();
    if (since.length === 0 || this.#refusedInStrike >= burst) {
      since.push(now);
      this.#refusedInStrike = 0;
    }
    this.#refusedInStrike++;
    return since.length >= strikes;
  }
}
