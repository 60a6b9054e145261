import { errorOf } from './protocol/thrown.js';

/** Hears of what went wrong where no caller can. `place` says where, e.g. "a message of the bus". */
export type Failed = (error: Error, place: string) => void;

/**
 * Makes a callback for an emitter, a timer or a hook: nobody above it catches, so what it throws would end the process.
 * The callback never throws and never leaves a rejection unhandled. What `work` throws, or rejects with, goes to `failed`;
 * what `failed` itself throws is dropped.
 */
export function guarded<A extends unknown[]>(
  place: string,
  failed: Failed,
  work: (...args: A) => unknown,
): (...args: A) => void {
  const report = (thrown: unknown): void => {
    try {
      failed(errorOf(thrown), place);
    } catch {
      // Whoever should hear of it fails, too: there is nobody left to tell.
    }
  };
  return (...args) => {
    try {
      const result = work(...args);
      if (typeof result === 'object' && result !== null) void Promise.resolve(result).catch(report);
    } catch (thrown) {
      report(thrown);
    }
  };
}
