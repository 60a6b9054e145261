import { NotSerializableError } from '../errors.js';
import type { Failed } from '../guarded.js';
import type { ClientRecord } from './replica.js';

/**
 * The record itself, where it can be written. What is kept with a client was checked when it came; the application may have
 * changed it since (`client.cart.push(1n)`). Then it is written without its metadata and payload, and that is reported: the
 * client is there all the same.
 */
export function writableRecord(record: ClientRecord, failed: Failed): ClientRecord {
  const { clientId, user, metadata } = record;
  if (isFlat(metadata) && isFlat(user?.payload ?? {})) return record;
  try {
    JSON.stringify(record);
    return record;
  } catch (error) {
    failed(new NotSerializableError(error), `what is kept with client ${clientId}`);
    return { ...record, user: user && { userId: user.userId, payload: {} }, metadata: {} };
  }
}

/** Then nothing can have changed inside. */
const isFlat = (fields: object): boolean =>
  Object.values(fields).every((value) => ['string', 'number', 'boolean'].includes(typeof value) || value === null);
