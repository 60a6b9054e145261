import { TimeoutError } from './errors.js';

/** Who waits for the answers to one request. */
export interface ReplySink<R> {
  /** @param text the whole frame as it came, for a sink that keeps to a budget */
  onReply(reply: R, text: string): void;
  onFail(error: Error): void;
}

/** Requests that wait for their answers. Ids count up from 1 and are never used twice. */
export class PendingRequests<R> {
  readonly #sinks = new Map<unknown, ReplySink<R>>();
  #lastId = 0;

  get size(): number {
    return this.#sinks.size;
  }

  has(id: unknown): boolean {
    return this.#sinks.has(id);
  }

  /** True for every id that was used: an answer to a request that was given up is late, not wrong. */
  wasUsed(id: unknown): boolean {
    return typeof id === 'number' && id >= 1 && id <= this.#lastId;
  }

  /** @param send gets the id to ask under; may throw @returns the id */
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

  /**
   * One request, one answer.
   * @param send gets the id to ask under; may throw
   * @param givenUp the other side may still work on it: it took too long, or more answers would follow the first
   * @throws {TimeoutError}
   */
  ask(what: string, timeoutMs: number, send: (id: number) => void, givenUp?: (id: number) => void): Promise<R> {
    return new Promise((resolve, reject) => {
      let asked = 0;
      const timer = setTimeout(() => {
        if (this.close(asked)) givenUp?.(asked);
        reject(new TimeoutError(what, timeoutMs));
      }, timeoutMs);
      const sink: ReplySink<R> = {
        onReply: (reply) => {
          clearTimeout(timer);
          if (this.close(asked)) givenUp?.(asked);
          resolve(reply);
        },
        onFail: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      try {
        this.open(sink, (id) => send((asked = id)));
      } catch (error) {
        sink.onFail(error as Error);
      }
    });
  }

  /** Hands an answer to whoever waits for it. @returns false where nobody does */
  reply(id: unknown, reply: R, isLast = true, text = ''): boolean {
    const sink = this.#sinks.get(id);
    if (isLast) this.#sinks.delete(id);
    sink?.onReply(reply, text);
    return sink !== undefined;
  }

  /** @returns false where nobody waits */
  fail(id: unknown, error: Error): boolean {
    const sink = this.#sinks.get(id);
    this.#sinks.delete(id);
    sink?.onFail(error);
    return sink !== undefined;
  }

  /** Takes no more answers to this request. @returns false where nobody waited */
  close(id: unknown): boolean {
    return this.#sinks.delete(id);
  }

  failAll(error: Error): void {
    const sinks = [...this.#sinks.values()];
    this.#sinks.clear();
    for (const sink of sinks) sink.onFail(error);
  }
}
