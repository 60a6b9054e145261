/** Time and timers, as a part gets them by its constructor. Tests pass their own. */
export interface Clock {
  /**
   * Milliseconds of a monotonic clock, for deadlines and durations. It isn't the time of day, and other processes count
   * differently.
   */
  now(): number;
  /** Milliseconds since the epoch, for people, tokens and other hosts. It can be set, so it doesn't measure durations. */
  wall(): number;
  /** Calls `task` once, after this turn of the event loop. */
  soon(task: () => void): void;
  /**
   * Calls `task` once, after `ms`, when what came by then has been read: after a process stood still, its timers run before
   * its sockets are read, and an answer that is here would count as missing. The returned function cancels it.
   * @param task gets the time before that was read
   * @param keepsAlive the process doesn't end before. @default false
   */
  after(ms: number, task: (now: number) => void, keepsAlive?: boolean): () => void;
  /** Calls `task` every `ms`. The returned function stops it. The process may end before. */
  every(ms: number, task: () => void): () => void;
}

/** The clock of the process. Only `lib/system.ts` passes it on. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  soon: (task) => void setImmediate(task),
  after(ms, task, keepsAlive = false) {
    let isOff = false;
    const timer = setTimeout(() => {
      const now = performance.now();
      setImmediate(() => isOff || task(now));
    }, ms);
    if (!keepsAlive) timer.unref();
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
