import { InvalidOptionsError } from '../errors.js';
import { CALLBACK_NAMES } from './client-events.js';
import type { WebSocketClientEvents } from './client-events.js';
import type { SocketLike } from './socket-like.js';
import { urlFlaw } from './socket-url.js';

/** A value, or a function that is asked before every attempt: the place to refresh a token. */
export type Source<T> = T | (() => T | Promise<T>);

/** Every duration is in milliseconds. */
export interface WebSocketClientOptions<S extends SocketLike = SocketLike> {
  /**
   * Where the server is: `ws://`, `wss://`, or in a browser also a path such as `/ws`, relative to the page (and its
   * `<base href>`). Where pages are rendered there is no page yet: there a path fails at `connectToServer()`.
   * A function is asked before every attempt and counts towards `connectTimeoutMs`.
   */
  url: Source<string>;
  /** Subprotocols to offer. @default none */
  protocols?: Source<string | string[]>;
  /**
   * Says who this client is; a function is asked before every attempt, so that it can get a fresh one. Goes as
   * `Authorization: Bearer` in Node; in a browser, which can't send headers, as the protocol `bearer.<token>` next to your
   * `protocols` (or next to `pxl`). Undefined: nothing is sent. @default none
   */
  token?: Source<string | undefined>;
  /** `connectToServer()` settles within this time, whatever the server does. @default 10_000 */
  connectTimeoutMs?: number;
  /** How long `request()`, `joinRoom()` and `leaveRoom()` wait for their reply. @default 10_000 */
  requestTimeoutMs?: number;
  /**
   * What to do when a connection is lost; `false` for nothing. Close codes 4000–4099 always end it, and so do the server's own
   * refusals with 401, 403 and 404 (a 401 after a second try, where a function may give a new token).
   */
  reconnect?: false | ReconnectOptions;
  /** Join the rooms again after a reconnect; otherwise a lost connection forgets them. @default true */
  rejoinRooms?: boolean;
  /** How often the server is asked for a sign of life (browsers can't see protocol pings); 0 for never. @default 25_000 */
  pingIntervalMs?: number;
  /** A server that says nothing at all for this long after a ping is given up, and a reconnect begins. @default 10_000 */
  pongTimeoutMs?: number;
  /** How many values of a `stream()` may wait to be read before it fails. @default 1_024 */
  maxStreamBuffer?: number;
  /**
   * Bytes of JSON that may wait here: messages until the rooms are joined again (then the connection is announced without
   * waiting for the rest of the rooms), and values of each `stream()` until they are read (then it fails). @default 1_048_576
   */
  maxHeldBytes?: number;
  /** Bytes that may wait for a server that doesn't read. More: the connection is closed (4113) and made anew. @default 4_194_304 */
  maxUnsentBytes?: number;
  /** Errors of one kind that are reported within 10 s; the rest is counted and reported as one. @default 100 */
  maxErrorReports?: number;
  events?: WebSocketClientEvents<S>;
}

export interface ReconnectOptions {
  /** The first wait is anything from 0 to this; the ceiling doubles with each attempt. @default 500 */
  minDelayMs?: number;
  /** The ceiling of all waits, but for what the server's `Retry-After` asks for (5 min at most). @default 30_000 */
  maxDelayMs?: number;
  /** Attempts in a row before the client gives up. @default Infinity */
  maxAttempts?: number;
  /** Keep trying in the background after a first `connectToServer()` that failed; it rejects all the same. @default false */
  initial?: boolean;
}

