import { errorOf } from '../protocol/thrown.js';

/** Why a signal was aborted. Those of React Native don't say, and have no `throwIfAborted()`. */
export const abortReason = (signal: AbortSignal): Error =>
  errorOf(signal.reason ?? new Error('The operation was aborted.'));
