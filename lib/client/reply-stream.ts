import { errorOf } from '../protocol/thrown.js';
import { StreamOverflowError } from './client-errors.js';
import type { OpenRequest, ReplyFrame, ReplySink } from './pending-requests.js';

interface Reader<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: Error): void;
}

export interface ReplyStreamOptions {
  /** Sends the request. Called at the first `next()`, so that a stream nobody reads costs nothing. */
  start(sink: ReplySink): OpenRequest;
  maxBuffered: number;
  signal?: AbortSignal | undefined;
}

/** The values of one streaming request, in order. Whoever stops reading early cancels it on the server. */
export class ReplyStream<T> implements AsyncIterableIterator<T, undefined, undefined> {
  readonly #options: ReplyStreamOptions;
  readonly #values: T[] = [];
  readonly #readers: Reader<T>[] = [];
  #request: OpenRequest | undefined;
  #started = false;
  #ended = false;
  /** Told once, after the values that came before it. */
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
    const { signal, start } = this.#options;
    try {
      signal?.throwIfAborted();
      this.#request = start({
        onReply: (reply) => this.#receive(reply),
        onFail: (error) => this.#end(error),
      });
      signal?.addEventListener('abort', this.#onAbort);
    } catch (error) {
      this.#end(errorOf(error));
    }
  }

  readonly #onAbort = (): void => {
    this.#values.length = 0;
    this.#cancel(errorOf(this.#options.signal?.reason));
  };

  #receive(reply: ReplyFrame): void {
    if (reply.done) return this.#end();
    if (this.#values.length >= this.#options.maxBuffered) {
      return this.#cancel(new StreamOverflowError(this.#options.maxBuffered));
    }
    this.#values.push(reply.response as T);
    this.#flush();
    // A handler that doesn't stream answers once, without `more`.
    if (!reply.more) this.#end();
  }

  #abandon(): void {
    this.#started = true;
    this.#values.length = 0;
    this.#failure = undefined;
    this.#cancel();
  }

  #cancel(failure?: Error): void {
    this.#request?.cancel();
    this.#end(failure);
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
      if (this.#values.length > 0) {
        this.#readers.shift()?.resolve({ done: false, value: this.#values.shift() as T });
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
