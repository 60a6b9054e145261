/**
 * Deadlines that all lie equally far ahead: they expire in the order they came, so one timer serves them all instead of
 * one for each message.
 */
export class TimeoutQueue<T> {
  readonly #deadlines = new Map<T, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly timeoutMs: number,
    private readonly expired: (item: T) => void,
  ) {}

  /** From now on; a no-op for one whose time runs already. */
  add(item: T): void {
    if (this.#deadlines.has(item)) return;
    this.#deadlines.set(item, Date.now() + this.timeoutMs);
    this.#timer ??= setTimeout(() => this.#sweep(), this.timeoutMs).unref();
  }

  /** True for one whose time has run out, though it may not have been told yet. */
  isOver(item: T): boolean {
    const deadline = this.#deadlines.get(item);
    return deadline !== undefined && deadline <= Date.now();
  }

  delete(item: T): void {
    this.#deadlines.delete(item);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#deadlines.clear();
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = Date.now();
    for (const [item, deadline] of this.#deadlines) {
      if (deadline > now) {
        this.#timer = setTimeout(() => this.#sweep(), deadline - now).unref();
        return;
      }
      this.#deadlines.delete(item);
      this.expired(item);
    }
  }
}
