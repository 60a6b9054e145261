import { type Check, FLAG, MAX_TIMER_MS, orFalse } from '../protocol/check.js';
import { CLIENT_DEFAULTS } from './client-defaults.js';
import { callbackOf, EVENTS } from './client-events.js';
import type { QueueOptions, ReconnectOptions, WebSocketClientOptions } from './client-options.js';

/** The default and the check of one option. Its doc comment says what it does. */
export interface ClientOption<T = unknown> {
  readonly default?: T;
  readonly check?: Check;
  /** The options of a section. Without a default, theirs are filled in. */
  readonly fields?: ClientFields;
}

/** A table of any options. */
export type ClientFields = Readonly<Record<string, ClientOption>>;

/** A table with every option of `O`, and no other. */
export type ClientTable<O> = { readonly [K in keyof Required<O>]: ClientOption<O[K]> };

export const isOf = (value: unknown, ...types: string[]): boolean => types.includes(typeof value);

const isAtLeast1 = (value: unknown): value is number => isOf(value, 'number') && (value as number) >= 1;

const DURATION: Check = {
  holds: (value) => isAtLeast1(value) && value <= MAX_TIMER_MS,
  must: `a number of milliseconds from 1 to ${MAX_TIMER_MS}`,
};

const COUNT: Check = {
  holds: (value) => isAtLeast1(value) && value % 1 === 0,
  must: 'a whole number of at least 1',
};

/** 0 is the deprecated way to write false. */
const PING: Check = { ...orFalse(DURATION), holds: (value) => value === 0 || orFalse(DURATION).holds(value) };

const OBJECT: Check = { holds: (value) => isOf(value, 'object'), must: 'an object' };
const CALLBACK: ClientOption = { check: { holds: (value) => isOf(value, 'function'), must: 'a function' } };

const option = <T>(check: Check, usual: T): { default: T; check: Check } => ({ default: usual, check });
const usual = CLIENT_DEFAULTS;

const RECONNECT = {
  minDelayMs: option(DURATION, usual.reconnect.minDelayMs),
  maxDelayMs: option(DURATION, usual.reconnect.maxDelayMs),
  maxAttempts: option(
    { holds: isAtLeast1, must: 'a number of at least 1. Write reconnect: false instead' },
    usual.reconnect.maxAttempts,
  ),
  initial: option(FLAG, usual.reconnect.initial),
} satisfies ClientTable<ReconnectOptions>;

const QUEUE = {
  maxMessages: option(COUNT, usual.queue.maxMessages),
  maxBytes: option(COUNT, usual.queue.maxBytes),
  maxAgeMs: option(DURATION, usual.queue.maxAgeMs),
} satisfies ClientTable<QueueOptions>;

export const CLIENT_OPTIONS = {
  url: {}, // checked together with the base URL
  protocols: option(
    {
      holds: (value) => [value].flat().every((one) => one && isOf(one, 'string', 'function')),
      must: 'a string or a function, or a list of strings',
    },
    usual.protocols,
  ),
  token: { check: { holds: (value) => isOf(value, 'string', 'function'), must: 'a string or a function' } },
  connectTimeoutMs: option(DURATION, usual.connectTimeoutMs),
  requestTimeoutMs: option(DURATION, usual.requestTimeoutMs),
  reconnect: { check: orFalse(OBJECT), fields: RECONNECT },
  queue: { check: OBJECT, fields: QUEUE },
  rejoinRooms: option(FLAG, usual.rejoinRooms),
  pingIntervalMs: option(PING, usual.pingIntervalMs),
  pongTimeoutMs: option(DURATION, usual.pongTimeoutMs),
  maxStreamBuffer: option(COUNT, usual.maxStreamBuffer),
  maxHeldBytes: option(COUNT, usual.maxHeldBytes),
  maxUnsentBytes: option(COUNT, usual.maxUnsentBytes),
  maxErrorReports: option(COUNT, usual.maxErrorReports),
  events: {
    ...option(OBJECT, usual.events),
    fields: Object.fromEntries(EVENTS.map((name) => [callbackOf(name), CALLBACK])),
  },
} satisfies ClientTable<WebSocketClientOptions>;
