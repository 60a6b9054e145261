import type { Deferred } from './deferred.js';

/** One attempt to connect. Not an AbortController: React Native's keeps no reason. */
export interface Attempt extends Deferred<never> {
  outcome: Promise<void>;
  /** Why it was abandoned, if it was. */
  reason?: Error;
}

export function abandon(attempt: Attempt, reason: Error): void {
  attempt.reason ??= reason;
  attempt.reject(reason);
}
