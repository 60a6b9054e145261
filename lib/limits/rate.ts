import { TokenBucket } from 'limiter';
import type { Clock } from '../clock.js';

/** A rate: so many a second in the long run. */
export interface Rate {
  perSecond: number;
  /** So many at once. @default twice `perSecond`, at least 1 */
  burst?: number;
}

/** A bucket that fills by our clock. It begins full: the first burst may come at once. */
export class Bucket extends TokenBucket {
  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    perSecond: number,
    size: number,
  ) {
    super({ bucketSize: size, tokensPerInterval: perSecond, interval: 1_000 });
    this.content = size;
    this.lastDrip = clock.now();
  }

  override drip(): boolean {
    const before = this.content;
    const now = this.clock.now();
    const dripped = ((now - this.lastDrip) * this.tokensPerInterval) / this.interval;
    this.lastDrip = now;
    this.content = Math.min(before + dripped, this.bucketSize);
    return this.content > before;
  }
}

/** Milliseconds between messages at this rate. Timers of clients leave fractions out. */
export const gapOf = ({ perSecond }: Rate): number => Math.ceil(1_000 / perSecond);

export const burstOf = ({ perSecond, burst }: Rate): number => burst ?? Math.max(1, Math.ceil(2 * perSecond));
