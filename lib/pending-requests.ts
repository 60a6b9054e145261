import { TimeoutError } from './errors.js';
import { overdue } from './overdue.js';

/** Receives the answers to one request. */
export interface ReplySink<R> {
  /** @param text the whole frame, for a sink that counts bytes */
  onReply(reply: R, text: string): void;
  onFail(error: Error): void;
}

/** Requests that wait for answers. Their ids count up from 1 and are never used again. */
export class PendingRequests<R> {
  readonly #sinks = new Map<unknown, ReplySink<R>>();
  #lastId = 0;

  get size(): number {
    return this.#sinks.size;
  }

  has(id: unknown): boolean {
    return this.#sinks.has(id);
  }

  /** True for every id that was used. An answer to a request that was given up is late, but not wrong. */
  wasUsed(id: unknown): boolean {
    return typeof id === 'number' && id >= 1 && id <= this.#lastId;
  }

  /** @param send gets the id of the request; may throw @returns the id */
  open(sink: ReplySink<R>, send: (id: number) => void): number {
    const id = ++this.#lastId;
    this.#sinks.set(id, sink);
    try {
      send(id);
    } catch (error) {
      this.#sinks.delete(id);
      throw error;
    }
    return id;
  }

  /** Passes an answer to its request. @returns false if no request waits for it */
  reply(id: unknown, reply: R, isLast = true, text = ''): boolean {
    const sink = this.#sinks.get(id);
    if (isLast) this.#sinks.delete(id);
    sink?.onReply(reply, text);
    return sink !== undefined;
  }

  /** @returns false when no request waits under this id */
  fail(id: unknown, error: Error): boolean {
    const sink = this.#sinks.get(id);
    this.#sinks.delete(id);
    sink?.onFail(error);
    return sink !== undefined;
  }

  /** Ignores further answers to this request. @returns false if no request waited for them */
  close(id: unknown): boolean {
    return this.#sinks.delete(id);
  }

  failAll(error: Error): void {
    const sinks = [...this.#sinks.values()];
    this.#sinks.clear();
    for (const sink of sinks) sink.onFail(error);
  }
}

/**
 * Sends a request that has one answer.
 * @param send gets the id of the request; may throw
 * @throws {TimeoutError}
 */
export function ask<R>(
  pending: PendingRequests<R>,
  what: string,
  timeoutMs: number,
  send: (id: number) => void,
): Promise<R> {
  return new Promise((resolve, reject) => {
    let asked = 0;
    const cancelTimeout = overdue(timeoutMs, () => {
      pending.close(asked);
      reject(new TimeoutError(what, timeoutMs));
    });
    const sink: ReplySink<R> = {
      onReply: (reply) => {
        cancelTimeout();
        resolve(reply);
      },
      onFail: (error) => {
        cancelTimeout();
        reject(error);
      },
    };
    try {
      pending.open(sink, (id) => send((asked = id)));
    } catch (error) {
      sink.onFail(error as Error);
    }
  });
}
