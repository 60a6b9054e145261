import { type Check, FLAG, MAX_TIMER_MS } from '../protocol/check.js';
import { CALLBACK_NAMES } from './client-events.js';
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

export const DURATION: Check = {
  holds: (value) => isAtLeast1(value) && value <= MAX_TIMER_MS,
  must: `a number of milliseconds from 1 to ${MAX_TIMER_MS}`,
};

const COUNT: Check = {
  holds: (value) => isAtLeast1(value) && value % 1 === 0,
  must: 'a whole number of at least 1',
};

const OBJECT: Check = { holds: (value) => isOf(value, 'object'), must: 'an object' };
const CALLBACK: ClientOption = { check: { holds: (value) => isOf(value, 'function'), must: 'a function' } };

const orFalse = ({ holds, must }: Check): Check => ({
  holds: (value) => value === false || holds(value),
  must: `false or ${must}`,
});

const option = <T>(check: Check, usual: T): { default: T; check: Check } => ({ default: usual, check });

const RECONNECT = {
  minDelayMs: option(DURATION, 500),
  maxDelayMs: option(DURATION, 30_000),
  maxAttempts: option({ holds: isAtLeast1, must: 'a number of at least 1. Write reconnect: false instead' }, Infinity),
  initial: option(FLAG, 'document' in globalThis),
} satisfies ClientTable<ReconnectOptions>;

const QUEUE = {
  maxMessages: option(COUNT, 100),
  maxBytes: option(COUNT, 262_144),
  maxAgeMs: option(DURATION, 60_000),
} satisfies ClientTable<QueueOptions>;

export const CLIENT_OPTIONS = {
  url: {}, // checked together with the base URL
  protocols: option(
    {
      holds: (value) => [value].flat().every((one) => one && isOf(one, 'string', 'function')),
      must: 'a string or a function, or a list of strings',
    },
    [] as string[],
  ),
  token: { check: { holds: (value) => isOf(value, 'string', 'function'), must: 'a string or a function' } },
  connectTimeoutMs: option(DURATION, 10_000),
  requestTimeoutMs: option(DURATION, 10_000),
  reconnect: { check: orFalse(OBJECT), fields: RECONNECT },
  queue: { check: OBJECT, fields: QUEUE },
  rejoinRooms: option(FLAG, true),
  pingIntervalMs: option(orFalse(DURATION), 25_000),
  pongTimeoutMs: option(DURATION, 10_000),
  maxStreamBuffer: option(COUNT, 1_024),
  maxHeldBytes: option(COUNT, 1_048_576),
  maxUnsentBytes: option(COUNT, 4_194_304),
  maxErrorReports: option(COUNT, 100),
  events: {
    ...option(OBJECT, {}),
    fields: Object.fromEntries(CALLBACK_NAMES.map((name) => [name, CALLBACK])),
  },
} satisfies ClientTable<WebSocketClientOptions>;
