import { NotSerializableError } from '../errors.js';
import type { Failed } from '../guarded.js';
import { NoJsonFormError } from '../protocol/json-form.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isUserId } from '../protocol/names.js';
import type { ClientRecord } from './client-record.js';

/**
 * The record itself, where it can be written. What is kept with a client was checked when it came; the application may have
 * changed it since (`client.cart.push(1n)`, `client.user = row`). Then only what others need is written, and that is reported:
 * the client is there all the same.
 */
export function writableRecord(record: ClientRecord, failed: Failed): ClientRecord {
  const { clientId, rooms, lastActivity } = record;
  try {
    checkHead(record);
    if (!isFlat(record)) JSON.stringify(record);
    return record;
  } catch (error) {
    failed(new NotSerializableError(error), `what is kept with client ${clientId}`);
    const activeAt = Number.isFinite(lastActivity) ? lastActivity : 0;
    return { clientId, user: bareUser(record), metadata: {}, rooms, lastActivity: activeAt };
  }
}

/** What other nodes must be able to read, or they take the client for junk. @throws {NoJsonFormError} */
function checkHead({ user, lastActivity }: ClientRecord): void {
  if (user && !isUserId(user.userId)) throw new NoJsonFormError('user', 'has no "userId" that is a text or a number.');
  if (!Number.isFinite(lastActivity)) throw new NoJsonFormError('lastActivity', 'is no number.');
}

/** Without its payload. */
function bareUser({ user }: ClientRecord): WebSocketUser | null {
  try {
    const userId = user?.userId;
    return isUserId(userId) ? { userId, payload: {} } : null;
  } catch {
    return null; // a getter that throws
  }
}

/** Then nothing can have changed inside. */
const isFlat = ({ user, metadata }: ClientRecord): boolean =>
  hasPlainValues(metadata) && (!user || (Object.keys(user).length === 2 && hasPlainValues(user.payload)));

const hasPlainValues = (fields: object | undefined): boolean =>
  fields !== undefined &&
  Object.values(fields).every((value) => ['string', 'number', 'boolean'].includes(typeof value) || value === null);
