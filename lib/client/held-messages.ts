import { utf8Length } from '../protocol/close-codes.js';
import type { ServerMessage } from './greeting.js';

/** Messages of a new connection. They wait until `onConnected` was called, so that no handler runs before it. */
export class HeldMessages {
  /** Resolves when more than `maxBytes` wait. */
  readonly full: Promise<void>;
  readonly #maxBytes: number;
  #messages: ServerMessage[] | undefined = [];
  #bytes = 0;
  #resolveFull!: () => void;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.full = new Promise((resolve) => (this.#resolveFull = resolve));
  }

  /** @param text the whole frame, for its size @returns false when messages don't wait any more */
  hold(message: ServerMessage, text: string): boolean {
    if (!this.#messages) return false;
    this.#messages.push(message);
    this.#bytes += utf8Length(text);
    if (this.#bytes > this.#maxBytes) this.#resolveFull();
    return true;
  }

  /** @returns the messages that waited. Later ones don't wait. */
  release(): ServerMessage[] {
    const held = this.#messages ?? [];
    this.#messages = undefined;
    return held;
  }
}
