/**
 * Milliseconds of a clock that only ever goes forward, at its own pace: for deadlines and for how long something took. It says
 * nothing about the time of day, and nothing to another process.
 */
export const monotonicMs = (): number => performance.now();

/** Milliseconds since the epoch: for people, tokens and other hosts. It can be set, so no duration is measured by it. */
export const wallMs = (): number => Date.now();
