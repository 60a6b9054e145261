/**
 * What was thrown, as an error whose texts can be read. Never throws: a revoked proxy, a getter that throws or a symbol for a
 * message would otherwise throw a second time, where nobody expects it.
 */
export function errorOf(thrown: unknown): Error {
  try {
    return isError(thrown) ? thrown : new Error(String(thrown));
  } catch {
    return new Error(`What was thrown (${typeof thrown}) has no text.`);
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

/** By its shape: an error from another realm (a frame, a vm context) is no `instanceof Error`. */
function isError(thrown: unknown): thrown is Error {
  if (typeof thrown !== 'object' || thrown === null) return false;
  const { name, message, stack } = thrown as Partial<Record<keyof Error, unknown>>;
  return typeof name === 'string' && typeof message === 'string' && (stack === undefined || typeof stack === 'string');
}
