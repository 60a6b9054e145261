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

/** The values of one streaming request, in order. Leaving the loop early cancels it on the server. */
export class ReplyStream<T> implements AsyncIterableIterator<T, undefined, undefined> {
  readonly #start: (answered: (response: unknown, text: string) => void) => Asking;
  readonly #limits: ReplyStreamLimits;
  readonly #signal: AbortSignal | undefined;
  readonly #values: { value: T; bytes: number }[] = [];
  #bytes = 0;
  readonly #readers: ((result: Result<T> | Promise<never>) => void)[] = [];
  #request: Asking | undefined;
  #ended = false;
  /** Thrown once, after the values that came before it. */
  #failure: Error | undefined;

  /** @param start sends the request. Called at the first `next()`: a stream that nobody reads costs nothing */
  constructor(
    start: (answered: (response: unknown, text: string) => void) => Asking,
    limits: ReplyStreamLimits,
    signal: AbortSignal | undefined,
  ) {
    this.#start = start;
    this.#limits = limits;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result<T>> {
    if (!this.#request && !this.#ended) this.#begin();
    return new Promise((resolve) => {
      this.#readers.push(resolve);
      this.#flush();
    });
  }

  /** Leaving a `for await` loop comes here. */
  async return(): Promise<Result<T>> {
    this.#values.length = 0;
    this.#end();
    this.#failure = undefined;
    this.#request?.stop();
    return { done: true, value: undefined };
  }

  async throw(error?: unknown): Promise<Result<T>> {
    await this.return();
    throw errorOf(error);
  }

  #begin(): void {
    const end = (error?: unknown): void => this.#end(error ? errorOf(error) : undefined);
    try {
      this.#request = this.#start((response, text) => this.#receive(response as T, text));
      this.#request.ended.then(end, end);
    } catch (error) {
      end(error);
    }
  }

  #receive(value: T, text: string): void {
    const { maxStreamBuffer, maxHeldBytes } = this.#limits;
    const waiting = this.#values.length;
    const bytes = this.#readers.length > 0 ? 0 : utf8Length(text);
    const isTooMany = waiting >= maxStreamBuffer;
    // A single value may always wait: it was read from the socket already.
    if (isTooMany || (waiting > 0 && this.#bytes + bytes > maxHeldBytes)) {
      const [limit, option] = isTooMany
        ? [`${maxStreamBuffer} values`, 'maxStreamBuffer']
        : [`${maxHeldBytes} bytes`, 'maxHeldBytes'];
      return this.#request?.stop(new StreamOverflowError(limit, option));
    }
    this.#values.push({ value, bytes });
    this.#bytes += bytes;
    this.#flush();
  }

  #end(failure?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    if (this.#signal?.aborted) this.#values.length = 0;
    this.#flush();
  }

  #flush(): void {
    while (this.#readers.length > 0) {
      const next = this.#values.shift();
      if (!next && !this.#ended) return;
      const failure = next ? undefined : this.#failure;
      if (failure) this.#failure = undefined;
      this.#bytes -= next?.bytes ?? 0;
      this.#readers.shift()?.(
        failure
          ? Promise.reject(failure)
          : next
            ? { done: false, value: next.value }
            : { done: true, value: undefined },
      );
    }
  }
}
