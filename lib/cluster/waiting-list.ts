import type { Clock } from '../clock.js';
import { PeerError } from '../errors.js';
import { guarded } from '../guarded.js';
import { ErrorCode } from '../protocol/error-codes.js';

interface Waiting {
  resolve(): void;
  giveUpNoMore(): void;
}

/** Callers that wait until a channel is subscribed, each for a limited time. */
export class WaitingList {
  readonly #waiting = new Map<string, Set<Waiting>>();

  constructor(
    private readonly clock: Clock,
    private readonly failed: (error: Error) => void,
  ) {}

  /** Nobody has to handle a rejection. @throws {PeerError} UNAVAILABLE when it takes longer */
  wait(channel: string, patienceMs: number): Promise<void> {
    const subscribed = new Promise<void>((resolve, reject) => {
      const giveUp = guarded('subscribing', this.failed, () => {
        this.#forget(channel, waiting);
        reject(
          new PeerError(ErrorCode.Unavailable, 'This server cannot receive messages at the moment. Try again later.'),
        );
      });
      const waiting = { resolve, giveUpNoMore: this.clock.after(patienceMs, giveUp) };
      const others = this.#waiting.get(channel);
      if (others) others.add(waiting);
      else this.#waiting.set(channel, new Set([waiting]));
    });
    subscribed.catch(() => undefined); // the caller may still handle it
    return subscribed;
  }

  release(channel: string): void {
    const waiting = this.#waiting.get(channel);
    if (!waiting) return;
    this.#waiting.delete(channel);
    for (const { resolve, giveUpNoMore } of waiting) {
      giveUpNoMore();
      resolve();
    }
  }

  releaseAll(): void {
    for (const channel of this.#waiting.keys()) this.release(channel);
  }

  #forget(channel: string, waiting: Waiting): void {
    const others = this.#waiting.get(channel);
    if (others?.delete(waiting) && others.size === 0) this.#waiting.delete(channel);
  }
}
