import { Logger } from '@nestjs/common';
import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { errorOf } from '../protocol/thrown.js';
import type { WebSocketEvents } from '../options/websocket-events.js';

/** How many errors of one place are reported in each window: a peer that makes a handler throw must not fill the disk. */
const REPORTS_PER_WINDOW = 10;
const WINDOW_MS = 10_000;
/** How many places have a window of their own. All others share one. */
const MAX_PLACES = 1_000;
const ELSEWHERE = 'other places';

/** The reports of one place in the current window. */
interface Window {
  readonly place: string;
  reported: number;
  leftOut: number;
  /** The latest error that was left out. */
  last: Error | undefined;
  cancelEnd(): void;
}

/**
 * Reports errors that no caller can receive: to `events.onError`, or else to the log. At most 10 errors of one place are reported
 * in 10 seconds. At the end of that time the latest one follows, with the number of errors that were left out.
 */
export class ErrorReport {
  readonly #logger = new Logger('WebSocketServer');
  readonly #windows = new Map<string, Window>();

  constructor(
    private readonly events: WebSocketEvents,
    private readonly clock: Pick<Clock, 'after'>,
  ) {}

  /**
   * Never throws, whatever the error is and whatever `onError` does.
   * @param kind a name for errors of one kind, if a place has several kinds. Each kind has its own limit
   */
  failed(thrown: unknown, place: string, kind?: string): void {
    const error = errorOf(thrown);
    const window = this.#windowOf(place, kind);
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
    for (const key of this.#windows.keys()) this.#end(key);
  }

  #windowOf(place: string, kind: string | undefined): Window {
    const name = kind === undefined ? place : `${place}: ${kind}`;
    const key = this.#windows.size < MAX_PLACES || this.#windows.has(name) ? name : ELSEWHERE;
    const known = this.#windows.get(key);
    if (known) return known;
    const cancelEnd = this.clock.after(WINDOW_MS, () => this.#end(key));
    const shown = key === ELSEWHERE ? ELSEWHERE : place;
    const window: Window = { place: shown, reported: 0, leftOut: 0, last: undefined, cancelEnd };
    this.#windows.set(key, window);
    return window;
  }

  #end(key: string): void {
    const window = this.#windows.get(key);
    if (!window) return;
    window.cancelEnd();
    this.#windows.delete(key);
    if (window.last) this.#report(window.last, window.place, window.leftOut - 1); // without this one
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
      // The application's own logger failed: there is nobody else to report to.
    }
  }
}
