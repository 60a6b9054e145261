import type { RouteCall } from '../routing/route-call.js';

/** Open requests to the client that handlers of its own messages made. */
export class Questions {
  /** For each, how many messages of the connection had been started at that time. */
  readonly #askedAt = new Set<{ turn: number }>();

  /** @param turns the number of messages that have been started */
  add(answer: Promise<unknown>, turns: number): void {
    const question = { turn: turns };
    this.#askedAt.add(question);
    const answered = (): void => void this.#askedAt.delete(question);
    answer.then(answered, answered);
  }

  /** Counts handlers that may be waiting for the client: for each request one that was running when it was made. */
  countAsking(running: readonly RouteCall[]): number {
    if (this.#askedAt.size === 0) return 0;
    const turns = running.map(({ turn }) => turn).toSorted((a, b) => a - b);
    let asking = 0;
    for (const { turn } of this.#askedAt) if ((turns[asking] ?? Infinity) <= turn) asking++;
    return asking;
  }
}
