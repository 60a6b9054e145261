import { InvalidOptionsError } from '../errors.js';
import { MAX_TIMER_MS } from '../protocol/check.js';
import { CLIENT_DEFAULTS } from './client-defaults.js';
import type { QueueOptions, ReconnectOptions, Source, WebSocketClientOptions } from './client-options.js';
import type { SocketLike } from './socket-like.js';
import { socketUrlOf, URL_FLAW } from './socket-url.js';

export interface ResolvedClientOptions<S extends SocketLike> extends Required<
  Omit<WebSocketClientOptions<S>, 'queue' | 'reconnect' | 'token'>
> {
  queue: Required<QueueOptions>;
  token: Source<string | undefined>;
  reconnect: false | Required<ReconnectOptions>;
}

/** The warning about the old way to switch pings off is written once per process. */
let hasWarned = false;

/**
 * Fills in the defaults. Null counts as not given.
 * @param flawsIn what is wrong with the options; Node's says more
 * @throws {InvalidOptionsError} naming every flaw at once
 */
export function resolveClientOptions<S extends SocketLike>(
  given: WebSocketClientOptions<S>,
  flawsIn: (options: WebSocketClientOptions<S>) => string[] = findFlaws,
): ResolvedClientOptions<S> {
  const options = { ...CLIENT_DEFAULTS, ...definedIn(given) } as unknown as ResolvedClientOptions<S>;
  // Pings were switched off by 0 once.
  if ((options.pingIntervalMs as number) === 0) {
    if (!hasWarned) console.warn('pingIntervalMs: 0 is deprecated. Write false.');
    hasWarned = true;
    options.pingIntervalMs = false;
  }
  const flaws = flawsIn({ ...given, pingIntervalMs: options.pingIntervalMs });
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);
  if (options.reconnect) options.reconnect = { ...CLIENT_DEFAULTS.reconnect, ...definedIn(options.reconnect) };
  options.queue = { ...CLIENT_DEFAULTS.queue, ...definedIn(options.queue) };
  return options;
}

/** @throws {InvalidOptionsError} */
export function assertDuration(name: string, value: unknown): void {
  if (!isLike(value, 1, name)) throw new InvalidOptionsError([`${name} can't be ${String(value)}.`]);
}

const definedIn = (given: object): object =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => (value ?? undefined) !== undefined));

function findFlaws({ url, ...options }: WebSocketClientOptions<never>): string[] {
  // A page may exist only later, and then any address will do.
  const isUrl = typeof url === 'function' || socketUrlOf(url, pageUrl() ?? 'http://page.invalid/');
  return [...(isUrl ? [] : [URL_FLAW]), ...flawsOf('', CLIENT_DEFAULTS, options)];
}

/** What a path in `url` is relative to. A worker has no document. Other runtimes have neither of the two. */
export function pageUrl(): string | undefined {
  const { document, location } = globalThis as { document?: Document; location?: Location };
  return document?.baseURI ?? location?.href;
}

/** Each option must be like its default. Every byte counts in a page: Node's check says what to write instead. */
function flawsOf(prefix: string, usual: object, given: object): string[] {
  return Object.entries(definedIn(given)).flatMap(([field, value]: [string, unknown]) => {
    const name = prefix + field;
    const like = (usual as Record<string, unknown>)[field];
    if (!Object.hasOwn(usual, field))
      return `${name} is not an option.${field === 'headers' ? ' Browsers have no headers: give token.' : ''}`;
    const isSection = field === 'reconnect' || field === 'queue';
    if (value === false && (field === 'reconnect' || field === 'pingIntervalMs')) return [];
    if (!isLike(value, like, name)) return `${name} can't be ${String(value)}.`;
    return isSection ? flawsOf(`${field}.`, like as object, value as object) : [];
  });
}

function isLike(value: unknown, usual: unknown, name: string): boolean {
  if (typeof usual !== 'number') return usual === undefined || Array.isArray(usual) || typeof value === typeof usual;
  return typeof value === 'number' && value >= 1 && !(name.endsWith('Ms') && value > MAX_TIMER_MS);
}
