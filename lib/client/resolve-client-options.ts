import { InvalidOptionsError } from '../errors.js';
import { CLIENT_OPTIONS, type ClientFields, DURATION } from './client-option-table.js';
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

/** What is particular to the options of one kind of client. */
export interface ClientKind {
  options: ClientFields;
  /** Finds the option that a misspelt name may mean. Left out in browsers, where every byte counts. */
  nearestName?: (given: string, known: readonly string[]) => string | undefined;
}

/** The warning about the old way to switch pings off is written once per process. */
let hasWarned = false;

/**
 * Fills in the defaults.
 * @throws {InvalidOptionsError} naming every flaw at once
 */
export function resolveClientOptions<S extends SocketLike>(
  given: WebSocketClientOptions<S>,
  baseUrl: string | undefined,
  { options: more, nearestName }: ClientKind = { options: {} },
): ResolvedClientOptions<S> {
  const table: ClientFields = { ...CLIENT_OPTIONS, ...more };
  const options = withoutZero(given);
  const flaws = [
    ...[(typeof options.url !== 'function' && urlFlaw(options.url, baseUrl)) || []].flat(),
    ...flawsOf('', table, options, nearestName),
  ];
  const resolved = fill(table, options) as unknown as ResolvedClientOptions<S>;
  const { reconnect } = resolved;
  if (reconnect && reconnect.minDelayMs > reconnect.maxDelayMs) {
    flaws.push('reconnect.minDelayMs is longer than reconnect.maxDelayMs. Exchange the two.');
  }
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);
  return resolved;
}

/** Pings were switched off by 0 once. */
function withoutZero<O extends WebSocketClientOptions<never>>(options: O): O {
  if (options.pingIntervalMs !== 0) return options;
  if (!hasWarned) console.warn('pingIntervalMs: 0 is deprecated. Write false.');
  hasWarned = true;
  return { ...options, pingIntervalMs: false };
}

/** @throws {InvalidOptionsError} */
export function assertDuration(name: string, value: unknown): void {
  if (!DURATION.holds(value)) throw new InvalidOptionsError([`${name} is not ${DURATION.must}.`]);
}

/** Null counts as not given. */
function fill(table: ClientFields, given: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(table).map(([name, { default: usual, fields }]) => {
      const value = given[name as keyof typeof given] as object | false | undefined | null;
      const isSection = fields && !usual && value !== false;
      return [name, isSection ? fill(fields, value ?? {}) : (value ?? usual)];
    }),
  );
}

function flawsOf(prefix: string, table: ClientFields, given: object, nearestName: ClientKind['nearestName']): string[] {
  const names = Object.keys(table);
  return Object.entries(given).flatMap(([field, value]: [string, unknown]) => {
    const name = prefix + field;
    if (value === undefined) return [];
    if (names.includes(field)) {
      if (value === null) return [];
      const { check, fields } = table[field] ?? {};
      if (check && !check.holds(value))
        return `${name} is not ${check.must}.`.replace('not false or', 'neither false nor');
      return fields && value ? flawsOf(`${name}.`, fields, value, nearestName) : [];
    }
    const nearest = nearestName?.(field, names);
    const remedy = nearest
      ? `Did you mean ${prefix}${nearest}?`
      : field === 'headers'
        ? 'Browsers have no headers: give token.'
        : `Remove it. There are ${names.join(', ')}.`;
    return `${name} is not an option. ${remedy}`;
  });
}
