import { wallMs } from '../clock.js';
import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { keepable } from '../json-value.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isUserId } from '../protocol/names.js';
import { isWellFormed } from '../protocol/text.js';
import type { UpgradeRequest } from './upgrade-request.js';

/** What an authenticator returns: who it is, and until when that holds. */
export interface AuthenticatedUser extends WebSocketUser {
  /** Milliseconds since the epoch, or a Date: the socket is closed with 4200 then. Null: never. @default null */
  expiresAt?: number | Date | null;
}

type Verdict = AuthenticatedUser | null;

/** Says who asks for a connection. A class for `auth.useClass` or `auth.useExisting`. */
export interface WebSocketAuthenticator {
  /**
   * Looks at the HTTP upgrade request. Null means nobody: 401. A Nest `HttpException` is answered with its status;
   * anything else thrown with 500 and no text.
   */
  authenticate(request: UpgradeRequest): Promise<Verdict> | Verdict;
  /**
   * Takes a new token of a connected user (`system/refresh`). Null refuses it; another `userId` than before is refused, too.
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

/** Credentials that don't do: an HTTP status before the upgrade, an error frame after it. */
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
 * Checks what an authenticator returned: a user without an id would count as authenticated and be nobody.
 * The payload is kept in its JSON form, here as on every other node.
 * @throws {TypeError} the authenticator's own mistake @throws {NotSerializableError} for a payload without a JSON form
 * @throws {AuthenticationError} when it has expired already, or for an id with half a character: others would read another one
 */
export function identityOf({ userId, payload, expiresAt }: AuthenticatedUser, place: string): Identity {
  if (typeof userId === 'string' && !isWellFormed(userId))
    throw new AuthenticationError(401, 'The user id has half a character in it (a lone surrogate).');
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
  if (end <= wallMs()) throw new AuthenticationError(401, 'What you showed has expired.');
  return { user: { userId, payload: kept as WebSocketUser['payload'] }, expiresAt: end === Infinity ? undefined : end };
}
