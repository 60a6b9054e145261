import type { RouteCall } from '../routing/route-call.js';

/** What handlers of one connection asked its client, and have no answer to yet. */
export class Questions {
  /** How many of the connection's messages had been started when each was asked. */
  readonly #askedAt = new Set<{ turn: number }>();

  /** @param turns how many messages have been started so far */
  add(answer: Promise<unknown>, turns: number): void {
    const question = { turn: turns };
    this.#askedAt.add(question);
    const answered = (): void => void this.#askedAt.delete(question);
    answer.then(answered, answered);
  }

  /** Handlers that may wait for an answer of the client: for each question one, that was running when it was asked. */
  countAsking(running: readonly RouteCall[]): number {
    if (this.#askedAt.size === 0) return 0;
    const turns = running.map(({ turn }) => turn).toSorted((a, b) => a - b);
    let asking = 0;
    for (const { turn } of this.#askedAt) if ((turns[asking] ?? Infinity) <= turn) asking++;
    return asking;
  }
}
