import { NotSerializableError, PeerError } from '../errors.js';
import { keepable } from '../json-value.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isUserId } from '../protocol/names.js';

/**
 * The user as every node keeps it, with the JSON form of the payload.
 * @throws {NotSerializableError}
 * @throws {PeerError} BAD_REQUEST for an id that others would read as another one
 */
export function keepableUser(user: WebSocketUser | null | undefined): WebSocketUser | null {
  if (!user) return null;
  const { userId, payload } = user;
  if (!isUserId(userId)) throw new PeerError(ErrorCode.BadRequest, 'A "userId" is a text or a finite number.');
  const kept: unknown = keepable(payload ?? {}, 'payload');
  if (typeof kept === 'object' && kept !== null && !Array.isArray(kept))
    return { userId, payload: kept as WebSocketUser['payload'] };
  throw new NotSerializableError('payload', 'is not an object. Give { payload: { … } }.');
}

export const isUser = (value: unknown): value is WebSocketUser =>
  typeof value === 'object' && value !== null && isUserId((value as Partial<WebSocketUser>).userId);

/** True if the user is the same as before. Users with a payload never count as the same: the application may have changed it. */
export const isSameUser = (before: WebSocketUser | null, { userId, payload }: WebSocketUser): boolean =>
  before?.userId === userId && hasNothing(before.payload) && hasNothing(payload);

const hasNothing = (payload: object | undefined): boolean => Object.keys(payload ?? {}).length === 0;
