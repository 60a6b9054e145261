import type { Retention } from '../../lib/history/room-log.js';

/** What a room of the tests keeps: times that no test waits for by the clock. */
export const RETENTION: Retention = {
  mode: 'log',
  size: 500,
  ttlMs: 60_000,
  maxBytes: 100_000,
  keyTtlMs: 60_000,
  metaTtlMs: 120_000,
  emptyTtlMs: 120_000,
};
