import { errorOf } from './protocol/thrown.js';

/** Gets errors that no caller can receive. `place` says where they happened, e.g. "a message of the bus". */
export type Failed = (error: Error, place: string) => void;

/**
 * Makes a callback for an emitter, a timer or a hook, where an error would end the process. The callback never throws and
 * never rejects. Errors of `work` go to `failed`; errors of `failed` are dropped.
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
      // `failed` itself threw: there is nobody else to report to.
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
