import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { HttpException } from '@nestjs/common';
import { AuthenticationError } from '../auth/identity.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { describeError } from '../routing/error-frame.js';

/** Why an upgrade isn't taken: an HTTP status, what its JSON body says, and further headers. */
export class Refusal {
  /** Only an instance is a Refusal for the compiler, too: a look-alike would pass for a user. */
  protected readonly isRefusal = true;

  constructor(
    readonly status: number,
    readonly code: string,
    readonly error: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {}
}

export const STOPPING = new Refusal(503, ErrorCode.Unavailable, 'The server is stopping. Try again soon.');

export const NOBODY = new Refusal(
  401,
  ErrorCode.Unauthenticated,
  'Say who you are: no valid credentials came with the request.',
);

/** What a peer hears of something that was thrown before its upgrade. */
export function refusalOf(error: unknown): Refusal {
  const { error: text, code } = describeError(error);
  if (error instanceof HttpException) return new Refusal(error.getStatus(), code, text);
  return new Refusal(error instanceof AuthenticationError ? error.status : 500, code, text);
}

/** RFC 6455 section 4.4: a version we don't speak is answered with the one we do. */
export function badHandshake(error: Error, request: IncomingMessage): Refusal {
  const isVersion = request.headers['sec-websocket-version'] !== '13' && error.message.includes('Version');
  return isVersion
    ? new Refusal(426, ErrorCode.UpgradeRequired, 'This server speaks WebSocket version 13.')
    : new Refusal(request.method === 'GET' ? 400 : 405, ErrorCode.BadRequest, `${error.message}.`);
}

/** Answers with plain HTTP and ends the socket. A no-op when that has happened. */
export function refuse(socket: Duplex, { status, code, error, headers }: Refusal): void {
  if (socket.destroyed || socket.writableEnded) return;
  const body = JSON.stringify({ code, error });
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(status === 426 ? ['Upgrade: websocket', 'Sec-WebSocket-Version: 13'] : []),
    ...(status === 503 && !('Retry-After' in headers) ? ['Retry-After: 5'] : []),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.once('finish', () => socket.destroy());
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}
