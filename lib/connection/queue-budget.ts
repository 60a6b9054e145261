/** Counts the bytes of waiting messages in all connections of the process, and limits them. */
export class QueueBudget {
  bytes = 0;
  #relief: NodeJS.Immediate | undefined;

  constructor(
    private readonly maxBytes: number,
    /** Closes connections until `isOver` is false. */
    private readonly relieve: () => void,
  ) {}

  get isOver(): boolean {
    return this.bytes > this.maxBytes;
  }

  count(bytes: number): void {
    this.bytes += bytes;
    // Not at once: a frame is being read just now.
    if (bytes > 0 && this.isOver) this.#relief ??= setImmediate(this.#relieveLater);
  }

  stop(): void {
    clearImmediate(this.#relief);
    this.#relief = undefined;
  }

  readonly #relieveLater = (): void => {
    this.#relief = undefined;
    if (this.isOver) this.relieve();
  };
}
