import type { OutgoingMessage } from './outgoing-message.js';

export interface HoldLimits {
  readonly volatileBytes: number;
  readonly maxBufferedBytes: number;
}

/**
 * Broadcasts for a client whose connection hooks still run. It gets them in order when the hooks accept it, and never
 * if they refuse it. They have the same limit of bytes as any client; what is above it is dropped.
 */
export class HeldMessages {
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
