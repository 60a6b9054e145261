import { isObservable, type Observable, Subscription } from 'rxjs';
import type { WebSocket } from 'ws';
import type { RoutedCall } from '../decorators/connected-client.js';
import { ConnectionError, InvalidStateError } from '../errors.js';
import type { RequestId } from '../protocol/message.js';
import { errorOf } from '../protocol/thrown.js';
import type { Caller } from './caller.js';
import type { RouteTry } from './kept-reply.js';
import { Breath, closeIterator, isAsyncIterable, isPromise, STREAMED } from './stream-source.js';

/** What a call needs of its socket. */
export interface RoutePeer {
  readonly ws: WebSocket;
  readonly clientId: string;
  /** The `ConnectedClient`; in a handler of a client, the `WebSocketClient`. */
  readonly client: unknown;
  /** The session of the client, if it has sent one, and the owner of its keys. Undefined in a handler of a client. */
  readonly caller?: Caller | undefined;
  /** Sends one value of a stream. @returns a promise if there is no room for the next yet @throws if it can't be encoded */
  emit(call: RouteCall, value: unknown): Promise<void> | undefined;
  /** Sends the reply, in this turn. What the handler returns afterwards is dropped. */
  answer(call: RouteCall, value: unknown): void;
  /** The same with a response that is JSON already. */
  answerJson(call: RouteCall, json: string): void;
  /** The call became a stream: it doesn't hold up later messages, and has no time limit. */
  streamStarted(call: RouteCall): void;
  /** The stream has ended: its Observable is unsubscribed, its iterator has returned. */
  streamEnded(call: RouteCall): void;
}

/** One message and its handler's answer. */
export class RouteCall implements RoutedCall {
  /** The call was answered or given up. Later results are dropped. */
  settled = false;
  isStream = false;
  /** The source of its stream still runs, e.g. because `return()` of a generator has not settled. */
  runs = false;
  /** The data of the message. Cleared after the handler was called. */
  data: unknown;
  /** Owned by the queue of timeouts. */
  deadline = 0;
  earlier: RouteCall | undefined;
  later: RouteCall | undefined;
  /** Its index among the running calls of its connection. */
  slot = -1;
  /** Its number among the started calls of its connection. */
  turn = 0;
  /** How often its handler has published to rooms with history so far. */
  published = 0;
  /** Set for a message with a key, on a route that handles each key once. */
  try: RouteTry | undefined;
  /** Why nobody waits for the answer any more: it was cancelled, took too long, or its client has left. */
  endedBy: Error | undefined;
  #stop: (() => void) | undefined;
  #abortion: AbortController | undefined;

  constructor(
    readonly peer: RoutePeer,
    readonly type: string,
    readonly action: string,
    data: unknown,
    readonly id: RequestId | undefined,
    /** The sender gives the same one when it sends the message again, and says how long ago it did so first. */
    readonly key?: string,
    readonly sentMsAgo?: unknown,
    /** See `RefusedRounds`. */
    readonly round?: unknown,
  ) {
    this.data = data;
  }

  get ws(): WebSocket {
    return this.peer.ws;
  }

  get clientId(): string {
    return this.peer.clientId;
  }

  get client(): unknown {
    return this.peer.client;
  }

  /** Aborted when the request is cancelled, times out, or its client leaves. Created only when it is read. */
  get signal(): AbortSignal {
    this.#abortion ??= new AbortController();
    if (this.endedBy) this.#abortion.abort(this.endedBy);
    return this.#abortion.signal;
  }

  /**
   * Call it after a wait, before a change: a client that got TIMEOUT, or has left, must not be changed any more.
   * @throws {ConnectionError}
   */
  throwIfSettled(): void {
    if (this.settled) throw new ConnectionError('The request ended before it was decided.');
  }

  /** Nobody waits for the answer any more: aborts the signal and ends the stream. A running handler goes on. */
  end(reason: Error): void {
    if (this.endedBy) return;
    this.endedBy = reason;
    this.#abortion?.abort(reason);
    if (this.isStream) this.#stop?.();
  }

  /** The client has left: ends the call, and also unsubscribes the interceptors around the handler. */
  drop(reason: Error): void {
    if (this.try?.isMine) return; // the client comes back for the reply
    this.end(reason);
    this.#stop?.();
  }

