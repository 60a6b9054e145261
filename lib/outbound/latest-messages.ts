import type { OutgoingMessage } from './outgoing-message.js';

/** Keeps the latest message of each key for a client that is behind. */
export class LatestMessages {
  bytes = 0;
  readonly #messages = new Map<string, OutgoingMessage>();

  /** @returns true if it replaced an older one */
  put(key: string, message: OutgoingMessage): boolean {
    const before = this.#messages.get(key);
    if (before) this.bytes -= before.payload.length;
    this.#messages.delete(key); // moves it to the end
    this.#messages.set(key, message);
    this.bytes += message.payload.length;
    return before !== undefined;
  }

  inOrder(): Iterable<OutgoingMessage> {
    return this.#messages.values();
  }
}
