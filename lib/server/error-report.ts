import { Logger } from '@nestjs/common';
import { errorOf } from '../protocol/thrown.js';
import type { WebSocketEvents } from '../websocket-options.js';

/** Where errors go that no caller can be told of: to `events.onError`, or else to the log. */
export class ErrorReport {
  readonly #logger = new Logger('WebSocketServer');

  constructor(private readonly events: WebSocketEvents) {}

  /** Never throws, whatever was thrown and whatever `onError` does. */
  failed(thrown: unknown, place: string): void {
    const error = errorOf(thrown);
    const { onError } = this.events;
    if (!onError) return this.#log(`In ${place}`, error, error);
    void (async () => onError({ error }))().catch((second: unknown) => {
      this.#log('events.onError itself failed', errorOf(second), error);
    });
  }

  /** Calls what belongs to the application: its failure is reported and goes no further. */
  contain(place: string, call: () => unknown): void {
    void (async () => call())().catch((error: unknown) => this.failed(error, place));
  }

  #log(what: string, { message }: Error, { stack }: Error): void {
    try {
      this.#logger.error(`${what}: ${message}`, stack);
    } catch {
      // The application's own logger fails: there is nobody left to tell.
    }
  }
}
