import type { Failed } from '../guarded.js';
import { notSerializable } from '../json-value.js';
import { NoJsonFormError } from '../protocol/json-form.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isUserId } from '../protocol/names.js';
import type { ClientRecord } from './client-record.js';

/**
 * Returns the record itself if it can be written. Its values were checked when they came, but the application may have
 * changed them since (`client.cart.push(1n)`, `client.user = row`). Then it returns only what other nodes need, and
 * reports that.
 */
export function writableRecord(record: ClientRecord, failed: Failed): ClientRecord {
  const { clientId, rooms, lastActivity } = record;
  try {
    checkHead(record);
    if (!isFlat(record)) JSON.stringify(record);
    return record;
  } catch (error) {
    failed(notSerializable(error), `what is kept with client ${clientId}`);
    const activeAt = Number.isFinite(lastActivity) ? lastActivity : 0;
    return { clientId, user: bareUser(record), metadata: {}, rooms, lastActivity: activeAt };
  }
}

/** Other nodes take a client without these for junk. @throws {NoJsonFormError} */
function checkHead({ user, lastActivity }: ClientRecord): void {
  if (user && !isUserId(user.userId)) throw new NoJsonFormError('user', 'has no "userId" that is a text or a number.');
  if (!Number.isFinite(lastActivity)) throw new NoJsonFormError('lastActivity', 'must be a finite number.');
}

/** The user without its payload. */
function bareUser({ user }: ClientRecord): WebSocketUser | null {
  try {
    const userId = user?.userId;
    return isUserId(userId) ? { userId, payload: {} } : null;
  } catch {
    return null; // a getter threw
  }
}

/** Flat values can't have changed inside. */
const isFlat = ({ user, metadata }: ClientRecord): boolean =>
  hasPlainValues(metadata) && (!user || (Object.keys(user).length === 2 && hasPlainValues(user.payload)));

const hasPlainValues = (fields: object | undefined): boolean =>
  fields !== undefined &&
  Object.values(fields).every((value) => ['string', 'number', 'boolean'].includes(typeof value) || value === null);
