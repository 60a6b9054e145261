import { InvalidOptionsError } from '../errors.js';

const EXAMPLE = 'Write e.g. "ws://127.0.0.1:3000/ws".';

/** What is wrong with a url, if anything. The url itself is not quoted: it may hold a token. */
export function urlFlaw(url: unknown, baseUrl: string | undefined): string | undefined {
  if (typeof url !== 'string' || url === '') return `url is not a string. ${EXAMPLE}`;
  const absolute = absoluteOf(url, baseUrl);
  if (absolute === undefined && url.startsWith('/'))
    return 'url is a path, and there is no page with a host. Write it in full.';
  if (absolute === undefined) return `url is not an address. ${EXAMPLE}`;
  if (!/^(?:ws|http)s?:/i.test(absolute)) return 'url is for no WebSocket. Begin it with ws:// or wss://.';
  return absolute.includes('#') ? 'url has a "#" part. Leave it out, or write %23.' : undefined;
}

/**
 * The absolute address: a path is resolved against `baseUrl`, and the page's `http(s):` becomes `ws(s):`.
 * @throws {InvalidOptionsError} when it can't be one.
 */
export function toSocketUrl(url: string, baseUrl: string | undefined): string {
  const flaw = urlFlaw(url, baseUrl);
  if (flaw) throw new InvalidOptionsError([flaw]);
  return (absoluteOf(url, baseUrl) as string).replace(/^http/i, 'ws');
}

/** Looks at the text, because React Native's `URL` has neither its parts nor `canParse()`. */
function absoluteOf(text: string, baseUrl: string | undefined): string | undefined {
  const isAbsolute = /^[a-z][a-z0-9+.-]*:/i.test(text);
  try {
    const { href } = new URL(text, isAbsolute ? undefined : baseUrl);
    return isAbsolute ? text : href;
  } catch {
    return undefined; // not an address
  }
}