  /** The error to answer with. If the call was aborted, this is the reason of the abort, not the handler's error. */
  reasonOf(thrown: unknown): unknown {
    return this.endedBy && errorOf(thrown).name === 'AbortError' ? this.endedBy : thrown;
  }

  /**
   * From now on every value is sent by itself. Throws when the connection has too many streams.
   * @returns false for a call that has ended: its source must not be subscribed
   */
  startStream(): boolean {
    if (this.try)
      throw new InvalidStateError(`"${this.type}/${this.action}" is idempotent, but its handler returned a stream.`);
    if (!this.isStream) {
      if (!this.endedBy) this.peer.streamStarted(this);
      this.isStream = true;
    }
    return !this.endedBy;
  }

  /** Awaits the result of a handler. An Observable or an async iterable is streamed. */
  take(result: unknown): unknown {
    // Make it a real promise: the `then` of a query builder may return no promise, and may not catch our errors.
    if (isPromise(result)) return Promise.resolve(result).then((value) => this.take(value));
    if (isObservable(result) && !this.startStream()) return STREAMED;
    return this.consume(result);
  }

  /**
   * Handles the result of the interceptors. A plain value is passed on. An async iterable or an Observable runs to its end.
   * An Observable of a single value, as interceptors make it, yields that value.
   */
  consume(result: unknown): unknown {
    if (isObservable(result)) return this.#consumeObservable(result);
    if (isAsyncIterable(result)) return this.#consumeIterable(result);
    return result;
  }

  #consumeObservable(source: Observable<unknown>): unknown {
    if (this.endedBy) {
      if (this.isStream) return STREAMED;
      throw this.endedBy; // with interceptors, subscribing would call the handler
    }
    return new Promise((resolve, reject) => {
      const subscription = new Subscription();
      // A teardown may throw, and nobody above could catch it. It fails the call.
      const end = (settle: () => void): void => {
        try {
          subscription.unsubscribe();
          settle();
        } catch (error) {
          reject(error);
        }
        this.#sourceEnded();
      };
      const fail = (error: Error): void => {
        reject(error);
        end(() => undefined);
      };
      this.runs = true;
      this.#stop = () => end(() => resolve(STREAMED));
      // An error that is thrown inside an observer would be an uncaught exception.
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
          if (subscription.closed) return; // a synchronous source can't be stopped in the middle
          if (!this.isStream || isAsyncIterable(value)) last = value;
          else void this.peer.emit(this, value);
        }),
        error: fail,
        complete: safely(() => {
          if (isAsyncIterable(last)) return resolve(this.consume(last)); // its values are the stream, which goes on
          this.#sourceEnded();
          resolve(this.isStream ? STREAMED : this.consume(last));
        }),
      };
      // Without a closure: one that holds the source makes young collections keep every call (measured: 1.2 → 7 µs
      // of garbage collection a call with a guard, a pipe and an interceptor).
      try {
        subscription.add(source.subscribe(observer));
      } catch (error) {
        fail(error as Error);
      }
      if (this.settled && !this.try?.isMine) this.#stop?.();
    });
  }

  #consumeIterable(source: AsyncIterable<unknown>): unknown {
    if (!this.startStream()) return (this.#sourceEnded(), STREAMED);
    const iterator = source[Symbol.asyncIterator]();
    this.runs = true;
    return new Promise((resolve, reject) => {
      let isOver = false;
      /** @param closing settles when the source has ended */
      const end = (settle: () => void, closing?: Promise<void>): void => {
        isOver = true;
        settle();
        if (closing) void closing.then(() => this.#sourceEnded());
        else this.#sourceEnded();
      };
      this.#stop = () => {
        if (!isOver) end(() => resolve(STREAMED), closeIterator(iterator));
      };
      // One value after the other, when there is room. No reference to a value may stay: a stream may last for months.
      const breath = new Breath();
      const sendAll = async (): Promise<void> => {
        for (;;) {
          const { done, value } = await iterator.next();
          if (isOver) return;
          if (done) return end(() => resolve(STREAMED));
          try {
            await (this.peer.emit(this, value) ?? breath.after());
          } catch (error) {
            if (!isOver) end(() => reject(error), closeIterator(iterator));
          }
          if (isOver) return;
        }
      };
      sendAll().catch((error: unknown) => isOver || end(() => reject(error)));
    });
  }

  #sourceEnded(): void {
    if (!this.runs) return;
    this.runs = false;
    this.#stop = undefined;
    if (this.isStream) this.peer.streamEnded(this);
  }
}
