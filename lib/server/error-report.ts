import { Logger } from '@nestjs/common';
import type { WebSocketEvents } from '../websocket-options.js';

/** Where errors go that no caller can be told of: to `events.onError`, or else to the log. */
export class ErrorReport {
  readonly #logger = new Logger('WebSocketServer');

  constructor(private readonly events: WebSocketEvents) {}

  failed(thrown: unknown, place: string): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const { onError } = this.events;
    if (!onError) {
      this.#logger.error(`In ${place}: ${error.message}`, error.stack);
      return;
    }
    try {
      onError({ error });
    } catch (second) {
      this.#logger.error(`events.onError itself failed: ${String(second)}`, error.stack);
    }
  }

  /** Calls what belongs to the application: its failure is reported and goes no further. */
  contain(place: string, call: () => unknown): void {
    void (async () => call())().catch((error: unknown) => this.failed(error, place));
  }
}
