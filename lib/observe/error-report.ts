import { Logger } from '@nestjs/common';
import { guarded } from '../guarded.js';
import { errorOf } from '../protocol/thrown.js';
import type { WebSocketEvents } from '../options/websocket-events.js';

/** Errors of one place that are reported in each window: a peer that makes a handler throw must not fill the disk. */
const REPORTS_PER_WINDOW = 10;
const WINDOW_MS = 10_000;
/** Places with a window of their own. Further ones share one. */
const MAX_PLACES = 1_000;
const ELSEWHERE = 'other places';

/** The reports of one place in the current window. */
interface Window {
  reported: number;
  leftOut: number;
  /** The latest error that was left out. */
  last: Error | undefined;
  timer: NodeJS.Timeout;
}

/**
 * Reports errors that no caller can receive: to `events.onError`, or else to the log. Of one place at most 10 in 10 seconds
 * are reported. At the end of that time the latest one follows, with the number of errors that were left out.
 */
export class ErrorReport {
  readonly #logger = new Logger('WebSocketServer');
  readonly #windows = new Map<string, Window>();

  constructor(private readonly events: WebSocketEvents) {}

  /** Never throws, whatever the error is and whatever `onError` does. */
  failed(thrown: unknown, place: string): void {
    const error = errorOf(thrown);
    const window = this.#windowOf(place);
    if (window.reported < REPORTS_PER_WINDOW) {
      window.reported++;
      return this.#report(error, place, 0);
    }
    window.leftOut++;
    window.last = error;
  }

  /** Calls code of the application. Its error is reported and goes no further. */
  contain(place: string, call: () => unknown): void {
    guarded(place, (error) => this.failed(error, place), call)();
  }

  /** Reports at once what waits for the end of a window. */
  flush(): void {
    for (const place of this.#windows.keys()) this.#end(place);
  }

  #windowOf(place: string): Window {
    const key = this.#windows.size < MAX_PLACES || this.#windows.has(place) ? place : ELSEWHERE;
    const known = this.#windows.get(key);
    if (known) return known;
    const timer = setTimeout(() => this.#end(key), WINDOW_MS).unref();
    const window: Window = { reported: 0, leftOut: 0, last: undefined, timer };
    this.#windows.set(key, window);
    return window;
  }

  #end(place: string): void {
    const window = this.#windows.get(place);
    if (!window) return;
    clearTimeout(window.timer);
    this.#windows.delete(place);
    if (window.last) this.#report(window.last, place, window.leftOut - 1); // without this one
  }

  #report(error: Error, place: string, leftOut: number): void {
    const { onError } = this.events;
    if (!onError) return this.#log(`In ${place}${leftOut > 0 ? `, and ${leftOut} more` : ''}`, error, error);
    guarded(
      place,
      (second) => this.#log('events.onError itself failed', second, error),
      () => onError({ error, place, leftOut }),
    )();
  }

  #log(what: string, { message }: Error, { stack }: Error): void {
    try {
      this.#logger.error(`${what}: ${message}`, stack);
    } catch {
      // The application's own logger fails: nobody is left to report to.
    }
  }
}
