import { ConnectionError, PxlWebSocketError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { CloseAdvice } from '../protocol/close-codes.js';
import { errorOf, isA } from '../protocol/thrown.js';

/** The server sent a frame that can't be read. It was skipped and the connection stays; the frame itself is not quoted. */
export class BadFrameError extends PxlWebSocketError {
  readonly code = ErrorCode.BadFrame;
  constructor(reason: string) {
    super(`A frame from the server was skipped: ${reason} Check that the server speaks this module's protocol.`);
  }
}

/** A stream's values came faster than they were taken. The stream was cancelled; values before this error are complete. */
export class StreamOverflowError extends PxlWebSocketError {
  readonly code = 'STREAM_OVERFLOW';
  constructor(limit: number) {
    super(`More than ${limit} values of the stream waited to be read. Read faster, or raise maxStreamBuffer.`);
  }
}

/** The server answered the handshake with an HTTP status instead of a WebSocket. Only Node can see it; browsers can't. */
export class HandshakeRefusedError extends ConnectionError {
  /** 401, 403 and 404 won't change by trying again; 429 and 503 ask for time. */
  readonly advice: CloseAdvice;
  constructor(
    /** The HTTP status, e.g. 401. */
    readonly status: number,
    /** The `code` of the server's JSON body, e.g. `UNAUTHENTICATED`. */
    readonly refusalCode?: string,
  ) {
    super(
      `The server refused the connection with HTTP ${status}${refusalCode ? ` (${refusalCode})` : ''}.${remedy(status)}`,
    );
    if (status === 401 || status === 403 || status === 404) this.advice = 'stop';
    else this.advice = status === 429 || status === 503 ? 'back-off' : 'reconnect';
  }
}

/** Any failure of `connectToServer()` as the one class callers catch. */
export function toConnectionError(thrown: unknown): ConnectionError {
  if (isA(thrown, ConnectionError)) return thrown;
  const error = new ConnectionError(`The connection could not be made: ${messageOf(thrown)}`);
  error.cause = thrown;
  return error;
}

/** Node's AggregateError (both addresses of "localhost" refused) has no message of its own, only a code. */
export function messageOf(thrown: unknown): string {
  const error: Error & { code?: string } = errorOf(thrown);
  return error.message || error.code || error.name;
}

function remedy(status: number): string {
  if (status === 401) return ' Give a valid token.';
  if (status === 403) return ' Check what the token permits, and the allowed origins.';
  if (status === 404) return " Check the url's path.";
  if (status === 426) return ' Check that nothing on the way strips the Upgrade header.';
  return '';
}
