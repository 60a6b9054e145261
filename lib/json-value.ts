import { NotSerializableError } from './errors.js';
import { jsonForm, writeJson } from './protocol/json-form.js';

/**
 * The JSON form of a value, as every node stores it (see `jsonForm()`).
 * @param path names the value in the error, e.g. `payload`
 * @throws {NotSerializableError}
 */
export function keepable<T>(value: T, path: string): T {
  try {
    return jsonForm(value, path) as T;
  } catch (error) {
    throw new NotSerializableError(error);
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
    throw new NotSerializableError(error);
  }
}
