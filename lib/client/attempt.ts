import { deferred } from './deferred.js';

/** One attempt to connect. Not an AbortController: React Native's keeps no reason. */
export class Attempt {
  outcome: Promise<void> = Promise.resolve();
  /** Why the attempt was abandoned, if it was. */
  declare reason: Error | undefined;
  readonly #abandoned = deferred<never>();

  abandon(reason: Error): void {
    this.reason ??= reason;
    this.#abandoned.reject(reason);
  }

  /** Settles as `work` does, or rejects when the attempt is abandoned first. */
  race<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#abandoned.promise]);
  }
}
