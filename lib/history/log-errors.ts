import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';

/** The log can't be reached. Nothing was stored, and nobody gets the message. */
export class LogUnavailableError extends PeerError {
  /** @param reason what a client may know about it @param cause the error itself */
  constructor(reason: string, cause?: unknown) {
    super(
      ErrorCode.Unavailable,
      `The room's history can't be reached (${reason}). Nothing was stored. Try again later.`,
    );
    if (cause !== undefined) this.cause = cause;
  }
}

/** The log didn't answer whether it did what it was asked. */
export class UnknownOutcomeError extends PeerError {
  constructor(reason: string, advice = 'Publish it again with the same key: it is stored once.', cause?: unknown) {
    super(ErrorCode.UnknownOutcome, `It is not known whether this was done (${reason}). ${advice}`);
    if (cause !== undefined) this.cause = cause;
  }
}

/** One key for two different messages. */
export class KeyReusedError extends PeerError {
  constructor(key: string) {
    super(
      ErrorCode.KeyReused,
      `The key "${key.slice(0, 64)}" was used for another message. Make a new key for each message.`,
    );
  }
}

/** A message that is larger than the whole history of its room may be. */
export class EntryTooLargeError extends PeerError {
  constructor(bytes: number, maxBytes: number) {
    super(
      ErrorCode.MessageTooLarge,
      `A message of ${bytes} bytes doesn't fit into a history of ${maxBytes} bytes. Send less, or raise "maxBytes" of the rule.`,
    );
  }
}
