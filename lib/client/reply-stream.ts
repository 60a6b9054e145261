import { utf8Length } from '../protocol/close-codes.js';
import { errorOf } from '../protocol/thrown.js';
import { StreamOverflowError } from './client-errors.js';
import type { Asking } from './requests.js';

interface Reader<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: Error): void;
}

export interface ReplyStreamOptions {
  /** Sends the request. Called at the first `next()`: a stream that nobody reads costs nothing. */
  start(answered: (response: unknown, text: string) => void): Asking;
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
  #request: Asking | undefined;
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

  #start(): void {
    this.#started = true;
    try {
      this.#request = this.#options.start((response, text) => this.#receive(response as T, text));
      this.#request.ended.then(
        () => this.#end(),
        (error: Error) => this.#end(error),
      );
    } catch (error) {
      this.#end(errorOf(error));
    }
  }

  #receive(value: T, text: string): void {
    const { maxBuffered, maxBufferedBytes } = this.#options;
    const bytes = this.#readers.length > 0 ? 0 : utf8Length(text);
    if (this.#values.length >= maxBuffered) {
      return this.#request?.stop(new StreamOverflowError(`${maxBuffered} values`, 'maxStreamBuffer'));
    }
    // A single value may always wait: it was read from the socket already.
    if (this.#values.length > 0 && this.#bytes + bytes > maxBufferedBytes) {
      return this.#request?.stop(new StreamOverflowError(`${maxBufferedBytes} bytes`, 'maxHeldBytes'));
    }
    this.#values.push({ value, bytes });
    this.#bytes += bytes;
    this.#flush();
  }

  #abandon(): void {
    this.#started = true;
    this.#values.length = 0;
    this.#failure = undefined;
    this.#end();
    this.#request?.stop();
  }

  #end(failure?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    if (this.#options.signal?.aborted) this.#values.length = 0;
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
