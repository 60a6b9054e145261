import { ConnectionError } from '../errors.js';
import type { CloseAdvice } from '../protocol/close-codes.js';
import { ErrorCode } from '../protocol/error-codes.js';

/** The server refused the handshake with an HTTP status. Only Node sees it; browsers hide it. */
export class HandshakeRefusedError extends ConnectionError {
  /**
   * What to do next. Only this module's own refusal (a JSON body with `code`) with 401, 403 or 404 ends the attempts. A proxy
   * may answer otherwise a second later.
   */
  readonly advice: CloseAdvice;
  constructor(
    /** The HTTP status, e.g. 401. */
    readonly status: number,
    /** The `code` of the server's JSON body, e.g. `UNAUTHENTICATED`; undefined for the answer of a proxy. */
    readonly refusalCode?: string,
    /** The header `Retry-After`, in ms. */
    readonly retryAfterMs?: number,
  ) {
    super(
      `The server refused the connection with HTTP ${status}${refusalCode ? ` (${refusalCode})` : ''}.${remedy(status)}`,
    );
    this.advice = adviceAfter(status, refusalCode);
  }
}

function adviceAfter(status: number, refusalCode: string | undefined): CloseAdvice {
  if (status === 429) return 'back-off';
  if (refusalCode === undefined) return 'reconnect';
  if (status === 401 || status === 403 || status === 404) return 'stop';
  if (refusalCode === ErrorCode.ShuttingDown) return 'reconnect-now';
  return status === 503 ? 'back-off' : 'reconnect';
}

function remedy(status: number): string {
  if (status === 401) return ' Give a valid token.';
  if (status === 403) return ' Check the permissions of the token, and the allowed origins.';
  if (status === 404) return " Check the url's path.";
  if (status === 426) return ' Check that no proxy removes the Upgrade header.';
  return '';
}
