import { HttpException } from '@nestjs/common';
import { WsException } from '@nestjs/websockets';
import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ErrorFrameData } from '../protocol/message.js';

/** The text for errors that aren't meant for the peer. */
const INTERNAL_SENTENCE = 'Something went wrong on the server.';

const CODE_OF_STATUS: Record<number, string> = {
  400: ErrorCode.BadRequest,
  401: ErrorCode.Unauthenticated,
  403: ErrorCode.Forbidden,
  404: ErrorCode.NotFound,
  408: ErrorCode.Timeout,
  409: ErrorCode.Conflict,
  422: ErrorCode.ValidationFailed,
  429: ErrorCode.RateLimited,
  503: ErrorCode.Unavailable,
};

const STATUS_OF_CODE = new Map(Object.entries(CODE_OF_STATUS).map(([status, code]) => [code, Number(status)]));

export interface ThrownError extends Pick<ErrorFrameData, 'error' | 'code' | 'details'> {
  /** False: a bug of the application. It is logged once. */
  isMeantForPeer: boolean;
  /** The status of an exception made for HTTP. */
  status?: number;
}

/** The only place that decides what a peer may see of an error. Never throws. */
export function describeError(thrown: unknown): ThrownError {
  try {
    const described = describe(thrown);
    if (described && typeof described.error === 'string' && typeof described.code === 'string') return described;
  } catch {
    // The exception's own methods throw, so nothing can be read from it.
  }
  return { error: INTERNAL_SENTENCE, code: ErrorCode.Internal, isMeantForPeer: false };
}

function describe(thrown: unknown): ThrownError | undefined {
  if (thrown instanceof PeerError) {
    return { error: thrown.message, code: thrown.code, details: thrown.details, isMeantForPeer: true };
  }
  if (thrown instanceof WsException) return describeWsException(thrown);
  return isHttpException(thrown) ? describeHttpException(thrown) : undefined;
}

/** The HTTP status of an error before the upgrade. Never throws. */
export function statusOf(thrown: unknown): number {
  const { code, isMeantForPeer, status } = describeError(thrown);
  if (!isMeantForPeer) return 500;
  if (status === undefined) return STATUS_OF_CODE.get(code) ?? 400;
  return isRefusal(status) ? status : 500;
}

/** True for a status that ends the request without a connection. */
export const isRefusal = (status: unknown): status is number =>
  Number.isInteger(status) && (status as number) >= 300 && (status as number) <= 599;

function describeWsException(thrown: WsException): ThrownError {
  const fields = fieldsOf(thrown.getError());
  return {
    error: thrown.message,
    code: isCode(fields['code']) ? fields['code'] : ErrorCode.BadRequest,
    details: fields['details'],
    isMeantForPeer: true,
  };
}

/**
 * Nest's body is a string or `{ message, error?, code?, details?, … }`. ValidationPipe has a list in `message`; pipes of
 * schema libraries have one in `errors`.
 */
function describeHttpException(thrown: HttpException): ThrownError {
  const status = thrown.getStatus();
  const { message, errors, code, details } = fieldsOf(thrown.getResponse());
  const isList = Array.isArray(message);
  const issues = isList ? message : status === 400 || status === 422 ? errors : undefined;
  const isValidation = Array.isArray(issues);
  const usual = CODE_OF_STATUS[status] ?? (status >= 500 ? ErrorCode.Internal : ErrorCode.BadRequest);
  return {
    error: isList ? 'The data did not pass validation.' : thrown.message,
    code: isCode(code) ? code : isValidation ? ErrorCode.ValidationFailed : usual,
    details: isValidation && (isList || details === undefined) ? issues.map(issueOf) : details,
    isMeantForPeer: true,
    status,
  };
}

/** The problems in an error object of class-validator, without the values that were sent. */
function issueOf(issue: unknown): unknown {
  const { property, constraints, children } = fieldsOf(issue);
  if (typeof property !== 'string' || (constraints === undefined && children === undefined)) return issue;
  const inner = Array.isArray(children) ? children.map(issueOf) : [];
  return { property, ...(constraints !== undefined && { constraints }), ...(inner.length > 0 && { children: inner }) };
}

const fieldsOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const isCode = (value: unknown): value is string => typeof value === 'string' && /^[A-Z][A-Z0-9_]{0,63}$/.test(value);

/** An application may carry a second copy of `@nestjs/common`, whose classes are not ours. */
const isHttpException = (thrown: unknown): thrown is HttpException =>
  thrown instanceof HttpException ||
  (thrown instanceof Error &&
    typeof (thrown as Partial<HttpException>).getStatus === 'function' &&
    typeof (thrown as Partial<HttpException>).getResponse === 'function');
