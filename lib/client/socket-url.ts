import { InvalidOptionsError } from '../errors.js';

const SOCKET_PROTOCOL: Readonly<Record<string, string>> = {
  'ws:': 'ws:',
  'wss:': 'wss:',
  'http:': 'ws:',
  'https:': 'wss:',
};

/** What is wrong with a url, if anything. The url itself is not quoted: it may hold a token. */
export function urlFlaw(url: unknown, baseUrl: string | undefined): string | undefined {
  return read(url, baseUrl).flaw;
}

/**
 * The absolute address: a path is resolved against `baseUrl`, and the page's `http(s):` becomes `ws(s):`.
 * @throws {InvalidOptionsError} when it can't be one.
 */
export function toSocketUrl(url: unknown, baseUrl: string | undefined): string {
  const { flaw, href } = read(url, baseUrl);
  if (href === undefined) throw new InvalidOptionsError([flaw ?? '']);
  return href;
}

type Read = { href: string; flaw?: undefined } | { href?: undefined; flaw: string };

/** Finds the parts in the text, because React Native's `URL` has neither its parts nor `canParse()`. */
function read(text: unknown, baseUrl: string | undefined): Read {
  if (typeof text !== 'string' || text === '') {
    return { flaw: 'url is not a string. Write e.g. url: "ws://127.0.0.1:3000/ws".' };
  }
  const absolute = schemeOf(text) === undefined ? resolve(text, baseUrl) : resolve(text) && text;
  if (absolute === undefined) {
    return text.startsWith('/')
      ? {
          flaw: 'url is a path, and there is no page with a host. Write it in full, e.g. "ws://127.0.0.1:3000/ws".',
        }
      : { flaw: 'url is not an address. Write e.g. url: "ws://127.0.0.1:3000/ws".' };
  }
  const scheme = schemeOf(absolute) ?? '';
  const protocol = SOCKET_PROTOCOL[scheme];
  if (!protocol) return { flaw: 'url is for no WebSocket. Begin it with ws:// or wss://.' };
  if (absolute.includes('#')) {
    return { flaw: 'url has a "#" part, which a WebSocket can\'t have. Leave it out, or write %23.' };
  }
  return { href: protocol + absolute.slice(scheme.length) };
}

function resolve(text: string, baseUrl?: string): string | undefined {
  try {
    return new URL(text, baseUrl).href;
  } catch {
    return undefined; // not an address
  }
}

const schemeOf = (text: string): string | undefined => /^[a-z][a-z0-9+.-]*:/i.exec(text)?.[0].toLowerCase();
