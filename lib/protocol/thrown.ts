import { fieldsOf } from './fields.js';

/**
 * Makes an error of anything that was thrown. Never throws itself, even for a revoked proxy, a getter that throws or a message
 * that is a symbol.
 */
export function errorOf(thrown: unknown): Error {
  try {
    return isError(thrown) ? thrown : new Error(String(thrown));
  } catch {
    return new Error(`Thrown: ${typeof thrown}`);
  }
}

/** `instanceof` that doesn't throw: a proxy may. */
export function isA<T>(thrown: unknown, type: abstract new (...args: never[]) => T): thrown is T {
  try {
    return thrown instanceof type;
  } catch {
    return false;
  }
}

/** Checks the shape: an error of another realm (a frame, a vm context) is no `instanceof Error`. */
function isError(thrown: unknown): thrown is Error {
  const { name, message, stack } = fieldsOf(thrown);
  return typeof name === 'string' && typeof message === 'string' && (stack === undefined || typeof stack === 'string');
}
