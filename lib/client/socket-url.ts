import { InvalidOptionsError } from '../errors.js';

const SOCKET_PROTOCOL: Readonly<Record<string, string>> = {
  'ws:': 'ws:',
  'wss:': 'wss:',
  'http:': 'ws:',
  'https:': 'wss:',
};

/** What is wrong with a url, if anything. The url itself is not quoted: it may hold a token. */
export function urlFlaw(url: unknown, baseUrl: string | undefined): string | undefined {
  const parsed = parse(url, baseUrl);
  return typeof parsed === 'string' ? parsed : undefined;
}

/**
 * The absolute address: a path is resolved against `baseUrl`, and the page's `http(s):` becomes `ws(s):`.
 * @throws {InvalidOptionsError} when it can't be one.
 */
export function toSocketUrl(url: unknown, baseUrl: string | undefined): string {
  const parsed = parse(url, baseUrl);
  if (typeof parsed === 'string') throw new InvalidOptionsError([parsed]);
  return parsed.href;
}

function parse(text: unknown, baseUrl: string | undefined): URL | string {
  if (typeof text !== 'string' || text === '') return 'url is not a string. Write e.g. url: "ws://127.0.0.1:3000/ws".';
  if (!URL.canParse(text, baseUrl)) {
    return text.startsWith('/')
      ? 'url is a path, and there is no page whose host it could mean. Write it in full, e.g. "ws://127.0.0.1:3000/ws".'
      : 'url is not an address. Write e.g. url: "ws://127.0.0.1:3000/ws".';
  }
  const url = new URL(text, baseUrl);
  const protocol = SOCKET_PROTOCOL[url.protocol];
  if (!protocol) return 'url has a protocol that is no WebSocket. Begin it with ws:// or wss://.';
  if (url.hash) return 'url has a "#" part, which a WebSocket can\'t have. Leave it out, or write %23.';
  url.protocol = protocol;
  return url;
}
