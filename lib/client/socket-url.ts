import { InvalidOptionsError } from '../errors.js';

const ADDRESS = /^(ws|http)s?:.+/i;
/** The url itself is not quoted: it may hold a token. */
export const URL_FLAW = 'url must be ws:// or wss:// without a "#", or in a page a path.';

/**
 * The absolute address: a path is resolved against `baseUrl`, and the page's `http(s):` becomes `ws(s):`.
 * @returns undefined for what can't be one. Looks at the text, because React Native's `URL` has neither its parts nor `canParse()`
 */
export function socketUrlOf(url: unknown, baseUrl: string | undefined): string | undefined {
  if (typeof url !== 'string' || url.includes('#')) return undefined;
  try {
    const { href } = new URL(url, baseUrl);
    const [absolute] = ADDRESS.exec(url) ?? ADDRESS.exec(href) ?? [];
    return url && absolute?.replace(/^http/i, 'ws');
  } catch {
    return undefined; // not an address
  }
}

/** @throws {InvalidOptionsError} */
export function toSocketUrl(url: string, baseUrl: string | undefined): string {
  const found = socketUrlOf(url, baseUrl);
  if (!found) throw new InvalidOptionsError([URL_FLAW]);
  return found;
}
