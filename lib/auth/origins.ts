import type { IncomingMessage } from 'node:http';

/** `origins` of the options. */
export type Origins = (string | RegExp)[] | ((origin: string, request: IncomingMessage) => boolean);

/** Decides whether pages of an origin may connect. Pages of the server's own host may. */
export class OriginCheck {
  readonly #exact: ReadonlySet<string>;
  readonly #patterns: readonly RegExp[];
  readonly #decide: ((origin: string, request: IncomingMessage) => boolean) | undefined;

  constructor(
    origins: Origins,
    private readonly host: string | undefined,
    /** The host that the browser connects to, for a server without the option `host`. */
    private readonly hostOf: (request: IncomingMessage) => string | undefined = ({ headers }) => headers.host,
  ) {
    const list = typeof origins === 'function' ? [] : origins;
    this.#decide = typeof origins === 'function' ? origins : undefined;
    this.#exact = new Set(list.filter((origin) => typeof origin === 'string'));
    this.#patterns = list.filter((origin) => origin instanceof RegExp).map(stateless);
  }

  /** @param origin the header `Origin`, which browsers always send (RFC 6455 section 10.2) */
  allows(origin: string, request: IncomingMessage): boolean {
    if (this.#decide) return this.#decide(origin, request) === true; // a promise doesn't count
    if (this.#exact.has('*') || this.#exact.has(origin)) return true;
    if (this.#patterns.some((pattern) => pattern.test(origin))) return true;
    if (!URL.canParse(origin)) return false;
    const { protocol, host } = new URL(origin);
    // No page has a ws: origin, but some clients other than browsers send the address that they connect to.
    if (!/^(?:http|ws)s?:$/.test(protocol)) return false;
    // With the option `host`, the header Host doesn't count: by DNS rebinding it would be the attacker's own.
    const own = this.host ?? this.hostOf(request);
    return own !== undefined && host === hostIn(protocol, own);
  }

  /** What the operator can do when an origin is wrongly refused. */
  remedyFor(origin: string, request: IncomingMessage): string {
    if (this.#decide) return 'The function "origins" did not return true for it.';
    const name = `name ${JSON.stringify(origin)} in "origins"`;
    if (this.host !== undefined) return `The own host is "${this.host}" (option "host"). If it is your page, ${name}.`;
    const forwarded = request.headers['x-forwarded-host'];
    const isIgnored = forwarded !== undefined && this.hostOf(request) === request.headers.host;
    return [
      `The request's host is "${this.hostOf(request) ?? ''}".`,
      ...(isIgnored ? [`X-Forwarded-Host is "${String(forwarded)}", but "trustProxy" doesn't trust its sender.`] : []),
      'If it is your page, and a proxy is in front of this server, let the proxy pass the host on',
      `(nginx: proxy_set_header Host $http_host;), or set "host" to that of the page, or ${name}.`,
    ].join(' ');
  }
}

/** The host as an origin has it: in lower case, without the scheme's default port. */
function hostIn(protocol: string, host: string): string | undefined {
  const url = `${protocol}//${host}`;
  return /^[^\s/?#@\\]+$/.test(host) && URL.canParse(url) ? new URL(url).host : undefined;
}

/** True for a pattern that is anchored at both ends, in each of its alternatives. */
export const isAnchored = ({ source, multiline }: RegExp): boolean =>
  !multiline && source.startsWith('^') && /(?<!\\)(?:\\\\)*\$$/.test(source) && !hasAlternatives(source);

/** True for a `|` outside of every group: in `/^a$|b$/`, `^` belongs to the first half only. */
function hasAlternatives(source: string): boolean {
  let rest = source.replaceAll(/\\.|\[(?:\\.|[^\]\\])*\]/g, ''); // without escapes and character classes
  for (let before = ''; rest !== before;) {
    before = rest;
    rest = rest.replaceAll(/\([^()]*\)/g, '');
  }
  return rest.includes('|');
}

/** Without the flags `g` and `y`, which keep a position. */
const stateless = ({ source, flags }: RegExp): RegExp => new RegExp(source, flags.replaceAll(/[gy]/g, ''));
