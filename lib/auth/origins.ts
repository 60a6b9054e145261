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
    // Where it is known, Host doesn't count: it is the page's own once a name has been pointed at this server (DNS rebinding).
    const own = this.host ?? request.headers.host;
    return /^https?:$/.test(protocol) && host === own?.toLowerCase();
  }
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
