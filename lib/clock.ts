/**
 * Milliseconds of a monotonic clock, for deadlines and durations. It isn't the time of day, and other processes count
 * differently.
 */
export const monotonicMs = (): number => performance.now();

/** Milliseconds since the epoch, for people, tokens and other hosts. It can be set, so it doesn't measure durations. */
export const wallMs = (): number => Date.now();

/** The clock and the timers of a part. Tests pass their own. */
export interface Clock {
  /** As `monotonicMs()`. */
  now(): number;
  /** Calls `task` once, after this turn of the event loop. */
  soon(task: () => void): void;
  /** Calls `task` once, after `ms`, when what came by then has been read. The returned function cancels it. */
  after(ms: number, task: () => void): () => void;
  /** Calls `task` every `ms`. The returned function stops it. */
  every(ms: number, task: () => void): () => void;
}

/** The system's clock. Its timers don't keep the process alive. */
export const systemClock: Clock = {
  now: monotonicMs,
  soon: (task) => void setImmediate(task),
  after(ms, task) {
    let isOff = false;
    const timer = setTimeout(() => setImmediate(() => isOff || task()), ms).unref();
    return () => {
      isOff = true;
      clearTimeout(timer);
    };
  },
  every(ms, task) {
    const timer = setInterval(task, ms).unref();
    return () => clearInterval(timer);
  },
};
