import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';

// A client numbers its requests with a `round`, so that they keep their order where the server refuses one for its rate: the
// others of the same round are refused, too, and the client sends all of them again in a later round. So nothing has to expire,
// and a client that gives no round is refused for its rate only.

/** True for a request that must not be handled, because an earlier one of its round was refused. */
export const isBehind = (round: unknown, refused: number | undefined): boolean =>
  typeof round === 'number' && round <= (refused ?? Number.NEGATIVE_INFINITY);

/** @returns the last round with a refusal, now that a request of `round` was refused */
export const latestRound = (round: unknown, refused: number | undefined): number | undefined =>
  typeof round === 'number' && !isBehind(round, refused) ? round : refused;

/** The earlier request said how long to wait. */
export const goesBehind = (): PeerError =>
  new PeerError(ErrorCode.RateLimited, 'An earlier request was refused, and goes first.', { retryAfterMs: 0 });

/** True for a refusal after which a client sends its request again. */
export function isForNow({ code, details }: { code: string; details?: unknown }): boolean {
  if (code !== ErrorCode.RateLimited) return false;
  try {
    return typeof (details as { retryAfterMs?: unknown }).retryAfterMs === 'number';
  } catch {
    return false; // there are none, or they can't be read, so the client doesn't see them either
  }
}
