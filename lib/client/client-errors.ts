import { ConnectionError, PxlWebSocketError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorOf, isA } from '../protocol/thrown.js';

/**
 * A frame of the server is malformed. If it is a reply, its request rejects with this error; other frames are skipped. The
 * connection stays. The frame itself is not quoted.
 */
export class BadFrameError extends PxlWebSocketError {
  readonly code = ErrorCode.BadFrame;
}

/**
 * A stream's values came faster than they were read. The stream was cancelled. The values before this error are complete.
 */
export class StreamOverflowError extends PxlWebSocketError {
  readonly code = 'STREAM_OVERFLOW';
  constructor(limit: string, option: string) {
    super(`More than ${limit} wait (${option}).`);
  }
}

/** The message is longer than the server accepts. Nothing was sent, and the connection stays. */
export class MessageTooLargeError extends PxlWebSocketError {
  readonly code = ErrorCode.MessageTooLarge;
  /** The limit of the server in bytes: its `messages.maxPayload`. */
  declare readonly maxBytes: number;
  constructor(maxBytes: number) {
    super(`The message has more than ${maxBytes} bytes.`);
    this.maxBytes = maxBytes;
  }
}

/** Too many requests with `retry` have no answer yet. This one was not sent, and never will be. */
export class QueueFullError extends PxlWebSocketError {
  readonly code = 'QUEUE_FULL';
  constructor({ maxMessages, maxBytes }: { maxMessages: number; maxBytes: number }) {
    super(`More than ${maxMessages} requests or ${maxBytes} bytes wait (queue).`);
  }
}

/** A request with `retry` waited longer than `queue.maxAgeMs`. It is never sent again. */
export class ExpiredError extends PxlWebSocketError {
  readonly code = 'EXPIRED';
  /** It was sent before the connection broke, so the server may have handled it. */
  declare readonly wasSent: boolean;
  constructor(wasSent: boolean) {
    super(`It expired (sent: ${wasSent}).`);
    this.wasSent = wasSent;
  }
}

/** Stands for error reports that were left out, because there were too many of one kind. */
export class ReportsLeftOutError extends PxlWebSocketError {
  readonly code = 'REPORTS_LEFT_OUT';
  /** The `name` of the errors that were left out. */
  declare readonly kind: string;
  declare readonly count: number;
  constructor(kind: string, count: number) {
    super(`${count} more of ${kind}.`);
    this.kind = kind;
    this.count = count;
  }
}

/** Makes any failure of `connectToServer()` a ConnectionError. */
export function toConnectionError(thrown: unknown): ConnectionError {
  if (isA(thrown, ConnectionError)) return thrown;
  return Object.assign(new ConnectionError(`There is no connection: ${messageOf(thrown)}`), { cause: thrown });
}

/** Says how a connection ended. @param socketError what the socket said before */
export function endError(code: number, reason: string, socketError: string | undefined): ConnectionError {
  // These stand for "no code was sent" (RFC 6455 section 7.4.1).
  if (code === 1005 || code === 1006 || code === 1015)
    return new ConnectionError(`The connection broke${socketError ? `: ${socketError}` : '.'}`);
  return new ConnectionError(`The server closed the connection with ${code}${reason ? `: ${reason}` : '.'}`, code);
}

/** Node's AggregateError (e.g. both addresses of "localhost" refused) has no message, only a code. */
export function messageOf(thrown: unknown): string {
  const error: Error & { code?: string } = errorOf(thrown);
  return error.message || error.code || error.name;
}
