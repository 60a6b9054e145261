import { utf8Length } from '../protocol/close-codes.js';
import type { ServerMessage } from './greeting.js';

/** Messages of a new connection. They wait until it was announced, so that no handler runs before `onConnected`. */
export class HeldMessages {
  /** Resolves when more wait than may. */
  readonly full: Promise<void>;
  readonly #maxBytes: number;
  #messages: ServerMessage[] | undefined = [];
  #bytes = 0;
  #resolveFull!: () => void;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.full = new Promise((resolve) => (this.#resolveFull = resolve));
  }

  /** @param text the frame, which counts @returns false when messages don't wait any more */
  hold(message: ServerMessage, text: string): boolean {
    if (!this.#messages) return false;
    this.#messages.push(message);
    this.#bytes += utf8Length(text);
    if (this.#bytes > this.#maxBytes) this.#resolveFull();
    return true;
  }

  /** @returns what waited; from now on nothing does */
  release(): ServerMessage[] {
    const held = this.#messages ?? [];
    this.#messages = undefined;
    return held;
  }
}
