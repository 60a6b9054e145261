import { isObservable, type Observable, Subscription } from 'rxjs';
import type { WebSocket } from 'ws';
import type { RoutedCall } from '../decorators/connected-client.js';
import { ConnectionError } from '../errors.js';
import type { RequestId } from '../protocol/message.js';

/** What a call needs of the socket it came in on. */
export interface RoutePeer {
  readonly ws: WebSocket;
  readonly clientId: string;
  /** The `ConnectedClient`, or in a client's handler the `WebSocketClient`. */
  readonly client: unknown;
  /** Sends one value of a stream; a promise when there is no room for the next yet. Throws what can't be encoded. */
  emit(call: RouteCall, value: unknown): Promise<void> | undefined;
  /** The call became a stream: it no longer holds up the messages behind it, nor runs out of time. */
  streamStarted(call: RouteCall): void;
}

/** What a handler's run comes to when its values went out as a stream. */
export const STREAMED: unique symbol = Symbol('streamed');

/** One message on its way through its handler. */
export class RouteCall implements RoutedCall {
  /** An answer was given (or given up): whatever comes later is dropped. */
  settled = false;
  isStream = false;
  /** Of the queue that ends it when it takes too long. */
  deadline = 0;
  earlier: RouteCall | undefined;
  later: RouteCall | undefined;
  /** Where it stands among those of its connection that run. */
  slot = -1;
  #stop: (() => void) | undefined;

  constructor(
    readonly peer: RoutePeer,
    readonly type: string,
    readonly action: string,
    readonly data: unknown,
    readonly id: RequestId | undefined,
  ) {}

  get ws(): WebSocket {
    return this.peer.ws;
  }

  get clientId(): string {
    return this.peer.clientId;
  }

  get client(): unknown {
    return this.peer.client;
  }

  /** For what takes effect late: who was told TIMEOUT meanwhile, or left, must not get it after all. @throws {ConnectionError} */
  throwIfSettled(): void {
    if (this.settled) throw new ConnectionError('The request had ended before it was decided.');
  }

  /** Ends the stream: its source is unsubscribed. A no-op for a call that isn't one. */
  cancel(): void {
    this.#stop?.();
  }

  /** From now on every value goes out by itself. Throws when the socket has too many streams open. */
  startStream(): void {
    if (this.isStream) return;
    this.peer.streamStarted(this);
    this.isStream = true;
  }

  /** What a handler itself returned, or promised: an Observable or an async iterable streams. */
  take(result: unknown): unknown {
    // Made a real promise: what a query builder calls `then` need not return one, nor catch what we throw in it.
    if (isPromise(result)) return Promise.resolve(result).then((value) => this.take(value));
    if (isObservable(result)) this.startStream();
    return this.consume(result);
  }

  /**
   * Takes what came out of the interceptors: a plain value passes through, an async iterable or an Observable is run to its end.
   * An Observable that stands for a single value (interceptors wrap it so) yields that value.
   */
  consume(result: unknown): unknown {
    if (isObservable(result)) return this.#consumeObservable(result);
    if (isAsyncIterable(result)) return this.#consumeIterable(result);
    return result;
  }

  #consumeObservable(source: Observable<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const subscription = new Subscription();
      // A teardown may throw. It runs because of what the peer did, so nobody above could catch it: it fails the call.
      const end = (settle: () => void): void => {
        try {
          subscription.unsubscribe();
          settle();
        } catch (error) {
          reject(error);
        }
      };
      const fail = (error: Error): void => {
        reject(error);
        end(() => undefined);
      };
      this.#stop = () => end(() => resolve(STREAMED));
      // Inside an observer a throw would surface as an uncaught exception.
      const safely =
        <A extends unknown[]>(run: (...args: A) => void) =>
        (...args: A): void => {
          try {
            run(...args);
          } catch (error) {
            fail(error as Error);
          }
        };
      let last: unknown;
      const observer = {
        next: safely((value: unknown) => {
          if (subscription.closed) return; // a source that emits at once can't be stopped in the middle
          if (!this.isStream || isAsyncIterable(value)) last = value;
          else void this.peer.emit(this, value);
        }),
        error: fail,
        complete: safely(() => resolve(this.isStream && !isAsyncIterable(last) ? STREAMED : this.consume(last))),
      };
      subscription.add(source.subscribe(observer));
      if (this.settled) this.#stop();
    });
  }

  #consumeIterable(source: AsyncIterable<unknown>): Promise<typeof STREAMED> {
    this.startStream();
    const iterator = source[Symbol.asyncIterator]();
    return new Promise((resolve, reject) => {
      let isOver = false;
      const end = (): void => {
        if (isOver) return;
        isOver = true;
        resolve(STREAMED);
        void close(iterator);
      };
      this.#stop = end;
      if (this.settled) return end();
      this.#sendAll(iterator, () => isOver).then(() => {
        isOver = true;
        resolve(STREAMED);
      }, reject);
    });
  }

  /** One value after the other, each once there is room for it. Nothing here outlives its value: a stream may go on for months. */
  async #sendAll(iterator: AsyncIterator<unknown>, isOver: () => boolean): Promise<void> {
    for (;;) {
      const { done, value } = await iterator.next();
      if (done || isOver()) return;
      try {
        await this.peer.emit(this, value);
      } catch (error) {
        void close(iterator);
        throw error;
      }
      if (isOver()) return;
    }
  }
}

/** Not awaited: a generator that waits for its next value only ends when that comes. What it throws then concerns nobody. */
async function close(iterator: AsyncIterator<unknown>): Promise<void> {
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
