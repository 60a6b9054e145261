import { NotSerializableError } from './errors.js';
import { jsonForm, writeJson } from './protocol/json-form.js';

/**
 * What is kept of a value, here and on every other node: its JSON form (see `jsonForm()`).
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

/** @param path names the value in the error @throws {NotSerializableError} for what has no JSON form, or would arrive as something else */
export function encode(value: unknown, path?: string): string {
  try {
    return writeJson(value, path);
  } catch (error) {
    throw new NotSerializableError(error);
  }
}
