import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';

/** The server can't read who is in the room. */
export class PresenceUnavailableError extends PeerError {
  /** @param reason what a client may know about it @param cause the error itself */
  constructor(reason: string, cause?: unknown) {
    super(ErrorCode.Unavailable, `The server can't read who is in the room (${reason}). Try again later.`);
    if (cause !== undefined) this.cause = cause;
  }
}

/** The presence data of a member is longer than the rule of its room allows. */
export class PresenceDataTooLargeError extends PeerError {
  constructor(bytes: number, maxBytes: number) {
    super(
      ErrorCode.PresenceDataTooLarge,
      `Presence data of ${bytes} bytes is too large: this room takes ${maxBytes}. Send less, or raise "dataBytes" of the rule.`,
    );
  }
}
