import { NotSerializableError } from '../errors.js';
import { isA } from '../protocol/thrown.js';

/**
 * Writes one frame. Smaller than the server's `encode()`, for browsers: an error names the key, not the whole path.
 * @throws {NotSerializableError} when it has no JSON form, or JSON would change it
 */
export function encode(frame: unknown): string {
  try {
    const text = JSON.stringify(frame, refuseLoss) as string | undefined;
    if (text !== undefined) return text;
  } catch (error) {
    throw isA(error, NotSerializableError) ? error : new NotSerializableError(undefined, undefined, { cause: error });
  }
  throw new NotSerializableError();
}

function refuseLoss(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const given = this[key]; // before its toJSON(), which a Buffer has
  if (given instanceof Map || given instanceof Set || given instanceof ArrayBuffer || ArrayBuffer.isView(given)) {
    throw new NotSerializableError(key, 'is a Map, a Set or bytes.');
  }
  return value;
}
