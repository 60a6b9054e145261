import type { Clock } from '../clock.js';

/** Calls `check` when something wasn't known to be whole for `afterMs`. A busy room is never checked. */
export class QuietWatch {
  #knownUntil = 0;
  #cancel: () => void = () => undefined;

  constructor(
    private readonly clock: Clock,
    private readonly afterMs: number,
    private readonly check: () => void,
  ) {}

  /** Begins, or begins anew: all is known until now. */
  begin(): void {
    this.#cancel();
    this.isKnownUntil(this.clock.now());
    this.#checkIn(this.afterMs);
  }

  /** Nothing from before this time is missing. */
  isKnownUntil(time: number): void {
    this.#knownUntil = Math.max(this.#knownUntil, time);
  }

  stop(): void {
    this.#cancel();
  }

  #checkIn(ms: number): void {
    this.#cancel = this.clock.after(ms, () => {
      const leftMs = this.#knownUntil + this.afterMs - this.clock.now();
      if (leftMs > 0) return this.#checkIn(leftMs); // no timer for each message
      this.begin();
      this.check();
    });
  }
}
