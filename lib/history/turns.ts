/** What is done for a client is done one after the other; for different clients at the same time. */
export class Turns {
  /** The last of each client that waits. */
  readonly #last = new Map<string, Promise<void>>();

  /** @returns as `work` does */
  take(clientId: string, work: () => Promise<void>): Promise<void> {
    const done = (this.#last.get(clientId) ?? Promise.resolve()).then(work);
    const settled = done.catch(() => undefined); // for the next in turn
    this.#last.set(clientId, settled);
    void settled.then(() => {
      if (this.#last.get(clientId) === settled) this.#last.delete(clientId);
    });
    return done;
  }
}
