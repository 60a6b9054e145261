import type { ReplySink } from '../pending-requests.js';
import { utf8Length } from '../protocol/close-codes.js';
import { errorOf } from '../protocol/thrown.js';
import { abortReason } from './abort-reason.js';
import { StreamOverflowError } from './client-errors.js';
import type { OpenRequest, ReplyFrame } from './requests.js';

interface Reader<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: Error): void;
}

export interface ReplyStreamOptions {
  /** Sends the request. Called at the first `next()`: a stream that nobody reads costs nothing. */
  start(sink: ReplySink<ReplyFrame>): OpenRequest;
  /** How many values, and bytes of JSON, may wait to be read. */
  maxBuffered: number;
  maxBufferedBytes: number;
  signal?: AbortSignal | undefined;
}

/** The values of one streaming request, in order. Leaving the loop early cancels it on the server. */
export class ReplyStream<T> implements AsyncIterableIterator<T, undefined, undefined> {
  readonly #options: ReplyStreamOptions;
  readonly #values: { value: T; bytes: number }[] = [];
  #bytes = 0;
  readonly #readers: Reader<T>[] = [];
  #request: OpenRequest | undefined;
  #started = false;
  #ended = false;
  /** Thrown once, after the values that came before it. */
  #failure: Error | undefined;

  constructor(options: ReplyStreamOptions) {
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (!this.#started) this.#start();
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
      this.#flush();
    });
  }

  /** Leaving a `for await` loop comes here. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#abandon();
    return Promise.resolve({ done: true, value: undefined });
  }

  throw(error?: unknown): Promise<IteratorResult<T, undefined>> {
    this.#abandon();
    return Promise.reject(errorOf(error));
  }

  /** Cancels the request, and ends with this failure after the values that came before. */
  cancel(failure?: Error): void {
    this.#request?.cancel();
    this.#end(failure);
  }

  #start(): void {
    this.#started = true;
    const { signal, start } = this.#options;
    try {
      if (signal?.aborted) throw abortReason(signal);
      this.#request = start({
        onReply: (reply, text) => this.#receive(reply, text),
        onFail: (error) => this.#end(error),
      });
      signal?.addEventListener('abort', this.#onAbort);
    } catch (error) {
      this.#end(errorOf(error));
    }
  }

  readonly #onAbort = (): void => {
    this.#values.length = 0;
    this.cancel(abortReason(this.#options.signal as AbortSignal));
  };

  #receive(reply: ReplyFrame, text: string): void {
    if (reply.done) return this.#end();
    const { maxBuffered, maxBufferedBytes } = this.#options;
    const bytes = this.#readers.length > 0 ? 0 : utf8Length(text);
    if (this.#values.length >= maxBuffered) {
      return this.cancel(new StreamOverflowError(`${maxBuffered} values`, 'maxStreamBuffer'));
    }
    // A single value may always wait: it was read from the socket already.
    if (this.#values.length > 0 && this.#bytes + bytes > maxBufferedBytes) {
      return this.cancel(new StreamOverflowError(`${maxBufferedBytes} bytes`, 'maxHeldBytes'));
    }
    this.#values.push({ value: reply.response as T, bytes });
    this.#bytes += bytes;
    this.#flush();
    // A handler that doesn't stream answers once, without `more`.
    if (!reply.more) this.#end();
  }

  #abandon(): void {
    this.#started = true;
    this.#values.length = 0;
    this.#failure = undefined;
    this.cancel();
  }

  #end(failure?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#flush();
  }

  #flush(): void {
    while (this.#readers.length > 0) {
      const next = this.#values.shift();
      if (next) {
        this.#bytes -= next.bytes;
        this.#readers.shift()?.resolve({ done: false, value: next.value });
      } else if (this.#failure) {
        this.#readers.shift()?.reject(this.#failure);
        this.#failure = undefined;
      } else if (this.#ended) {
        this.#readers.shift()?.resolve({ done: true, value: undefined });
      } else {
        return;
      }
    }
  }
}
