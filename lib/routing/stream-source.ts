/** The result of a handler whose values were sent as a stream. */
export const STREAMED: unique symbol = Symbol('streamed');

/** The result of the interceptors that still has to run: an Observable or an async iterable. */
export class Source {
  constructor(private of: unknown) {}

  /** Runs it. It may run for months: nobody but the stream keeps what it holds, such as the data of the message. */
  runBy(call: { consume(of: unknown): unknown }): unknown {
    const { of } = this;
    this.of = undefined;
    return call.consume(of);
  }
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

/** Values of one stream that are sent in one turn of the event loop, at most. */
const VALUES_A_TURN = 1_000;

/** A source that always has a next value would keep the event loop for itself, wherever its values go. */
export class Breath {
  #values = 0;

  /** Call it after each value. @returns a promise when others must get their turn */
  after(): Promise<void> | undefined {
    return ++this.#values % VALUES_A_TURN === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined;
  }
}
