import type { Timer } from './deadline.js';
import { TimeoutError } from './errors.js';

interface Pending<R> {
  resolve(reply: R): void;
  reject(error: Error): void;
}

/** Requests that wait for one answer each. Their ids count up from 1 and are never used again. */
export class PendingRequests<R> {
  readonly #pending = new Map<unknown, Pending<R>>();
  #lastId = 0;

  constructor(private readonly clock: Timer) {}

  get size(): number {
    return this.#pending.size;
  }

  /**
   * Sends a request.
   * @param send gets the id of the request; may throw
   * @throws {TimeoutError}
   */
  ask(what: string, timeoutMs: number, send: (id: number) => void): Promise<R> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const cancelTimeout = this.clock.after(timeoutMs, () => this.fail(id, new TimeoutError(what, timeoutMs)));
      const end = (settle: () => void): void => {
        cancelTimeout();
        settle();
      };
      this.#pending.set(id, {
        resolve: (reply) => end(() => resolve(reply)),
        reject: (error) => end(() => reject(error)),
      });
      try {
        send(id);
      } catch (error) {
        this.fail(id, error as Error);
      }
    });
  }

  /** Passes an answer to its request. @returns false if no request waits for it */
  reply(id: unknown, reply: R): boolean {
    this.#pending.get(id)?.resolve(reply);
    return this.#pending.delete(id);
  }

  /** @returns false when no request waits under this id */
  fail(id: unknown, error: Error): boolean {
    this.#pending.get(id)?.reject(error);
    return this.#pending.delete(id);
  }

  failAll(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
