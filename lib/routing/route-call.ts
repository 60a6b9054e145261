import { isObservable, type Observable, Subscription } from 'rxjs';
import type { WebSocket } from 'ws';
import type { RoutedCall } from '../decorators/connected-client.js';
import type { RequestId } from '../protocol/message.js';

/** What a call needs of the socket it came in on. */
export interface RoutePeer {
  readonly ws: WebSocket;
  readonly clientId: string;
  /** The `ConnectedClient`, or in a client's handler the `WebSocketClient`. */
  readonly client: unknown;
  /** Sends one value of a stream; a promise when there is no room for the next yet. Rejects, never throws. */
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

  /**
   * Takes what a handler returned: a plain value passes through, an async iterable or an Observable is run to its end.
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
      const fail = (error: Error): void => {
        reject(error);
        subscription.unsubscribe();
      };
      this.#stop = () => {
        resolve(STREAMED);
        subscription.unsubscribe();
      };
      let last: unknown;
      const observer = {
        next: (value: unknown) => {
          if (!this.isStream || isAsyncIterable(value)) last = value;
          else this.peer.emit(this, value)?.catch(fail);
        },
        error: fail,
        complete: () => resolve(this.isStream && !isAsyncIterable(last) ? STREAMED : this.consume(last)),
      };
      subscription.add(source.subscribe(observer));
      if (this.settled) this.#stop();
    });
  }

  async #consumeIterable(source: AsyncIterable<unknown>): Promise<typeof STREAMED> {
    this.startStream();
    const iterator = source[Symbol.asyncIterator]();
    let isStopped = false;
    const stopped = new Promise<IteratorResult<unknown>>((resolve) => {
      this.#stop = () => {
        isStopped = true;
        resolve({ done: true, value: undefined });
      };
    });
    if (this.settled) this.#stop?.();
    for (;;) {
      const { done, value } = await Promise.race([iterator.next(), stopped]);
      if (isStopped || done) break;
      await Promise.race([this.peer.emit(this, value), stopped]);
    }
    // Not awaited: a generator that waits for its next value only ends when that comes.
    if (isStopped) iterator.return?.()?.then(undefined, () => undefined);
    return STREAMED;
  }
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
