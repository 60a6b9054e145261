/** Milliseconds after which the count of a kind starts again. */
const WINDOW_MS = 10_000;

interface Count {
  since: number;
  reported: number;
  leftOut: number;
}

/** Limits the error reports of one kind, so that a server can't fill the log of its clients. */
export class ReportBudget {
  readonly #counts = new Map<string, Count>();

  /** @param max reports of one kind within 10 s @param leftOut gets the number of reports that were left out */
  constructor(
    private readonly max: number,
    private readonly leftOut: (kind: string, count: number) => void,
  ) {}

  take(kind: string): boolean {
    const now = performance.now();
    let count = this.#counts.get(kind);
    if (count && now - count.since >= WINDOW_MS) {
      this.#tell(kind, count);
      count = undefined;
    }
    if (!count) this.#counts.set(kind, (count = { since: now, reported: 0, leftOut: 0 }));
    const isTaken = count.reported < this.max;
    count[isTaken ? 'reported' : 'leftOut'] += 1;
    return isTaken;
  }

  /** Reports what was left out so far. */
  flush(): void {
    for (const [kind, count] of this.#counts) this.#tell(kind, count);
  }

  #tell(kind: string, count: Count): void {
    const left = count.leftOut;
    count.leftOut = 0;
    if (left > 0) this.leftOut(kind, left);
  }
}
