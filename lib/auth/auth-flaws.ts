import type { AuthOptions, JwtOptions } from './auth-options.js';
import { isAnchored, type Origins } from './origins.js';

const WAYS = ['jwt', 'useClass', 'useExisting', 'authenticate'] as const;
const KEY_SOURCES = ['secret', 'publicKey', 'jwksUri', 'keyFile'] as const;
/** What is wrong with `auth`. The keys themselves are checked when they are read. */
export function* authFlaws(auth: AuthOptions, origins: Origins | undefined): Generator<string> {
  const given = WAYS.filter((way) => auth[way] !== undefined);
  if (given.length === 0) {
    yield '"auth.authenticate" is missing: give a function that returns the user or null, or "auth.jwt", "auth.useClass" or "auth.useExisting"';
  }
  if (given.length > 1) yield `"auth" names ${listed(given)}: keep one of them`;
  if (typeof auth.jwt === 'object' && auth.jwt !== null) yield* jwtFlaws(auth.jwt);
  for (const field of ['tokenFrom', 'cookieName'] as const) {
    if (auth[field] !== undefined && given.length > 0 && !auth.jwt)
      yield `"auth.${field}" goes with "auth.jwt": an authenticator of your own can use tokenOf(request)`;
  }
  if (auth.refresh && !auth.authenticate)
    yield '"auth.refresh" goes with "auth.authenticate": give your class a method refresh(token, user)';
  if (auth.jwt && auth.usesCookies !== undefined)
    yield '"auth.usesCookies" is for an authenticator of your own: with "auth.jwt", name \'cookie\' in "auth.tokenFrom"';
  if (Array.isArray(auth.tokenFrom) && auth.tokenFrom.includes('message') && auth.required === false)
    yield '"auth.tokenFrom" can\'t name \'message\' with "auth.required: false": a client that sends nothing could be anonymous, or about to send its token. Remove one';
  const usesCookies = auth.usesCookies === true || (Array.isArray(auth.tokenFrom) && auth.tokenFrom.includes('cookie'));
  if (usesCookies && Array.isArray(origins) && origins.includes('*'))
    yield '"origins" is \'*\' and cookies authenticate: any page on the web could act as its visitor. Name the origins of your own pages';
}

/** What is wrong with a pattern of `origins`, if anything. */
export function* originFlaws(origins: unknown): Generator<string> {
  for (const origin of Array.isArray(origins) ? (origins as unknown[]) : []) {
    if (origin instanceof RegExp && !isAnchored(origin)) {
      yield (
        `"origins" has ${String(origin)}, which isn't anchored: a page of "https://your.host.evil.example" could match. ` +
        'Begin it with ^ and end it with $, e.g. /^https:\\/\\/[a-z]+\\.example\\.com$/, put alternatives into a group, and leave out the flag m'
      );
    }
  }
}

function* jwtFlaws(jwt: JwtOptions): Generator<string> {
  const sources = KEY_SOURCES.filter((source) => jwt[source] !== undefined);
  if (sources.length === 0) yield '"auth.jwt" has no key: give one of "secret", "publicKey", "jwksUri" and "keyFile"';
  if (sources.length > 1) yield `"auth.jwt" has ${listed(sources)}: keep one of them`;
}

const listed = (names: readonly string[]): string =>
  `${names
    .slice(0, -1)
    .map((name) => `"${name}"`)
    .join(', ')} and "${names.at(-1)}"`;
