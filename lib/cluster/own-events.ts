import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { JunkError, readJson } from './bus-input.js';

/** Events are raised for this long in one turn, in ms. Half of the 10 ms of a turn, because other long work may be under way. */
const STEP_MS = 5;
/** More doesn't wait: it is raised at once. In characters of JSON. */
const MAX_WAITING = 16 * 1_024 * 1_024;

interface OwnEvent {
  readonly name: string;
  readonly text: string;
}

/**
 * Raises the events of this node on this node: in order, after the turn of the caller, and as JSON carries them. They
 * don't depend on Redis.
 */
export class OwnEvents {
  #waiting: OwnEvent[] = [];
  /** Position of the first one that waits. */
  #next = 0;
  #length = 0;
  #isScheduled = false;
  readonly #step: () => void;
  readonly #raiseOne: (event: OwnEvent) => void;

  constructor(
    private readonly clock: Clock,
    raise: (name: string, message: unknown) => void,
    /** Gets the error of an event. The next one is still raised. */
    failed: (error: Error, place: string) => void,
  ) {
    this.#raiseOne = guarded('an event of this node', failed, ({ name, text }: OwnEvent) => {
      const message = readJson(text);
      if (message === undefined) throw new JunkError(`The event "${name}" can't be read.`);
      raise(name, message);
    });
    this.#step = guarded('events of this node', failed, () => {
      this.#isScheduled = false;
      this.#raise(STEP_MS);
    });
  }

  add(name: string, text: string): void {
    this.#waiting.push({ name, text });
    this.#length += text.length;
    if (this.#length > MAX_WAITING) this.raiseAll();
    else this.#schedule();
  }

  /** Raises what waits, now. */
  raiseAll(): void {
    this.#raise(Infinity);
  }

  #raise(ms: number): void {
    const until = this.clock.now() + ms;
    for (;;) {
      const event = this.#waiting[this.#next];
      if (!event) break;
      this.#next++;
      this.#length -= event.text.length;
      this.#raiseOne(event);
      if (this.clock.now() >= until) break;
    }
    this.#waiting = this.#waiting.slice(this.#next); // subscribers may have raised more
    this.#next = 0;
    if (this.#waiting.length > 0) this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.clock.soon(this.#step);
  }
}
