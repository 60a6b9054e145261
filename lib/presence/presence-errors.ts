import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';

/** The server can't read who is in the room. */
export class PresenceUnavailableError extends PeerError {
  constructor(reason: string) {
    super(ErrorCode.Unavailable, `The server can't read who is in the room (${reason}). Try again later.`);
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
