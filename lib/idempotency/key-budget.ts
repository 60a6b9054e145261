import type { Clock } from '../clock.js';
import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';

/** Bytes that were taken, and when Redis frees them by itself. */
export interface Taken {
  readonly bytes: number;
  /** In steps of the clock. */
  readonly end: number;
}

/** What a key takes in Redis, with the number of its owner's keys and a short reply. */
const KEY_BYTES = 600;
const SHORT_REPLY_BYTES = 64;
const STEP_MS = 1_000;
const NOTHING: Taken = { bytes: 0, end: 0 };
/** How long a sender is told to wait, in ms. */
const RETRY_MS = 5_000;

/** How much this process keeps in Redis. Each key counts as long as Redis keeps it. */
export class KeyBudget {
  /** What Redis frees, by the end of its time. */
  readonly #ends = new Map<number, number>();
  #bytes = 0;
  #step: number;
  #refused = 0;
  #withoutReply = 0;

  constructor(
    private readonly maxBytes: number,
    private readonly clock: Pick<Clock, 'now'>,
  ) {
    this.#step = this.#now();
  }

  get bytes(): number {
    this.#free();
    return this.#bytes;
  }

  /** For a new key, until its handler has ended. @returns no bytes if there are none left */
  takeKey(windowMs: number): Taken {
    return this.bytes + KEY_BYTES > this.maxBytes ? NOTHING : this.#take(KEY_BYTES, windowMs);
  }

  /** Counts a key that had no room. @returns what its sender gets */
  refuse(windowMs: number): PeerError {
    this.#refused++;
    return new PeerError(
      ErrorCode.RateLimited,
      'The server keeps as many keys as it may. Try again later, or raise "keys.maxRedisBytes" of the server.',
      { retryAfterMs: Math.min(windowMs, RETRY_MS) },
    );
  }

  /** Long replies leave half of it to further keys. @returns false if this one isn't to be kept */
  hasRoomFor(replyBytes: number): boolean {
    const hasRoom = replyBytes <= SHORT_REPLY_BYTES || this.bytes + replyBytes <= this.maxBytes / 2;
    if (!hasRoom) this.#withoutReply++;
    return hasRoom;
  }

  /** The handler has ended: the time of the key begins again. */
  renew(taken: Taken, replyBytes: number, windowMs: number): Taken {
    this.giveBack(taken);
    return this.#take(KEY_BYTES + Math.max(0, replyBytes - SHORT_REPLY_BYTES), windowMs);
  }

  giveBack({ bytes, end }: Taken): void {
    this.#free();
    if (end <= this.#step) return;
    this.#bytes -= bytes;
    this.#ends.set(end, (this.#ends.get(end) ?? 0) - bytes);
  }

  /** What it did since the last call because it was full. */
  tell(): string | undefined {
    if (this.#refused + this.#withoutReply === 0) return undefined;
    const told = `"keys.maxRedisBytes" is reached: ${this.#refused} messages with a key were refused, and ${this.#withoutReply} replies weren't kept.`;
    this.#refused = this.#withoutReply = 0;
    return told;
  }

  #take(bytes: number, forMs: number): Taken {
    const end = Math.ceil((this.clock.now() + forMs) / STEP_MS);
    this.#bytes += bytes;
    this.#ends.set(end, (this.#ends.get(end) ?? 0) + bytes);
    return { bytes, end };
  }

  #free(): void {
    const now = this.#now();
    for (; this.#step < now; this.#step++) {
      this.#bytes -= this.#ends.get(this.#step + 1) ?? 0;
      this.#ends.delete(this.#step + 1);
    }
  }

  #now(): number {
    return Math.floor(this.clock.now() / STEP_MS);
  }
}
