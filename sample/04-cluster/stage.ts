/** Something is missing that the person at the keyboard can mend: its message is all there is to say. */
export class StartError extends Error {}

/** What a sample put up; taken down the last first, once, whoever asks: SIGTERM, SIGINT or an error. */
export class Stage {
  readonly #closers: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  constructor() {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => void this.close().then(() => process.exit(0)));
    }
  }

  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /** Add each thing as soon as it stands, before waiting for anything: a signal may come at any time. */
  add(close: () => unknown): void {
    this.#closers.push(close);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  /** Runs `start`; when that fails, says why and takes down what stands already. */
  async run(start: () => Promise<void>): Promise<void> {
    try {
      await start();
    } catch (error) {
      if (this.#closing) return; // stopped while it was starting
      console.error(sentenceFor(error));
      await this.close();
      process.exit(1);
    }
  }

  async #close(): Promise<void> {
    for (const close of this.#closers.toReversed()) {
      try {
        await close();
      } catch (error) {
        console.error(error);
      }
    }
  }
}

function sentenceFor(error: unknown): unknown {
  if (error instanceof StartError) return error.message;
  const { code, port } = error as NodeJS.ErrnoException & { port?: number };
  return code === 'EADDRINUSE'
    ? `Port ${port} is taken. Choose another one with the environment variable PORT.`
    : error;
}
