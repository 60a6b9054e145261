import { InvalidOptionsError } from '../errors.js';
import { CALLBACK_NAMES } from './client-events.js';
import type { QueueOptions, ReconnectOptions, Source, WebSocketClientOptions } from './client-options.js';
import type { SocketLike } from './socket-like.js';
import { urlFlaw } from './socket-url.js';

export interface ResolvedClientOptions<S extends SocketLike> extends Required<
  Omit<WebSocketClientOptions<S>, 'queue' | 'reconnect' | 'token'>
> {
  queue: Required<QueueOptions>;
  token: Source<string | undefined>;
  reconnect: false | Required<ReconnectOptions>;
}

/** The default and the check of one option. Its doc comment says what it does. */
export interface ClientOption<T = unknown> {
  readonly default?: T;
  /** What is wrong with a value, if anything. */
  readonly flaw?: (name: string, value: unknown) => string | undefined;
}

/** A table with every option of `O`, and no other. */
export type ClientTable<O> = { readonly [K in keyof Required<O>]: ClientOption<O[K]> };
type Fields = Readonly<Record<string, ClientOption>>;

/** The options that only one kind of client has. */
export interface ClientKind {
  options: Fields;
  /** Finds the option that a misspelt name may mean. Left out in browsers, where every byte counts. */
  nearestName?: (given: string, known: readonly string[]) => string | undefined;
}

/** The longest time of a timer: 2^31 - 1 ms. A longer one would fire at once. */
export const MAX_TIMER_MS = 2_147_483_647;

const duration = (byDefault: number, least = 1): { default: number } & ClientOption<number> => ({
  default: byDefault,
  flaw(name, value) {
    if (typeof value === 'number' && value >= least && value <= MAX_TIMER_MS) return undefined;
    return `${name} is not a number of milliseconds from ${least} to ${MAX_TIMER_MS}. Write e.g. ${name}: 10_000.`;
  },
});

const count = (byDefault: number): { default: number } & ClientOption<number> => ({
  default: byDefault,
  flaw: (name, value) =>
    Number.isInteger(value) && (value as number) >= 1 ? undefined : `${name} is not a whole number of at least 1.`,
});

export const RECONNECT = {
  minDelayMs: duration(500),
  maxDelayMs: duration(30_000),
  maxAttempts: {
    default: Infinity,
    flaw: (name, value) =>
      (value as number) >= 1 ? undefined : `${name} is less than 1. Write reconnect: false instead.`,
  },
  initial: { default: false },
} satisfies ClientTable<ReconnectOptions>;

export const QUEUE = {
  maxMessages: count(100),
  maxBytes: count(262_144),
  maxAgeMs: duration(60_000),
} satisfies ClientTable<QueueOptions>;

export const CLIENT_OPTIONS = {
  url: {}, // checked together with the base URL
  protocols: { default: [] },
  token: {
    flaw: (name, value) =>
      ['undefined', 'string', 'function'].includes(typeof value)
        ? undefined
        : `${name} is neither a string nor a function.`,
  },
  connectTimeoutMs: duration(10_000),
  requestTimeoutMs: duration(10_000),
  reconnect: {
    flaw: (name, value) =>
      !value || typeof value === 'object' ? undefined : `${name} is neither false nor an object.`,
  },
  queue: { flaw: (name, value) => (typeof value === 'object' ? undefined : `${name} is not an object.`) },
  rejoinRooms: { default: true },
  pingIntervalMs: duration(25_000, 0),
  pongTimeoutMs: duration(10_000),
  maxStreamBuffer: count(1_024),
  maxHeldBytes: count(1_048_576),
  maxUnsentBytes: count(4_194_304),
  maxErrorReports: count(100),
  events: { default: {} },
} satisfies ClientTable<WebSocketClientOptions>;

const CALLBACK: ClientOption = {
  flaw: (name, value) => (typeof value === 'function' ? undefined : `${name} is not a function.`),
};

/**
 * Fills in the defaults.
 * @throws {InvalidOptionsError} naming every flaw at once
 */
export function resolveClientOptions<S extends SocketLike>(
  options: WebSocketClientOptions<S>,
  baseUrl: string | undefined,
  { options: more, nearestName }: ClientKind = { options: {} },
): ResolvedClientOptions<S> {
  const table: Fields = { ...CLIENT_OPTIONS, ...more };
  const reconnect =
    options.reconnect === false ? false : fill<Required<ReconnectOptions>>(RECONNECT, options.reconnect);
  const queue = fill<Required<QueueOptions>>(QUEUE, options.queue);
  const resolved: ResolvedClientOptions<S> = { ...fill<ResolvedClientOptions<S>>(table, options), reconnect, queue };
  const events = Object.fromEntries(CALLBACK_NAMES.map((name) => [name, CALLBACK]));
  const flaws = [
    ...[(typeof options.url !== 'function' && urlFlaw(options.url, baseUrl)) || []].flat(),
    ...flawsOf('', table, options, nearestName),
    ...flawsOf('reconnect.', RECONNECT, options.reconnect || undefined, nearestName),
    ...flawsOf('queue.', QUEUE, options.queue, nearestName),
    ...flawsOf('events.', events, options.events, nearestName),
  ];
  if (reconnect && reconnect.minDelayMs > reconnect.maxDelayMs) {
    flaws.push('reconnect.minDelayMs is longer than reconnect.maxDelayMs. Exchange the two.');
  }
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);
  return resolved;
}

/** @throws {InvalidOptionsError} */
export function assertDuration(name: string, value: unknown): void {
  const flaw = duration(1).flaw?.(name, value);
  if (flaw) throw new InvalidOptionsError([flaw]);
}

function fill<R>(table: Fields, given: object = {}): R {
  const names = Object.keys(table) as (keyof typeof given)[];
  return Object.fromEntries(names.map((name) => [name, given[name] ?? table[name]?.default])) as R;
}

function flawsOf(
  prefix: string,
  table: Fields,
  given: object | undefined,
  nearestName: ClientKind['nearestName'],
): string[] {
  if (typeof given !== 'object') return [];
  const names = Object.keys(table);
  return Object.entries(given ?? {}).flatMap(([field, value]: [string, unknown]) => {
    const name = prefix + field;
    if (value === undefined) return [];
    if (names.includes(field)) return table[field]?.flaw?.(name, value ?? table[field].default) ?? [];
    const nearest = nearestName?.(field, names);
    const remedy = nearest
      ? `Did you mean ${prefix}${nearest}?`
      : field === 'headers'
        ? 'Browsers have no headers: give token.'
        : `Remove it. There are ${names.join(', ')}.`;
    return `${name} is not an option. ${remedy}`;
  });
}
