import type { BackpressurePolicy } from '../protocol/delivery.js';
import type { Check } from '../protocol/check.js';
import { BYTES, BYTES_OR_0, BYTES_OR_FALSE, isObject, oneOf, TIME, TIME_OR_0 } from './checks.js';
import type { FlushPace } from '../outbound/flush-pace.js';
import { fill, type Table } from './option-table.js';

/**
 * What may wait for a client that reads more slowly than the server writes. No other client waits for it. `SendOptions` say which
 * messages a slow client may miss.
 */
export interface SlowClientOptions {
  /**
   * What happens to a broadcast without `volatile` or `conflateKey` when a client is slow. `close`: the message waits, and the
   * connection is closed if too many bytes wait. `drop-volatile`: the same as `volatile: true`. `conflate`: the same as a
   * `conflateKey` of `type/action`. Replies, errors and system messages always wait. @default 'close'
   */
  policy?: BackpressurePolicy;
  /**
   * Bytes that may wait for a client. Above this, volatile messages are dropped and conflated ones are held back. At most
   * `maxBufferedBytes`. @default 262144, at most a quarter of `maxBufferedBytes`
   */
  volatileBytes?: number;
  /**
   * Bytes that may wait for a client. Above this, the connection is closed with 4113. A burst that begins with an empty buffer
   * counts from the next turn of the event loop. @default 1_048_576
   */
  maxBufferedBytes?: number;
  /**
   * Bytes that may be written to a client without a sign of life. After half of them at most, the server sends a ping; after the
   * other half, further messages wait until the client answers. Otherwise the operating system would take megabytes for a client
   * that doesn't read. Not for compressed connections. False: no limit. @default 1_048_576
   */
  maxInFlightBytes?: number | false;
  /** Milliseconds within which a client must take everything that waits. Otherwise its connection is closed with 4113. @default 10_000 */
  drainTimeoutMs?: number;
  /** Bytes that may wait in the whole process. Above this, the connections with the most are closed with 4113. @default 268_435_456 */
  processMaxBufferedBytes?: number;
}

export interface DeliveryOptions {
  /**
   * When waiting messages are written to a connection. `'turn'`: at the end of each turn of the event loop. `{ gapMs }`: at least
   * that many milliseconds after the last write; after a pause at once, and at the end of the turn if more than 64 KB wait. `'auto'`:
   * while the process is busy, the next write waits as long as the last one took, 5 ms at most. Replies and errors are always written
   * at the end of the turn. @default 'turn'
   */
  flush?: FlushPace;
  /** @deprecated Write `flush: { gapMs }`. */
  flushGapMs?: number;
  /**
   * Bytes of messages that may wait for Redis, each for up to 5 s. Above this, a message isn't published: the promise of
   * `WebSocketService` rejects, and `status.counters.unpublished` counts it. @default 67_108_864
   */
  maxBusBytes?: number;
}

/** How `stop()` and the application's shutdown close connections. */
export interface DrainOptions {
  /**
   * Milliseconds over which the closes (1012) are spread, so that clients don't all reconnect at once. At most
   * `terminateAfterMs`. @default 5000, at most half of `terminateAfterMs`
   */
  spreadMs?: number;
  /** Milliseconds after which connections that haven't closed are cut. @default 10_000 */
  terminateAfterMs?: number;
}

const GAP: Check = {
  holds: (value) => Number.isFinite(value) && (value as number) >= 0 && (value as number) <= 1_000,
  must: 'a number of milliseconds from 0 to 1000',
  unit: 'ms',
};

const FLUSH: Check = {
  holds: (value) =>
    value === 'turn' ||
    value === 'auto' ||
    (isObject(value) && Object.keys(value).join() === 'gapMs' && GAP.holds((value as { gapMs: unknown }).gapMs)),
  must: `'turn', 'auto' or { gapMs } with ${GAP.must}`,
};

export const BACKPRESSURE = {
  policy: { default: 'close', check: oneOf('close', 'drop-volatile', 'conflate') },
  volatileBytes: {
    default: 262_144,
    fit: ({ volatileBytes, maxBufferedBytes }) => Math.min(volatileBytes, Math.floor(maxBufferedBytes / 4)),
    check: BYTES_OR_0,
  },
  maxBufferedBytes: { default: 1_048_576, check: BYTES },
  maxInFlightBytes: { default: 1_048_576, check: BYTES_OR_FALSE },
  drainTimeoutMs: { default: 10_000, check: TIME },
  processMaxBufferedBytes: { default: 268_435_456, check: BYTES },
} satisfies Table<SlowClientOptions>;

export const DELIVERY = {
  flush: { default: 'turn', check: FLUSH },
  flushGapMs: { check: GAP },
  maxBusBytes: { default: 67_108_864, check: BYTES },
} satisfies Table<DeliveryOptions>;

export const DRAIN = {
  spreadMs: {
    default: 5_000,
    fit: ({ spreadMs, terminateAfterMs }) => Math.min(spreadMs, Math.floor(terminateAfterMs / 2)),
    check: TIME_OR_0,
  },
  terminateAfterMs: { default: 10_000, check: TIME_OR_0 },
} satisfies Table<DrainOptions>;

export function* drainFlaws(given: DrainOptions | undefined): Generator<string> {
  const { spreadMs, terminateAfterMs } = fill(DRAIN, given);
  if (spreadMs > terminateAfterMs)
    yield (
      `"drain.spreadMs" (${spreadMs}) is longer than "drain.terminateAfterMs" (${terminateAfterMs}): connections would be cut ` +
      'before they were closed. Make it shorter'
    );
}

export function* backpressureFlaws(given: SlowClientOptions | undefined): Generator<string> {
  const { volatileBytes, maxBufferedBytes } = fill(BACKPRESSURE, given);
  if (volatileBytes > maxBufferedBytes)
    yield (
      `"backpressure.volatileBytes" (${volatileBytes}) is above "backpressure.maxBufferedBytes" (${maxBufferedBytes}): the client ` +
      'would be closed before messages are dropped for it. Make it smaller'
    );
}
