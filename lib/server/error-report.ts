import { Logger } from '@nestjs/common';
import type { WebSocketEvents } from '../websocket-options.js';

/** Where errors go that no caller can be told of: to `events.onError`, or else to the log. */
export class ErrorReport {
  readonly #logger = new Logger('WebSocketServer');

  constructor(private readonly events: WebSocketEvents) {}

  /** Never throws, whatever was thrown and whatever `onError` does. */
  failed(thrown: unknown, place: string): void {
    const error = thrown instanceof Error ? thrown : new Error(textOf(thrown));
    const { onError } = this.events;
    if (!onError) {
      this.#logger.error(`In ${place}: ${error.message}`, error.stack);
      return;
    }
    void (async () => onError({ error }))().catch((second: unknown) => {
      this.#logger.error(`events.onError itself failed: ${textOf(second)}`, error.stack);
    });
  }

  /** Calls what belongs to the application: its failure is reported and goes no further. */
  contain(place: string, call: () => unknown): void {
    void (async () => call())().catch((error: unknown) => this.failed(error, place));
  }
}

/** Some values have no text, e.g. an object without a prototype. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return `a thrown ${typeof thrown}`;
  }
}
