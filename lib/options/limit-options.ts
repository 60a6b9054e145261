import type { Rate } from '../limits/rate.js';
import { ABOVE_0, BYTES, COUNT, COUNT_OR_FALSE, FALSE_OR_OBJECT, RATE, TIME, TIME_OR_FALSE } from './checks.js';
import type { Table } from './option-table.js';

/** How many messages one connection may send. */
export interface MessageRateOptions {
  /** Messages a second that one connection may send in the long run. @default 30 */
  perSecond?: number;
  /** Messages that one connection may send at once. @default 60 */
  burst?: number;
  /** Bytes a second that one connection may send in the long run. At once: as many, or one message of `messages.maxPayload`. @default 262_144 */
  bytesPerSecond?: number;
  /**
   * Number of strikes that closes the connection with 4108. The first message over the rate is a strike, and each
   * further `burst` of them. @default 3
   */
  strikes?: number;
  /** Milliseconds until a strike is forgotten. @default 10_000 */
  strikeWindowMs?: number;
}

/** How much one client, user or address may send. Scope: each process counts for itself. */
export interface LimitOptions {
  /**
   * The rate of one connection, for messages of every kind. Over the rate, the answer is an error frame `RATE_LIMITED` with
   * `details.retryAfterMs`, and the handler isn't called. A client that keeps sending is closed with 4108. False: no limit.
   */
  messages?: false | MessageRateOptions;
  /** Messages of all connections of a user: `{ perSecond, burst }`. Over it: `RATE_LIMITED`. @default false */
  perUser?: false | Rate;
  /** Messages of all connections of an address: `{ perSecond, burst }`. Over it: `RATE_LIMITED`. @default false */
  perIp?: false | Rate;
  /**
   * Connections of an authenticated user. More get 429, or 4100 if a first message names the user. With `registry: 'replicated'`,
   * connections to other nodes count, as far as this node knows them. False: no limit. @default 20
   */
  connectionsPerUser?: false | number;
  /** Connections of an address to this process, pending handshakes included. More get 429. @default false */
  connectionsPerIp?: false | number;
  /**
   * Upgrade requests of an address to this process, refused ones included: `{ perSecond, burst }`. Over it: 429 with
   * `Retry-After`. @default false
   */
  handshakesPerIp?: false | Rate;
  /** Milliseconds within which a new connection must send something. Otherwise it is closed with 1008. @default false */
  firstMessageTimeoutMs?: false | number;
}

export const MESSAGE_RATE = {
  perSecond: { default: 30, check: ABOVE_0, unit: 'messages' },
  burst: { default: 60, check: COUNT, unit: 'messages' },
  bytesPerSecond: { default: 262_144, check: BYTES },
  strikes: { default: 3, check: COUNT, unit: 'strikes' },
  strikeWindowMs: { default: 10_000, check: TIME },
} satisfies Table<MessageRateOptions>;

export const LIMITS = {
  messages: { check: FALSE_OR_OBJECT, fields: MESSAGE_RATE },
  perUser: { default: false, check: RATE },
  perIp: { default: false, check: RATE },
  connectionsPerUser: { default: 20, check: COUNT_OR_FALSE, unit: 'connections' },
  connectionsPerIp: { default: false, check: COUNT_OR_FALSE, unit: 'connections' },
  handshakesPerIp: { default: false, check: RATE },
  firstMessageTimeoutMs: { default: false, check: TIME_OR_FALSE },
} satisfies Table<LimitOptions>;
