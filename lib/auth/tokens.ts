import type { IncomingMessage } from 'node:http';
import { parseCookie } from 'cookie';
import { AuthenticationError } from './identity.js';

/** Where a token may be: see `auth.tokenFrom`. */
export type TokenSource = 'header' | 'protocol' | 'cookie' | 'message' | 'query';

export interface TokenPlaces {
  /** @default ['header', 'protocol', 'query'] */
  from?: readonly TokenSource[];
  /** @default 'token' */
  cookieName?: string;
}

export const DEFAULT_SOURCES: readonly TokenSource[] = ['header', 'protocol', 'query'];
export const DEFAULT_COOKIE = 'token';

const REDACTED = '[redacted]';
/** A character that appears in no text. */
const MARK = '\uFFFF';
/** The prefix of a subprotocol that is a token. The server selects it only if the client offers no other. */
const BEARER_ENTRY = 'bearer.';
/** Query parameters that hold a token. */
const SECRET_PARAMETERS: ReadonlySet<string> = new Set(['token', 'access_token']);

/**
 * The token of an upgrade request, for an authenticator of your own.
 * @throws {AuthenticationError} 400 for several different tokens: it must not be guessed whose connection it is
 */
export function tokenOf(
  request: IncomingMessage,
  { from = DEFAULT_SOURCES, cookieName = DEFAULT_COOKIE }: TokenPlaces = {},
): string | undefined {
  const found = new Set(from.flatMap((source) => READERS[source](request, cookieName)));
  if (found.size > 1) throw new AuthenticationError(400, 'The request has several tokens that differ. Send one.');
  const [token] = found;
  return token;
}

/** Every token of a request, decoded and as it was written, from every place: they must stay out of logs. */
export function tokensIn(request: IncomingMessage, cookieName = DEFAULT_COOKIE): string[] {
  const { url = '', headers } = request;
  const query = url
    .slice(url.indexOf('?') + 1)
    .split('&')
    .filter(isSecret);
  const cookies = (headers.cookie ?? '').split(';').filter((cookie) => keyOf(cookie).trim() === cookieName);
  return [
    ...Object.values(READERS).flatMap((read) => read(request, cookieName)),
    ...query.flatMap((pair) => [...new URLSearchParams(pair).values()]),
    ...[...query, ...cookies].map(valueOf),
  ];
}

/** The address with every token in its query replaced, for logs. */
export function redactUrl(url: string): string {
  const start = url.indexOf('?');
  if (start === -1) return url;
  const pairs = url.slice(start + 1).split('&');
  return `${url.slice(0, start)}?${pairs.map((pair) => (isSecret(pair) ? `${keyOf(pair)}=${REDACTED}` : pair)).join('&')}`;
}

/**
 * The error without tokens, in its message and in its causes, so that it can be logged. It keeps its class, which decides the
 * answer. Never throws.
 */
export function redactError(error: unknown, tokens: readonly string[]): unknown {
  try {
    return cleaned(error, tokens, new Set());
  } catch {
    return new Error("The error can't be read or changed. It may contain a token, so it is left out.");
  }
}

/** The data of a message as it may be shown: without tokens. */
export const redactData = (type: string, action: string, data: unknown): unknown =>
  type === 'system' && (action === 'authenticate' || action === 'refresh') ? { token: REDACTED } : data;

/**
 * The subprotocol to answer with: the first that isn't a token. If only a token is offered, that one, because a browser fails
 * a connection whose server chooses none.
 */
export function chooseProtocol(offered: ReadonlySet<string>): string | false {
  for (const protocol of offered) if (!protocol.startsWith(BEARER_ENTRY)) return protocol;
  const [token = false] = offered;
  return token;
}

const READERS: Record<TokenSource, (request: IncomingMessage, cookieName: string) => string[]> = {
  header: ({ headers: { authorization = '' } }) => present(/^bearer +(\S+) *$/i.exec(authorization)?.[1]),
  protocol: ({ headers }) =>
    (headers['sec-websocket-protocol'] ?? '')
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry.startsWith(BEARER_ENTRY))
      .flatMap((entry) => present(entry.slice(BEARER_ENTRY.length))),
  // Every cookie of the name: a neighbouring host can set one, too, and it may come first.
  cookie: ({ headers: { cookie = '' } }, cookieName) =>
    cookie.split(';').flatMap((part) => present(parseCookie(part)[cookieName])),
  message: () => [], // comes after the upgrade
  query: ({ url = '' }) => {
    const start = url.indexOf('?');
    return start === -1 ? [] : new URLSearchParams(url.slice(start + 1)).getAll('token').flatMap(present);
  },
};

/** @param seen the errors so far: they may be the cause of each other */
function cleaned(thrown: unknown, tokens: readonly string[], seen: Set<Error>): unknown {
  if (typeof thrown === 'string') return redactText(thrown, tokens);
  if (!(thrown instanceof Error) || seen.has(thrown)) return thrown;
  seen.add(thrown);
  for (const field of ['message', 'stack'] as const) {
    const text: unknown = thrown[field];
    if (typeof text !== 'string') continue;
    const redacted = redactText(text, tokens);
    if (redacted !== text) thrown[field] = redacted;
  }
  const cause = cleaned(thrown.cause, tokens, seen);
  if (cause !== thrown.cause) thrown.cause = cause;
  if (thrown instanceof AggregateError) thrown.errors = thrown.errors.map((one) => cleaned(one, tokens, seen));
  return thrown;
}

const present = (token: string | undefined): string[] => (token ? [token] : []);

const keyOf = (pair: string): string => pair.split('=', 1)[0] ?? '';

const valueOf = (pair: string): string => pair.slice(keyOf(pair).length + 1).trim();

function isSecret(pair: string): boolean {
  const [key] = [...new URLSearchParams(pair).keys()]; // as the server decodes it
  return key !== undefined && SECRET_PARAMETERS.has(key);
}

/**
 * First replaces each token by one character, then that character by the text. So the text can't grow with each token, nor
 * when the same error is thrown again. Longer tokens go first: replacing a shorter one could leave a part of a longer one.
 */
function redactText(text: string, tokens: readonly string[]): string {
  const longestFirst = tokens.filter(Boolean).toSorted((a, b) => b.length - a.length);
  const marked = longestFirst.reduce((rest, token) => rest.replaceAll(token, MARK), text.replaceAll(REDACTED, MARK));
  return marked.replaceAll(MARK, REDACTED);
}
