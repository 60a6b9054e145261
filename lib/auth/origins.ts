import type { IncomingMessage } from 'node:http';

/** `origins` of the options. */
export type Origins = (string | RegExp)[] | ((origin: string, request: IncomingMessage) => boolean);

/** Says whether a page of this origin may connect. The own host always may. */
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
    this.#patterns = list.filter((origin) => origin instanceof RegExp).map(whole);
  }

  /** @param origin of a request that has one (RFC 6455 section 10.2: a browser always does) */
  allows(origin: string, request: IncomingMessage): boolean {
    if (this.#decide) return this.#decide(origin, request) === true; // a promise is no permission
    if (this.#exact.has('*') || this.#exact.has(origin)) return true;
    if (this.#patterns.some((pattern) => pattern.test(origin))) return true;
    if (!URL.canParse(origin)) return false;
    const from = new URL(origin).host;
    return from !== '' && (from === request.headers.host?.toLowerCase() || from === this.host?.toLowerCase());
  }
}

/** True for a pattern that says where an origin begins and where it ends. */
export const isAnchored = ({ source, multiline }: RegExp): boolean =>
  !multiline && source.startsWith('^') && /(?<!\\)(?:\\\\)*\$$/.test(source);

/** The whole origin or nothing: in `/^a|b$/` each half is anchored on one side alone. `g` and `y` would remember a place. */
const whole = ({ source, flags }: RegExp): RegExp => new RegExp(`^(?:${source})$`, flags.replaceAll(/[gy]/g, ''));
