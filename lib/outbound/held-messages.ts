import type { OutgoingMessage } from './outgoing-message.js';

export interface HoldLimits {
  readonly volatileBytes: number;
  readonly maxBufferedBytes: number;
}

/**
 * Broadcasts for a client whose connection hooks are still running: it gets them in order once they have let it in, and never
 * when they refuse it. What it may keep is what may wait for any other client; what comes above that is left out.
 */
export class HeldMessages {
  readonly #messages = new Map<string | symbol, OutgoingMessage>();
  #bytes = 0;

  /** @returns false for a message that is left out */
  hold(message: OutgoingMessage, { volatileBytes, maxBufferedBytes }: HoldLimits): boolean {
    const { length } = message.payload;
    const key = message.conflateKey ?? Symbol('each for itself');
    const before = this.#messages.get(key);
    const bytes = this.#bytes + length - (before?.payload.length ?? 0);
    if (bytes > (message.isVolatile ? volatileBytes : maxBufferedBytes)) return false;
    this.#bytes = bytes;
    this.#messages.delete(key); // the order is that of the latest ones
    this.#messages.set(key, message);
    return true;
  }

  inOrder(): Iterable<OutgoingMessage> {
    return this.#messages.values();
  }
}
