import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { ErrorCode } from '../protocol/error-codes.js';
import type { Denial } from './connect-pipeline.js';
import { describeError, statusOf } from '../routing/describe-error.js';
import type { WrittenAnswer } from './upgrade-response.js';

type Headers = Readonly<Record<string, string | readonly string[]>>;

/** Why an upgrade isn't taken: an HTTP status, what its JSON body says, and further headers. */
export class Refusal {
  /** Only an instance is a Refusal for the compiler, too: a look-alike would pass for a user. */
  protected readonly isRefusal = true;

  constructor(
    readonly status: number,
    readonly code: string,
    readonly error: string,
    readonly headers: Headers = {},
    private readonly more: { written?: WrittenAnswer | undefined; remedy?: string } = {},
  ) {}

  /** What is answered instead of `{ code, error }`. */
  get written(): WrittenAnswer | undefined {
    return this.more.written;
  }

  /** What the operator can do about it. Not for the peer. */
  get remedy(): string | undefined {
    return this.more.remedy;
  }
}

/** This node is going, and another may take the client at once: not the same as a server that has too much to do. */
export const STOPPING = new Refusal(503, ErrorCode.ShuttingDown, 'The server is stopping. Try again soon.', {
  'Retry-After': '1',
});

export const TOO_SLOW = new Refusal(
  503,
  ErrorCode.Unavailable,
  'Finding out whether you may connect took too long. Try again.',
  {},
  {
    remedy:
      'What took so long is the authenticator or a guard: make it faster, or raise "auth.timeoutMs" or "connect.timeoutMs".',
  },
);

/** What goes with a status (RFC 9110, RFC 6455 section 4.4), unless somebody said it already. */
const DUE: Readonly<Record<number, Headers>> = {
  401: { 'WWW-Authenticate': 'Bearer realm="WebSocket"' },
  405: { Allow: 'GET' },
  426: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
  503: { 'Retry-After': '5' },
};

/** Headers that say how the answer itself is framed. */
const OURS: ReadonlySet<string> = new Set([
  'connection',
  'content-type',
  'content-length',
  'transfer-encoding',
  'upgrade',
]);

export const NOBODY = new Refusal(
  401,
  ErrorCode.Unauthenticated,
  'Say who you are: no valid credentials came with the request.',
);

export const notHere = (path: string): Refusal =>
  new Refusal(404, ErrorCode.NotFound, 'No WebSocket is served on this path.', {}, { remedy: `Served is "${path}".` });

/** What a peer hears of something that was thrown before its upgrade. */
export function refusalOf(error: unknown, headers: Headers = {}): Refusal {
  const { error: text, code, details } = describeError(error);
  const { retryAfterMs } = (details ?? {}) as { retryAfterMs?: number };
  const later = Number.isFinite(retryAfterMs) && { 'Retry-After': String(Math.ceil(Number(retryAfterMs) / 1_000)) };
  return new Refusal(statusOf(error), code, text, { ...later, ...headers });
}

/** What a guard or its filter answered, else what the guard threw. */
export function refusalOfDenial({ error, response: { written, headers } }: Denial): Refusal {
  if (!written) return refusalOf(error, headers);
  const { error: text, code } = describeError(error);
  return new Refusal(written.status, code, text, headers, { written });
}

/** A version we don't speak is answered with the one we do. */
export function badHandshake(error: Error, request: IncomingMessage): Refusal {
  const isVersion = request.headers['sec-websocket-version'] !== '13' && error.message.includes('Version');
  return isVersion
    ? new Refusal(426, ErrorCode.UpgradeRequired, 'This server speaks WebSocket version 13.')
    : new Refusal(request.method === 'GET' ? 400 : 405, ErrorCode.BadRequest, `${error.message}.`);
}

/**
 * Answers with plain HTTP and ends the socket. For `Refusals`, which notes it.
 * @returns false when that has happened already, or the socket is gone
 */
export function answer(socket: Duplex, { status, code, error, headers, written }: Refusal): boolean {
  if (socket.destroyed || socket.writableEnded) return false;
  const { type, body } = written ?? { type: 'application/json; charset=utf-8', body: JSON.stringify({ code, error }) };
  const given = Object.entries(headers).filter(([name]) => !OURS.has(name.toLowerCase()));
  const said = new Set(given.map(([name]) => name.toLowerCase()));
  const due = Object.entries(DUE[status] ?? {}).filter(([name]) => !said.has(name.toLowerCase()));
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    'Connection: close',
    `Content-Type: ${type}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...[...due, ...given].flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}`)),
  ];
  socket.once('finish', () => socket.destroy());
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  return true;
}
