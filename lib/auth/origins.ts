import type { IncomingMessage } from 'node:http';

/** `origins` of the options. */
export type Origins = (string | RegExp)[] | ((origin: string, request: IncomingMessage) => boolean);

/** Says whether a page of this origin may connect. One of the own host always may. */
export class OriginCheck {
  readonly #exact: ReadonlySet<string>;
  readonly #patterns: readonly RegExp[];
  readonly #decide: ((origin: string, request: IncomingMessage) => boolean) | undefined;

  constructor(
    origins: Origins,
    private readonly host: string | undefined,
    /** What the browser was told to connect to, for a server that isn't told its own host. */
    private readonly hostOf: (request: IncomingMessage) => string | undefined = ({ headers }) => headers.host,
  ) {
    const list = typeof origins === 'function' ? [] : origins;
    this.#decide = typeof origins === 'function' ? origins : undefined;
    this.#exact = new Set(list.filter((origin) => typeof origin === 'string'));
    this.#patterns = list.filter((origin) => origin instanceof RegExp).map(stateless);
  }

  /** @param origin of a request that has one (RFC 6455 section 10.2: a browser always does) */
  allows(origin: string, request: IncomingMessage): boolean {
    if (this.#decide) return this.#decide(origin, request) === true; // a promise is no permission
    if (this.#exact.has('*') || this.#exact.has(origin)) return true;
    if (this.#patterns.some((pattern) => pattern.test(origin))) return true;
    if (!URL.canParse(origin)) return false;
    const { protocol, host } = new URL(origin);
    // No page has a ws: origin, but some clients that are no browsers write the address they connect to.
    if (!/^(?:http|ws)s?:$/.test(protocol)) return false;
    // Where it is known, Host doesn't count: it is the page's own once a name has been pointed at this server (DNS rebinding).
    const own = this.host ?? this.hostOf(request);
    return own !== undefined && host === hostIn(protocol, own);
  }

  /** What the operator can do about an origin that isn't allowed, and should be. */
  remedyFor(origin: string, request: IncomingMessage): string {
    if (this.#decide) return 'The function "origins" did not return true for it.';
    const name = `name ${JSON.stringify(origin)} in "origins"`;
    if (this.host !== undefined) return `The own host is "${this.host}" (option "host"). If it is your page, ${name}.`;
    const forwarded = request.headers['x-forwarded-host'];
    const isIgnored = forwarded !== undefined && this.hostOf(request) === request.headers.host;
    return [
      `The request's host is "${this.hostOf(request) ?? ''}".`,
      ...(isIgnored
        ? [`X-Forwarded-Host says "${String(forwarded)}", but "trustProxy" doesn't trust who says so.`]
        : []),
      'If it is your page, and a proxy stands before this server, let the proxy pass the host on',
      `(nginx: proxy_set_header Host $http_host;), or set "host" to that of the page, or ${name}.`,
    ].join(' ');
  }
}

/** As an origin of this scheme would write it: in lower case, without the scheme's own port. */
function hostIn(protocol: string, host: string): string | undefined {
  const url = `${protocol}//${host}`;
  return /^[^\s/?#@\\]+$/.test(host) && URL.canParse(url) ? new URL(url).host : undefined;
}

/** True for a pattern that says where an origin begins and where it ends, whichever alternative of it matches. */
export const isAnchored = ({ source, multiline }: RegExp): boolean =>
  !multiline && source.startsWith('^') && /(?<!\\)(?:\\\\)*\$$/.test(source) && !hasAlternatives(source);

/** True for an `|` outside of every group: in `/^a$|b$/`, `^` is of the first half alone. */
function hasAlternatives(source: string): boolean {
  let rest = source.replaceAll(/\\.|\[(?:\\.|[^\]\\])*\]/g, ''); // neither what is escaped nor a class is syntax
  for (let before = ''; rest !== before;) {
    before = rest;
    rest = rest.replaceAll(/\([^()]*\)/g, '');
  }
  return rest.includes('|');
}

/** Without `g` and `y`, which remember a place. */
const stateless = ({ source, flags }: RegExp): RegExp => new RegExp(source, flags.replaceAll(/[gy]/g, ''));
