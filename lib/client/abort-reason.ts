import { errorOf } from '../protocol/thrown.js';

/** The reason of an aborted signal. React Native's signals have neither `reason` nor `throwIfAborted()`. */
export const abortReason = (signal: AbortSignal): Error =>
  errorOf(signal.reason ?? new Error('The operation was aborted.'));
