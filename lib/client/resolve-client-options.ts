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

/**
 * Fills in the defaults. Null counts as not given.
 * @throws {InvalidOptionsError} naming every flaw at once
 */
export function resolveClientOptions<S extends SocketLike>(
  options: WebSocketClientOptions<S>,
): ResolvedClientOptions<S> {
  // A page may exist only later, and then any address will do.
  const isUrl = typeof options.url === 'function' || socketUrlOf(options.url, pageUrl() ?? 'http://a');
  const flaws = isUrl ? [] : [URL_FLAW];
  const filled = fill('', CLIENT_DEFAULTS, options, flaws);
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);
  return filled as unknown as ResolvedClientOptions<S>;
}

/** @throws {InvalidOptionsError} */
export function assertDuration(name: string, value: unknown): void {
  if (!isLike(value, 1, name)) throw new InvalidOptionsError([`${name} can't be ${String(value)}.`]);
}

/** What a path in `url` is relative to. A worker has no document. Other runtimes have neither of the two. */
export function pageUrl(): string | undefined {
  const { document, location } = globalThis as { document?: Document; location?: Location };
  return document?.baseURI ?? location?.href;
}

/**
 * Fills in what isn't given, and looks whether each option is like its default. Every byte counts in a page: Node's check says
 * what to write instead.
 */
function fill(prefix: string, usual: object, given: object, flaws: string[]): object {
  const filled: Record<string, unknown> = { ...usual };
  for (const [field, value] of Object.entries(given) as [string, unknown][]) {
    if ((value ?? undefined) === undefined) continue;
    const name = prefix + field;
    const like = filled[field];
    const isOff = name === 'pingIntervalMs' ? !value : name === 'reconnect' && value === false; // 0 was false once
    filled[field] = !isOff && value;
    if (!Object.hasOwn(usual, field)) flaws.push(`${name} is not an option.`);
    else if (!isOff && !isLike(value, like, name)) flaws.push(`${name} can't be ${String(value)}.`);
    else if (value && (name === 'reconnect' || name === 'queue'))
      filled[field] = fill(`${name}.`, like as object, value, flaws);
  }
  return filled;
}

function isLike(value: unknown, usual: unknown, name: string): boolean {
  if (typeof usual !== 'number') return usual === undefined || Array.isArray(usual) || typeof value === typeof usual;
  return typeof value === 'number' && value >= 1 && !(name.endsWith('Ms') && value > MAX_TIMER_MS);
}
