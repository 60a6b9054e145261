import { BYTES, COUNT } from './checks.js';
import type { Table } from './option-table.js';

/** Messages with a key, on routes that handle each key once. See `sending-once.md`. */
export interface KeyOptions {
  /** Keys that this process knows, without `redis`. Above it, the oldest are forgotten before their time. @default 100_000 */
  maxKeys?: number;
  /** Bytes of keys and their replies, without `redis`. Above it, the oldest are forgotten before their time. @default 67_108_864 */
  maxBytes?: number;
  /**
   * Bytes of Redis that the keys of this process may take, with their replies: estimated, and counted anew in a new process.
   * Above half of it, replies aren't kept: a message that is sent again is answered `IN_DOUBT` with `isHandled: true`. Above it,
   * new keys are refused with `RATE_LIMITED`. Both are reported. @default 268_435_456
   */
  maxRedisBytes?: number;
  /**
   * Keys of one user, or of one session, that are known at the same time; with `redis`, new ones in the cluster within the
   * `windowMs` of a route. More are refused with `RATE_LIMITED`. @default 5_000
   */
  maxPerUser?: number;
}

export const KEYS = {
  maxKeys: { default: 100_000, check: COUNT, unit: 'keys' },
  maxBytes: { default: 67_108_864, check: BYTES },
  maxRedisBytes: { default: 268_435_456, check: BYTES },
  maxPerUser: { default: 5_000, check: COUNT, unit: 'keys' },
} satisfies Table<KeyOptions>;
