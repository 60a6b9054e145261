import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { keepable } from '../json-value.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isUserId } from '../protocol/names.js';
import { isWellFormed } from '../protocol/text.js';
import type { UpgradeRequest } from './upgrade-request.js';

/** What an authenticator returns: the user, and until when it is valid. */
export interface AuthenticatedUser extends WebSocketUser {
  /** Milliseconds since the epoch, or a Date. Then the connection is closed with 4200. Null: never. @default null */
  expiresAt?: number | Date | null;
}

type Verdict = AuthenticatedUser | null;

/** Authenticates connections. A class for `auth.useClass` or `auth.useExisting`. */
export interface WebSocketAuthenticator {
  /**
   * Authenticates an HTTP upgrade request. Null refuses it with 401. A Nest `HttpException` is answered with its status; any
   * other error with 500 and without its message.
   */
  authenticate(request: UpgradeRequest): Promise<Verdict> | Verdict;
  /**
   * Accepts a new token of a connected user (`system/refresh`). Null refuses it, and so does another `userId` than before.
   * Without this method there is no refresh.
   */
  refresh?(token: string, user: WebSocketUser): Promise<Verdict> | Verdict;
}

/** A user as the server keeps it. */
export interface Identity {
  user: WebSocketUser;
  /** Milliseconds since the epoch; undefined: never. */
  expiresAt: number | undefined;
}

/** The credentials are invalid: an HTTP status before the upgrade, an error frame after it. */
export class AuthenticationError extends PeerError {
  constructor(
    readonly status: 400 | 401 | 503,
    message: string,
  ) {
    super(CODE_OF[status], message);
  }
}

const CODE_OF = {
  400: ErrorCode.BadRequest,
  401: ErrorCode.Unauthenticated,
  503: ErrorCode.Unavailable,
};

/**
 * Checks the result of an authenticator. A user without an id would be authenticated and have no identity. The payload is
 * stored in its JSON form, on every node.
 * @param now milliseconds since the epoch
 * @throws {TypeError} for a mistake of the authenticator @throws {NotSerializableError} for a payload without a JSON form
 * @throws {AuthenticationError} when it has expired already, or for an id with a lone surrogate
 */
export function identityOf({ userId, payload, expiresAt }: AuthenticatedUser, place: string, now: number): Identity {
  if (typeof userId === 'string' && !isWellFormed(userId))
    throw new AuthenticationError(401, 'The user id contains a lone surrogate (half a character).');
  if (!isUserId(userId)) {
    throw new TypeError(`${place} must return { userId, payload } with a text or a number for userId, or null.`);
  }
  const kept: unknown = keepable(payload ?? {}, `${place}: payload`);
  if (typeof kept !== 'object' || kept === null || Array.isArray(kept))
    throw new TypeError(`${place} must return an object for payload: { userId, payload: { … } }.`);
  const end = Number(expiresAt ?? Infinity);
  if (Number.isNaN(end)) {
    throw new TypeError(`${place} returned an expiresAt that is neither a Date nor milliseconds since the epoch.`);
  }
  if (end <= now) throw new AuthenticationError(401, 'Your credentials have expired.');
  return { user: { userId, payload: kept as WebSocketUser['payload'] }, expiresAt: end === Infinity ? undefined : end };
}
