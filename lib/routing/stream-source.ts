/** The result of a handler whose values were sent as a stream. */
export const STREAMED: unique symbol = Symbol('streamed');

/** The result of the interceptors that still has to run: an Observable or an async iterable. */
export class Source {
  constructor(readonly of: unknown) {}
}

/**
 * Ends an iterator. A generator that waits for its next value ends only when that value comes. An error of it is ignored.
 */
export async function closeIterator(iterator: AsyncIterator<unknown>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // Its stream is over.
  }
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

export const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function';
