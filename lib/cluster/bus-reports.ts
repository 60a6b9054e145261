import type { Clock } from '../clock.js';
import type { BusCounters } from './bus-receiver.js';

/** Each kind of error is reported once in this time. The others are counted. */
const WINDOW_MS = 1_000;
/** Kinds beyond this number share one report. */
const MAX_KINDS = 100;

interface Window {
  leftOut: number;
  last: Error | undefined;
}

/**
 * Counts what was lost, and reports errors that no caller can catch. A failing Redis causes thousands: each kind is
 * reported once a second, with the number of those left out, so that no kind hides another.
 */
export class BusReports {
  readonly counters: BusCounters = { unpublished: 0, missing: 0, stale: 0, junk: 0 };
  readonly #windows = new Map<string, Window>();

  constructor(
    private readonly clock: Clock,
    /** The error as it is reported. Undefined: nobody wants it. */
    private readonly read: (error: Error) => Error | undefined,
    private readonly tell: (error: Error, place: string, kind: string) => void,
  ) {}

  /** Something wasn't published. */
  readonly lost = (error: Error): void => {
    this.counters.unpublished++;
    this.report(error, 'publishing', error.name); // a fixed kind: the text needn't be searched each time
  };

  /** A message can't be read. */
  readonly passOver = (error: Error, place: string): void => {
    this.counters.junk++;
    this.report(error, place);
  };

  /** @param kind what errors of one kind have in common. @default the message without its numbers and ids */
  readonly report = (thrown: Error, place = 'the bus', kind?: string): void => {
    const error = this.read(thrown);
    if (error) this.#add(error, place, kind ?? error.message.replace(/[\w-]{20,}|\d+/g, '#'));
  };

  #add(error: Error, place: string, kind: string): void {
    const full = `${place} ${kind}`;
    const key = this.#windows.has(full) || this.#windows.size < MAX_KINDS ? full : 'others';
    const window = this.#windows.get(key);
    if (window) {
      window.leftOut++;
      window.last = error;
      return;
    }
    this.#windows.set(key, { leftOut: 0, last: undefined });
    this.clock.after(WINDOW_MS, () => this.#end(key, place));
    this.tell(error, place, kind);
  }

  #end(key: string, place: string): void {
    const window = this.#windows.get(key);
    this.#windows.delete(key);
    if (!window?.last) return;
    const { last, leftOut } = window;
    this.#add(leftOut === 1 ? last : withCount(last, leftOut - 1), place, key.slice(place.length + 1));
  }
}

const withCount = (error: Error, leftOut: number): Error =>
  new Error(`${error.message} (${leftOut} more like this were left out.)`, { cause: error });
