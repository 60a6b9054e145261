import { utf8Length } from '../protocol/close-codes.js';
import type { Asking } from '../pending-requests.js';
import { errorOf } from '../protocol/thrown.js';
import { StreamOverflowError } from './client-errors.js';
import type { Answered } from './link.js';

type Result<T> = IteratorResult<T, undefined>;

interface Waiting<T> {
  take(): Result<T> | Promise<never>;
  readonly bytes: number;
}

const OVER: Waiting<never> = { take: () => ({ done: true, value: undefined }), bytes: 0 };

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
  start: (answered: Answered) => Asking,
  { maxStreamBuffer, maxHeldBytes }: ReplyStreamLimits,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<T, undefined, undefined> {
  /** What the next readers get, in order. */
  const waiting: Waiting<T>[] = [];
  const readers: ((result: Result<T> | Promise<never>) => void)[] = [];
  let heldBytes = 0;
  let request: Asking | undefined;
  let isEnded = false;

  const flush = (): void => {
    while (readers.length > 0) {
      const next = waiting.shift() ?? (isEnded ? OVER : undefined);
      if (!next) return;
      heldBytes -= next.bytes;
      readers.shift()?.(next.take());
    }
  };

  const receive: Answered = (response, text, cancel) => {
    const bytes = readers.length > 0 ? 0 : utf8Length(text);
    heldBytes += bytes;
    // A single value may always wait: it was read from the socket already.
    const overflow = (what: string, option: string): void => cancel(new StreamOverflowError(what, option));
    if (waiting.length >= maxStreamBuffer) return overflow(`${maxStreamBuffer} values`, 'maxStreamBuffer');
    if (waiting.length > 0 && heldBytes > maxHeldBytes) return overflow(`${maxHeldBytes} bytes`, 'maxHeldBytes');
    waiting.push({ take: () => ({ done: false, value: response as T }), bytes });
    flush();
  };

  const end = (error?: unknown): void => {
    if (isEnded) return;
    isEnded = true;
    if (signal?.aborted) waiting.length = 0;
    // Thrown once, after the values that came before it.
    if (error) waiting.push({ take: () => fail(error), bytes: 0 });
    flush();
  };

  const begin = async (): Promise<void> => {
    request = start(receive);
    await request.ended;
  };

  const stop = (): void => {
    waiting.length = 0;
    end();
    request?.stop();
  };

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => {
      if (!request && !isEnded) begin().then(end, end);
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
    throw: (error: unknown) => {
      stop();
      return fail(error);
    },
  };
}

async function fail(error: unknown): Promise<never> {
  throw errorOf(error);
}
