import { TokenBucket } from 'limiter';

/** A rate: so many a second in the long run. */
export interface Rate {
  perSecond: number;
  /** So many at once. @default twice `perSecond`, at least 1 */
  burst?: number;
}

/** A full bucket: the first burst may come at once. */
export function fullBucket(perSecond: number, size: number): TokenBucket {
  const bucket = new TokenBucket({ bucketSize: size, tokensPerInterval: perSecond, interval: 1_000 });
  bucket.content = size;
  return bucket;
}

export const burstOf = ({ perSecond, burst }: Rate): number => burst ?? Math.max(1, Math.ceil(2 * perSecond));
