import { TimeoutError } from './errors.js';
import { errorOf } from './protocol/thrown.js';

/** Calls a task later. The function that it returns cancels that. */
export type After = (ms: number, task: () => void) => () => void;

/** A request under way. */
export interface Asking {
  /** Resolves after the last answer. Rejects when the request fails, takes too long, or is stopped with an error. */
  readonly ended: Promise<void>;
  /** Waits no longer. */
  stop(error?: Error): void;
}

export interface AskOptions {
  /** For each answer. @default for ever */
  timeoutMs?: number | undefined;
  /** Aborting rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

export interface Pending<A> extends Pick<Asking, 'stop'> {
  answer(answer: A, isLast: boolean): void;
  /** Ends it, without a word to the other side. */
  settle(error?: Error): void;
}

/** Requests that wait for their answers. Their ids count up from 1 and are never used again. */
export class PendingRequests<A> {
  readonly #pending = new Map<unknown, Pending<A>>();
  #lastId = 0;
  readonly #after: After;
  readonly #stopped: ((id: number) => void) | undefined;

  /**
   * @param stopped tells the other side that nobody waits for more answers to this request
   */
  constructor(after: After, stopped?: (id: number) => void) {
    this.#after = after;
    this.#stopped = stopped;
  }

  get size(): number {
    return this.#pending.size;
  }

  /**
   * Sends a request, and calls `answered` with each answer in the turn in which it is read: what came after it is handled after
   * it.
   * @param what for the error, if it takes too long
   * @param send gets the id of the request; may throw, be answered at once, or end all requests
   * @param answered may stop the request
   */
  begin(
    what: string,
    { timeoutMs, signal }: AskOptions,
    send: (id: number) => void,
    answered: (answer: A, stop: Asking['stop']) => void,
  ): Asking {
    const id = ++this.#lastId;
    let cancelTimeout: (() => void) | undefined;
    let settle!: (error?: Error) => void;
    const stop = (error?: Error): void => {
      if (this.#pending.delete(id)) this.#stopped?.(id);
      settle(error);
    };
    const onAbort = (): void => stop(abortReason(signal as AbortSignal));
    const wait = (): void => {
      cancelTimeout?.();
      if (timeoutMs !== undefined)
        cancelTimeout = this.#after(timeoutMs, () => stop(new TimeoutError(what, timeoutMs)));
    };
    const answer = (given: A, isLast: boolean): void => {
      if (isLast) this.#pending.delete(id);
      answered(given, stop);
      if (this.#pending.has(id)) wait();
      else settle();
    };
    const ended = new Promise<void>((resolve, reject) => {
      settle = (error) => {
        this.#pending.delete(id);
        cancelTimeout?.();
        signal?.removeEventListener('abort', onAbort);
        if (error) reject(error);
        else resolve();
      };
      if (signal?.aborted) throw abortReason(signal);
      this.#pending.set(id, { answer, settle, stop });
      signal?.addEventListener('abort', onAbort);
      wait();
      try {
        send(id);
      } catch (error) {
        settle(error as Error);
      }
    });
    return { ended, stop };
  }

  /** The request that waits under this id. */
  find(id: unknown): Pending<A> | undefined {
    return this.#pending.get(id);
  }

  failAll(error: Error): void {
    for (const { settle } of this.#pending.values()) settle(error);
  }

  /** An answer to a request that was given up is late, but not wrong. */
  wasUsed(id: unknown): boolean {
    return typeof id === 'number' && id >= 1 && id <= this.#lastId;
  }
}

/** The reason of an aborted signal. React Native's signals have neither `reason` nor `throwIfAborted()`. */
export const abortReason = (signal: AbortSignal): Error => errorOf(signal.reason ?? new Error('It was aborted.'));

/** Sends a request that has one answer. @throws {TimeoutError} */
export function askOnce<A>(
  requests: PendingRequests<A>,
  what: string,
  timeoutMs: number,
  send: (id: number) => void,
): Promise<A> {
  return new Promise((resolve, reject) => {
    requests.begin(what, { timeoutMs }, send, resolve).ended.catch(reject);
  });
}
