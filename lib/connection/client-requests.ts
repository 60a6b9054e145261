import { ConnectionError, RemoteError, TimeoutError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ErrorFrameData, RequestId } from '../protocol/message.js';

interface Pending {
  resolve(response: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/** What this server asked one client and has no answer to yet. */
export class ClientRequests {
  readonly #pending = new Map<RequestId, Pending>();
  #lastId = 0;

  /** @param send gets the id to ask under; may throw */
  ask(what: string, timeoutMs: number, send: (id: number) => void): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#take(id)?.reject(new TimeoutError(what, timeoutMs)), timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
      try {
        send(id);
      } catch (error) {
        this.#take(id)?.reject(error as Error);
      }
    });
  }

  /** How many wait for their answers. */
  get size(): number {
    return this.#pending.size;
  }

  has(id: RequestId | undefined): boolean {
    return id !== undefined && this.#pending.has(id);
  }

  /** Late and unasked answers are dropped: their asker is gone. */
  answered(id: RequestId | undefined, response: unknown): void {
    this.#take(id)?.resolve(response);
  }

  refused(id: RequestId | undefined, { code, error, details }: ErrorFrameData): void {
    this.#take(id)?.reject(new RemoteError(code, error, details));
  }

  /** An answer came that breaks the protocol: there won't be another. */
  unreadable(id: RequestId | undefined, reason: string): void {
    this.#take(id)?.reject(new RemoteError(ErrorCode.BadFrame, `The client's answer can't be read. ${reason}`));
  }

  disconnected(): void {
    for (const id of this.#pending.keys()) {
      this.#take(id)?.reject(new ConnectionError('The client disconnected before it answered.'));
    }
  }

  #take(id: RequestId | undefined): Pending | undefined {
    if (id === undefined) return undefined;
    const pending = this.#pending.get(id);
    if (pending) {
      clearTimeout(pending.timer);
      this.#pending.delete(id);
    }
    return pending;
  }
}
