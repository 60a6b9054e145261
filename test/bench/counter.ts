import { FIRST_SEQ, now } from './contract.js';
import { Latencies } from './latencies.js';
import type { LoadSocket, Traffic } from './load-socket.js';

const STALLED_MS = 5_000;
const DIGITS = 10;

export interface Counting {
  /** Each socket gets every message: its numbers leave out none. Else they may, but never go back. */
  isConsecutive?: boolean;
  /** Messages of many publishers: no order to expect, and the sum of all numbers is checked. */
  isUnordered?: boolean;
  /** Milliseconds from publication to arrival are kept. */
  keepsLatency?: boolean;
}

/** Counts messages, reading no more of each than its number. */
export class Counter implements Traffic {
  received = 0;
  disordered = 0;
  sum = 0;
  readonly latencies = new Latencies();
  #arrivedAt = 0;
  #size = -1;
  #seqAt = 0;
  #goal = Infinity;
  #reached: (() => void) | undefined;

  constructor(private readonly counting: Counting = {}) {}

  /** One look at the clock for all that one read brings. */
  arrived(): void {
    if (this.counting.keepsLatency) this.#arrivedAt = now();
  }

  frame(socket: LoadSocket, bytes: Buffer, start: number, size: number): void {
    if (size !== this.#size && !this.#learn(bytes.toString('latin1', start, start + size))) return;
    const seq = number(bytes, start + this.#seqAt, DIGITS);
    if (!this.counting.isUnordered) {
      const isNext = this.counting.isConsecutive ? seq === socket.last + 1 : seq > socket.last;
      if (socket.last !== 0 && !isNext) this.disordered++;
      socket.last = seq;
    }
    this.sum += seq - FIRST_SEQ;
    if (this.counting.keepsLatency) {
      // The time of publication follows the number: ,"at":
      this.latencies.add(this.#arrivedAt - number(bytes, start + this.#seqAt + DIGITS + 6, 16) / 1_000);
    }
    if (++this.received === this.#goal) this.#reached?.();
  }

  /** Resolves once so many have come, or when none has come for a while. */
  async until(goal: number, stalledMs = STALLED_MS): Promise<void> {
    if (this.received >= goal) return;
    const reached = new Promise<true>((resolve) => {
      this.#goal = goal;
      this.#reached = () => resolve(true);
    });
    for (;;) {
      const before = this.received;
      const timer = new AbortController();
      const isReached = await Promise.race([reached, stalled(stalledMs, timer.signal)]);
      timer.abort();
      if (isReached || this.received === before) return;
    }
  }

  #learn(text: string): boolean {
    const at = text.indexOf('"seq":');
    if (at < 0) return false;
    this.#size = text.length;
    this.#seqAt = at + 6;
    return true;
  }
}

/** Resolves when nothing came for too long. */
function stalled(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => clearTimeout(timer));
  });
}

function number(bytes: Buffer, at: number, digits: number): number {
  let value = 0;
  for (let n = at; n < at + digits; n++) value = value * 10 + (bytes[n] as number) - 48;
  return value;
}
