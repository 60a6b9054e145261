/** A start that waits until it succeeds or is given up. Each start has its own promise; the first outcome counts. */
export class Readiness {
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  /** A start begins. @returns its outcome; nobody has to handle a rejection */
  begin(): Promise<void> {
    const outcome = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    outcome.catch(() => undefined);
    return outcome;
  }

  reach(): void {
    this.#resolve();
  }

  giveUp(error: Error): void {
    this.#reject(error);
  }
}
