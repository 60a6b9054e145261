import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';

/** Who is in the room can't be found out. */
export class PresenceUnavailableError extends PeerError {
  constructor(reason: string) {
    super(ErrorCode.Unavailable, `Nobody knows who is in the room (${reason}). Try again later.`);
  }
}

/** Data of a member that is longer than its room allows. */
export class PresenceDataTooLargeError extends PeerError {
  constructor(bytes: number, maxBytes: number) {
    super(
      ErrorCode.PresenceDataTooLarge,
      `Presence data of ${bytes} bytes is too large: this room takes ${maxBytes}. Send less, or raise "dataBytes" of the rule.`,
    );
  }
}