export interface RequestOptions {
  /** How long to wait for the reply, in ms. @default `requestTimeoutMs` of the client */
  timeoutMs?: number;
  /** Aborting rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Where one attempt goes. */
export interface ConnectTarget {
  /** Absolute `ws:` or `wss:` address. */
  url: string;
  protocols: string[];
  token?: string;
  /** Node only: HTTP headers of the handshake. */
  headers?: Record<string, string>;
}

export interface ResolvedClientOptions<S extends SocketLike> extends Required<
  Omit<WebSocketClientOptions<S>, 'reconnect' | 'token'>
> {
  token: Source<string | undefined>;
  reconnect: false | Required<ReconnectOptions>;
}

/** What is particular to the options of one kind of client. */
export interface ClientKind {
  /** Names of those that only it has. */
  options: readonly string[];
  /** Finds what a misspelt name means. Left out where every byte counts: there the names are listed. */
  nearestName?: (given: string, known: readonly string[]) => string | undefined;
}

/** The longest a timer can wait: 2^31 - 1 ms, past which it fires at once. */
export const MAX_TIMER_MS = 2_147_483_647;

/**
 * Fills in the defaults.
 * @throws {InvalidOptionsError} naming every flaw at once
 */
export function resolveClientOptions<S extends SocketLike>(
  options: WebSocketClientOptions<S>,
  baseUrl: string | undefined,
  kind: ClientKind = { options: [] },
): ResolvedClientOptions<S> {
  const resolved: ResolvedClientOptions<S> = {
    url: options.url,
    protocols: options.protocols ?? [],
    token: options.token,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    requestTimeoutMs: options.requestTimeoutMs ?? 10_000,
    reconnect: options.reconnect === false ? false : resolveReconnect(options.reconnect ?? {}),
    rejoinRooms: options.rejoinRooms ?? true,
    pingIntervalMs: options.pingIntervalMs ?? 25_000,
    pongTimeoutMs: options.pongTimeoutMs ?? 10_000,
    maxStreamBuffer: options.maxStreamBuffer ?? 1_024,
    maxHeldBytes: options.maxHeldBytes ?? 1_048_576,
    maxUnsentBytes: options.maxUnsentBytes ?? 4_194_304,
    maxErrorReports: options.maxErrorReports ?? 100,
    events: options.events ?? {},
  };
  const flaws = [...findUnknown(options, Object.keys(resolved), kind), ...findFlaws(resolved, baseUrl)];
  if (options.reconnect !== undefined && options.reconnect !== false && typeof options.reconnect !== 'object') {
    flaws.push('reconnect is neither false nor an object. Leave it out for the defaults.');
  }
  if (flaws.length > 0) throw new InvalidOptionsError(flaws);
  return resolved;
}

/** What is wrong with a duration, if anything. */
function durationFlaw(name: string, value: unknown, least = 1): string | undefined {
  if (typeof value === 'number' && value >= least && value <= MAX_TIMER_MS) return undefined;
  return `${name} is not a number of milliseconds from ${least} to ${MAX_TIMER_MS}. Write e.g. ${name}: 10_000.`;
}

export async function valueOf<T>(source: Source<T>): Promise<T> {
  return typeof source === 'function' ? await (source as () => T | Promise<T>)() : source;
}

/** @throws {InvalidOptionsError} */
export function assertDuration(name: string, value: unknown): void {
  const flaw = durationFlaw(name, value);
  if (flaw) throw new InvalidOptionsError([flaw]);
}

function resolveReconnect(given: ReconnectOptions): Required<ReconnectOptions> {
  return {
    minDelayMs: given.minDelayMs ?? 500,
    maxDelayMs: given.maxDelayMs ?? 30_000,
    maxAttempts: given.maxAttempts ?? Infinity,
    initial: given.initial ?? false,
  };
}

/** What an option that isn't known here may be meant for. */
const HINTS: Record<string, string> = {
  headers: 'Only the Node client can send headers; in a browser, give token instead.',
};

/** Misspelt options would be left out in silence. */
function* findUnknown<S extends SocketLike>(
  { reconnect, events, ...options }: WebSocketClientOptions<S>,
  known: readonly string[],
  kind: ClientKind,
): Generator<string> {
  const sections: [prefix: string, section: object | false | undefined, known: readonly string[]][] = [
    ['', options, [...known, ...kind.options]],
    ['reconnect.', reconnect, Object.keys(resolveReconnect({}))],
    ['events.', events, CALLBACK_NAMES],
  ];
  for (const [prefix, section, names] of sections) {
    for (const [name, value] of Object.entries(typeof section === 'object' ? (section ?? {}) : {})) {
      if (value === undefined || names.includes(name)) continue;
      const nearest = kind.nearestName?.(name, names);
      const remedy = nearest
        ? `Did you mean ${prefix}${nearest}?`
        : (own(HINTS, name) ?? `Remove it. There are ${names.join(', ')}.`);
      yield `${prefix}${name} is not an option. ${remedy}`;
    }
  }
}

/** A misspelt option may be called `constructor`, too. */
const own = <T>(record: Record<string, T>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;

function* findFlaws<S extends SocketLike>(
  options: ResolvedClientOptions<S>,
  baseUrl: string | undefined,
): Generator<string> {
  const { reconnect, events } = options;
  const durations = [
    durationFlaw('connectTimeoutMs', options.connectTimeoutMs),
    durationFlaw('requestTimeoutMs', options.requestTimeoutMs),
    durationFlaw('pingIntervalMs', options.pingIntervalMs, 0),
    durationFlaw('pongTimeoutMs', options.pongTimeoutMs),
    reconnect && durationFlaw('reconnect.minDelayMs', reconnect.minDelayMs),
    reconnect && durationFlaw('reconnect.maxDelayMs', reconnect.maxDelayMs),
  ];
  if (typeof options.url !== 'function') {
    const flaw = urlFlaw(options.url, baseUrl);
    if (flaw) yield flaw;
  }
  if (options.token !== undefined && typeof options.token !== 'string' && typeof options.token !== 'function') {
    yield 'token is neither a text nor a function that gives one. Leave it out for none.';
  }
  for (const flaw of durations) if (flaw) yield flaw;
  if (reconnect && reconnect.minDelayMs > reconnect.maxDelayMs) {
    yield 'reconnect.minDelayMs is longer than reconnect.maxDelayMs. Exchange the two.';
  }
  if (reconnect && !(reconnect.maxAttempts >= 1)) {
    yield 'reconnect.maxAttempts is less than 1. Write reconnect: false for a client that must not come back.';
  }
  for (const name of ['maxStreamBuffer', 'maxHeldBytes', 'maxUnsentBytes', 'maxErrorReports'] as const) {
    if (!Number.isInteger(options[name]) || options[name] < 1) {
      yield `${name} is not a whole number of at least 1. Leave it out for the default.`;
    }
  }
  for (const [name, callback] of Object.entries(events)) {
    if (callback !== undefined && typeof callback !== 'function') {
      yield `events.${name} is not a function. Give a callback, or leave it out.`;
    }
  }
}
