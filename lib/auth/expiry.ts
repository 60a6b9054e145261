import { wallMs } from '../clock.js';

/** How late an expiry may be noticed, in ms. */
const SWEEP_MS = 1_000;

/** Until when things hold. One shared sweep instead of a timer for each; it runs while anything is there to expire. */
export class Expiry<T> {
  readonly #ends = new Map<T, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly expired: (item: T) => void) {}

  /** @param expiresAt milliseconds since the epoch; undefined: it doesn't expire (any more) */
  set(item: T, expiresAt: number | undefined): void {
    if (expiresAt === undefined) return this.delete(item);
    this.#ends.set(item, expiresAt);
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  delete(item: T): void {
    this.#ends.delete(item);
    if (this.#ends.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#ends.clear();
  }

  #sweep(): void {
    const now = wallMs();
    for (const [item, end] of this.#ends) {
      if (end > now) continue;
      this.delete(item);
      this.expired(item);
    }
  }
}
