/** How long the fastest announcement counts at least, in ms: clocks drift apart, and are set. */
const COUNTS_MS = 60_000;

/**
 * Says by the clock of this process when a message was stored, though its announcement may have been on its way for long. The
 * fastest announcement of late shows how far the clocks are apart.
 */
export class StoredTimes {
  /** The smallest difference of the clocks since `#since`, and of the time before. */
  #difference = Infinity;
  #before = Infinity;
  #since = -Infinity;

  /** @param storedAt by the clock of the store @param now when this process heard of it @returns at most `now` */
  at(storedAt: number, now: number): number {
    if (now - this.#since >= COUNTS_MS) {
      this.#before = this.#difference;
      this.#difference = Infinity;
      this.#since = now;
    }
    this.#difference = Math.min(this.#difference, now - storedAt);
    return storedAt + Math.min(this.#difference, this.#before);
  }
}
