import { NotSerializableError } from './errors.js';
import { jsonForm, NoJsonFormError, writeJson } from './protocol/json-form.js';

/** What was thrown when JSON was written. */
export const notSerializable = (cause: unknown): NotSerializableError =>
  cause instanceof NoJsonFormError
    ? new NotSerializableError(cause.path, cause.what, { cause })
    : new NotSerializableError(undefined, undefined, { cause });

/**
 * The JSON form of a value, as every node stores it (see `jsonForm()`).
 * @param path names the value in the error, e.g. `payload`
 * @throws {NotSerializableError}
 */
export function keepable<T>(value: T, path: string): T {
  try {
    return jsonForm(value, path) as T;
  } catch (error) {
    throw notSerializable(error);
  }
}

/**
 * Writes JSON. @param path names the value in the error @throws {NotSerializableError} for a value without a JSON form, or
 * that JSON would change
 */
export function encode(value: unknown, path?: string): string {
  try {
    return writeJson(value, path);
  } catch (error) {
    throw notSerializable(error);
  }
}
