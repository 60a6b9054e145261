import { Stopwatch } from './stopwatch.js';

/** Milliseconds after which the counts start again. */
const WINDOW_MS = 10_000;

/** Limits the error reports of one kind, so that a server can't fill the log of its clients. */
export class ReportBudget {
  readonly #counts = new Map<string, number>();
  readonly #window = new Stopwatch();

  /** @param max reports of one kind within 10 s @param leftOut gets the number of reports that were left out */
  constructor(
    private readonly max: number,
    private readonly leftOut: (kind: string, count: number) => void,
  ) {}

  take(kind: string): boolean {
    if (this.#window.ms >= WINDOW_MS) {
      this.flush();
      this.#counts.clear();
      this.#window.restart();
    }
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    return count <= this.max;
  }

  /** Reports what was left out so far. */
  flush(): void {
    for (const [kind, count] of this.#counts) {
      if (count <= this.max) continue;
      this.#counts.set(kind, this.max);
      this.leftOut(kind, count - this.max);
    }
  }
}
