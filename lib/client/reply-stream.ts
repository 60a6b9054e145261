import { utf8Length } from '../protocol/close-codes.js';
import { errorOf } from '../protocol/thrown.js';
import { StreamOverflowError } from './client-errors.js';
import type { Asking } from './requests.js';

type Result<T> = IteratorResult<T, undefined>;

/** How many values, and bytes of JSON, may wait to be read. */
export interface ReplyStreamLimits {
  maxStreamBuffer: number;
  maxHeldBytes: number;
}

/**
 * The values of one streaming request, in order. Leaving the loop early cancels it on the server.
 * @param start sends the request. Called at the first `next()`: a stream that nobody reads costs nothing
 */
export function replyStream<T>(
  start: (answered: (response: unknown, text: string) => void) => Asking,
  { maxStreamBuffer, maxHeldBytes }: ReplyStreamLimits,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<T, undefined, undefined> {
  const values: { value: T; bytes: number }[] = [];
  const readers: ((result: Result<T> | Promise<never>) => void)[] = [];
  let heldBytes = 0;
  let request: Asking | undefined;
  let isEnded = false;
  /** Thrown once, after the values that came before it. */
  let failure: unknown;

  const flush = (): void => {
    while (readers.length > 0) {
      const next = values.shift();
      if (!next && !isEnded) return;
      heldBytes -= next?.bytes ?? 0;
      let result: Result<T> | Promise<never> = next
        ? { done: false, value: next.value }
        : { done: true, value: undefined };
      if (!next && failure) {
        result = Promise.reject(errorOf(failure));
        failure = undefined;
      }
      readers.shift()?.(result);
    }
  };

  const receive = (response: unknown, text: string): void => {
    const bytes = readers.length > 0 ? 0 : utf8Length(text);
    heldBytes += bytes;
    // A single value may always wait: it was read from the socket already.
    const flaw =
      values.length >= maxStreamBuffer
        ? new StreamOverflowError(`${maxStreamBuffer} values`, 'maxStreamBuffer')
        : values.length > 0 && heldBytes > maxHeldBytes
          ? new StreamOverflowError(`${maxHeldBytes} bytes`, 'maxHeldBytes')
          : undefined;
    if (flaw) return request?.stop(flaw);
    values.push({ value: response as T, bytes });
    flush();
  };

  const end = (error?: unknown): void => {
    if (isEnded) return;
    isEnded = true;
    failure = error;
    if (signal?.aborted) values.length = 0;
    flush();
  };

  const begin = async (): Promise<void> => {
    try {
      request = start(receive);
      await request.ended;
      end();
    } catch (error) {
      end(error);
    }
  };

  const stop = (): void => {
    values.length = 0;
    end();
    failure = undefined;
    request?.stop();
  };

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => {
      if (!request && !isEnded) void begin();
      return new Promise((resolve) => {
        readers.push(resolve);
        flush();
      });
    },
    /** Leaving a `for await` loop comes here. */
    return: async () => {
      stop();
      return { done: true, value: undefined };
    },
    throw: async (error: unknown) => {
      stop();
      throw errorOf(error);
    },
  };
}
