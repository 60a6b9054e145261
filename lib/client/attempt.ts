/**
 * One attempt to connect. No AbortController: that of React Native keeps no reason.
 */
export class Attempt {
  outcome: Promise<void> = Promise.resolve();
  /** Why it was given up, if it was. */
  reason: Error | undefined;
  #reject!: (reason: Error) => void;
  readonly #abandoned = new Promise<never>((_resolve, reject) => (this.#reject = reject));

  constructor() {
    // It may be given up while nobody waits.
    this.#abandoned.catch(() => undefined);
  }

  abandon(reason: Error): void {
    this.reason ??= reason;
    this.#reject(reason);
  }

  throwIfAbandoned(): void {
    if (this.reason) throw this.reason;
  }

  /** Settles as `work` does, or rejects when the attempt is given up first. */
  race<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#abandoned]);
  }
}
