import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';

// A client numbers its requests with a `round`, so that they keep their order where the server refuses one for now: the others of
// the same round are refused, too, and the client sends all of them again in a later round. So nothing has to expire, and a client
// that gives no round is refused for its rate only. The refusal itself may be lost with its connection: then it is sent again.

/** True for a request that must not be handled, because an earlier one of its round was refused. */
export const isBehind = (round: unknown, refused: number | undefined): boolean =>
  typeof round === 'number' && round <= (refused ?? Number.NEGATIVE_INFINITY);

/** @returns the last round with a refusal, now that a request of `round` was refused */
export const latestRound = (round: unknown, refused: number | undefined): number | undefined =>
  typeof round === 'number' && !isBehind(round, refused) ? round : refused;

/** The earlier request said how long to wait. */
export const goesBehind = (): PeerError =>
  new PeerError(ErrorCode.RateLimited, 'An earlier request was refused, and goes first.', { retryAfterMs: 0 });

/**
 * True for a refusal of which nothing is kept, so that the request is handled if it is sent again. So is one that waited too long
 * for its turn.
 */
export const isForNow = ({ code }: { code: string }): boolean =>
  code === ErrorCode.RateLimited || code === ErrorCode.Unavailable || code === ErrorCode.Timeout;
