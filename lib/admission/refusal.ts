import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { ErrorCode } from '../protocol/error-codes.js';
import type { Denial } from './connect-pipeline.js';
import { describeError, statusOf } from '../routing/describe-error.js';
import type { WrittenAnswer } from './upgrade-response.js';

type Headers = Readonly<Record<string, string | readonly string[]>>;

/** Why an upgrade is refused: an HTTP status, the code and text of its JSON body, and headers. */
export class Refusal {
  /** Makes the type nominal: an object of the same shape must not pass as a Refusal, nor as a user. */
  protected readonly isRefusal = true;

  constructor(
    readonly status: number,
    readonly code: string,
    readonly error: string,
    readonly headers: Headers = {},
    private readonly more: { written?: WrittenAnswer | undefined; remedy?: string } = {},
  ) {}

  /** The answer instead of `{ code, error }`. */
  get written(): WrittenAnswer | undefined {
    return this.more.written;
  }

  /** What the operator can do about it. Not for the peer. */
  get remedy(): string | undefined {
    return this.more.remedy;
  }
}

/** This node is stopping. Unlike with an overloaded server, another node may accept the client at once. */
export const STOPPING = new Refusal(503, ErrorCode.ShuttingDown, 'The server is stopping. Try again soon.', {
  'Retry-After': '1',
});

export const TOO_SLOW = new Refusal(
  503,
  ErrorCode.Unavailable,
  'The decision whether you may connect took too long. Try again.',
  {},
  {
    remedy:
      'The authenticator or a guard took too long: make it faster, or raise "auth.timeoutMs" or "connect.timeoutMs".',
  },
);

/** Headers that belong to a status (RFC 9110, RFC 6455 section 4.4), unless they are set already. */
const DUE: Readonly<Record<number, Headers>> = {
  401: { 'WWW-Authenticate': 'Bearer realm="WebSocket"' },
  405: { Allow: 'GET' },
  426: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
  503: { 'Retry-After': '5' },
};

/** Headers of the answer's framing. */
const OURS: ReadonlySet<string> = new Set([
  'connection',
  'content-type',
  'content-length',
  'transfer-encoding',
  'upgrade',
]);

export const NOBODY = new Refusal(401, ErrorCode.Unauthenticated, 'The request has no valid credentials.');

export const notHere = (path: string): Refusal =>
  new Refusal(
    404,
    ErrorCode.NotFound,
    'No WebSocket is served on this path.',
    {},
    { remedy: `The path of this server is "${path}".` },
  );

/** The answer to an error before the upgrade. */
export function refusalOf(error: unknown, headers: Headers = {}): Refusal {
  const { error: text, code, details } = describeError(error);
  const { retryAfterMs } = (details ?? {}) as { retryAfterMs?: number };
  const later = Number.isFinite(retryAfterMs) && { 'Retry-After': String(Math.ceil(Number(retryAfterMs) / 1_000)) };
  return new Refusal(statusOf(error), code, text, { ...later, ...headers });
}

/** The answer that a guard or its filter wrote, or else the answer to the guard's error. */
export function refusalOfDenial({ error, response: { written, headers } }: Denial): Refusal {
  if (!written) return refusalOf(error, headers);
  const { error: text, code } = describeError(error);
  return new Refusal(written.status, code, text, headers, { written });
}

/** The answer to a malformed handshake. It states our version of WebSocket if the client asked for another. */
export function badHandshake(error: Error, request: IncomingMessage): Refusal {
  const isVersion = request.headers['sec-websocket-version'] !== '13' && error.message.includes('Version');
  return isVersion
    ? new Refusal(426, ErrorCode.UpgradeRequired, 'This server supports WebSocket version 13.')
    : new Refusal(request.method === 'GET' ? 400 : 405, ErrorCode.BadRequest, `${error.message}.`);
}

/**
 * Answers with plain HTTP and closes the socket. Only for `Refusals`, which counts it.
 * @returns false when it was answered already, or the socket is gone
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
