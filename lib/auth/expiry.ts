import type { Clock } from '../clock.js';

/** Milliseconds by which an expiry may be noticed late. */
const SWEEP_MS = 1_000;

/** Calls back when items expire. One shared timer instead of one for each; it runs only while there are items. */
export class Expiry<T> {
  readonly #ends = new Map<T, number>();
  #stopSweeping: (() => void) | undefined;

  constructor(
    private readonly clock: Pick<Clock, 'wall' | 'every'>,
    private readonly expired: (item: T) => void,
  ) {}

  /** @param expiresAt milliseconds since the epoch; undefined: never */
  set(item: T, expiresAt: number | undefined): void {
    if (expiresAt === undefined) return this.delete(item);
    this.#ends.set(item, expiresAt);
    this.#stopSweeping ??= this.clock.every(SWEEP_MS, () => this.#sweep());
  }

  delete(item: T): void {
    this.#ends.delete(item);
    if (this.#ends.size === 0) this.stop();
  }

  stop(): void {
    this.#stopSweeping?.();
    this.#stopSweeping = undefined;
    this.#ends.clear();
  }

  #sweep(): void {
    const now = this.clock.wall();
    for (const [item, end] of this.#ends) {
      if (end > now) continue;
      this.delete(item);
      this.expired(item);
    }
  }
}
