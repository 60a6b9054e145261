import type { OutgoingMessage } from './outgoing-message.js';

export interface HoldLimits {
  readonly volatileBytes: number;
  readonly maxBufferedBytes: number;
}

/**
 * Broadcasts for a client whose connection hooks still run. The client gets them in order when the hooks accept it, and
 * never if they refuse it. The limit is the same number of bytes as for any client; messages above it are dropped.
 */
export class HeldMessages {
  /** The client is closed, because there was no place for a message that it must get. */
  isGivenUp = false;
  readonly #messages = new Map<string | symbol, OutgoingMessage>();
  #bytes = 0;

  /** @returns false for a message that is dropped */
  hold(message: OutgoingMessage, { volatileBytes, maxBufferedBytes }: HoldLimits): boolean {
    const { length } = message.payload;
    const key = message.conflateKey ?? Symbol('each for itself');
    const before = this.#messages.get(key);
    const bytes = this.#bytes + length - (before?.payload.length ?? 0);
    if (bytes > (message.isVolatile ? volatileBytes : maxBufferedBytes)) return false;
    this.#bytes = bytes;
    this.#messages.delete(key); // moves it to the end
    this.#messages.set(key, message);
    return true;
  }

  inOrder(): Iterable<OutgoingMessage> {
    return this.#messages.values();
  }
}
