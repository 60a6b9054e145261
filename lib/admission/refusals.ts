import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Logger } from '@nestjs/common';
import { redactError, redactUrl, tokensIn } from '../auth/tokens.js';
import type { Clock } from '../clock.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { RefusedHandshake } from '../auth/upgrade-request.js';
import { answer, type Refusal } from './refusal.js';
import { originForm } from './upgrade-path.js';

/** Milliseconds between two log lines of one code: a flood of bad handshakes must not flood the log. */
const LOG_EVERY_MS = 60_000;
/**
 * How many codes are counted separately. Guards of the application may use any number of codes. All others are counted together.
 */
const MAX_CODES = 64;
const OTHER_CODES = 'OTHER';
/** Characters of a peer's text in a log line. */
const MAX_QUOTED = 200;

export interface RefusalsHost {
  /** The cookie that may hold a token. */
  readonly cookieName: string | undefined;
  addressOf(request: IncomingMessage): string | undefined;
  /** Calls `events.onRefused`. Never throws. */
  refused(handshake: RefusedHandshake): void;
}

interface Count {
  total: number;
  loggedAtMs: number;
  unlogged: number;
}

/** The only place that refuses handshakes: it answers, counts and logs them, and notifies the application. */
export class Refusals {
  readonly #logger = new Logger('WebSocketServer');
  readonly #counts = new Map<string, Count>();

  constructor(
    private readonly host: RefusalsHost,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  /** Refused handshakes since the start, by code. */
  get counters(): Record<string, number> {
    return Object.fromEntries([...this.#counts].map(([code, { total }]) => [code, total]));
  }

  /** Does nothing for a socket that is closed or answered already. */
  refuse(request: IncomingMessage, socket: Duplex, refusal: Refusal): void {
    if (!answer(socket, refusal)) return;
    const { status, code, error, remedy } = refusal;
    const handshake: RefusedHandshake = {
      status,
      code,
      reason: this.#withoutTokens(request, remedy ? `${error} ${remedy}` : error),
      ip: this.host.addressOf(request),
      origin: request.headers.origin,
      url: redactUrl(originForm(request.url ?? '')),
    };
    this.#count(handshake);
    this.host.refused(handshake);
  }

  /** The text may come from an exception of the application. */
  #withoutTokens(request: IncomingMessage, text: string): string {
    return String(redactError(text, tokensIn(request, this.host.cookieName)));
  }

  #count(handshake: RefusedHandshake): void {
    const code = this.#counts.has(handshake.code) || this.#counts.size < MAX_CODES ? handshake.code : OTHER_CODES;
    const count = this.#counts.get(code) ?? { total: 0, loggedAtMs: -Infinity, unlogged: 0 };
    this.#counts.set(code, count);
    count.total++;
    const nowMs = this.clock.now();
    if (nowMs - count.loggedAtMs < LOG_EVERY_MS) {
      count.unlogged++;
      return;
    }
    const others = count.unlogged > 0 ? ` (${count.unlogged} more with this code since the last line)` : '';
    count.loggedAtMs = nowMs;
    count.unlogged = 0;
    const line = `${describe(handshake)}${others}`;
    if (code === ErrorCode.ShuttingDown)
      this.#logger.debug(line); // nothing to mend
    else this.#logger.warn(line);
  }
}

function describe({ status, code, reason, ip, origin, url }: RefusedHandshake): string {
  const from = [ip ?? 'an unknown address', ...(origin === undefined ? [] : [`a page of ${quoted(origin)}`])].join(
    ', ',
  );
  return `Handshake refused: ${status} ${code} for ${quoted(url)} from ${from}. ${reason}`;
}

const quoted = (text: string): string =>
  JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
