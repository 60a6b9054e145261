/**
 * Milliseconds of a clock that only ever goes forward, at its own pace: for deadlines and for how long something took. It says
 * nothing about the time of day, and nothing to another process.
 */
export const monotonicMs = (): number => performance.now();

/** Milliseconds since the epoch: for people, tokens and other hosts. It can be set, so no duration is measured by it. */
export const wallMs = (): number => Date.now();

/** Time, as a part is given it: a test puts its own in the place of the system's. */
export interface Clock {
  /** As `monotonicMs()`. */
  now(): number;
  /** Calls `task` once, after `ms`. The returned function prevents it. */
  after(ms: number, task: () => void): () => void;
  /** Calls `task` again and again. The returned function ends it. */
  every(ms: number, task: () => void): () => void;
}

/** Its timers keep no process alive. */
export const systemClock: Clock = {
  now: monotonicMs,
  after(ms, task) {
    const timer = setTimeout(task, ms).unref();
    return () => clearTimeout(timer);
  },
  every(ms, task) {
    const timer = setInterval(task, ms).unref();
    return () => clearInterval(timer);
  },
};
