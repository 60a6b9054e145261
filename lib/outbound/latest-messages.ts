import type { OutgoingMessage } from './outgoing-message.js';

/** What is kept back for a client that is behind: of each key the latest message alone. */
export class LatestMessages {
  bytes = 0;
  readonly #messages = new Map<string, OutgoingMessage>();

  /** @returns true when it took the place of an older one */
  put(key: string, message: OutgoingMessage): boolean {
    const before = this.#messages.get(key);
    if (before) this.bytes -= before.payload.length;
    this.#messages.delete(key); // the order is that of the latest ones
    this.#messages.set(key, message);
    this.bytes += message.payload.length;
    return before !== undefined;
  }

  inOrder(): Iterable<OutgoingMessage> {
    return this.#messages.values();
  }
}
