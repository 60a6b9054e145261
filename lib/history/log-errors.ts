import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';

/** The log can't be reached. Nothing was stored, and nobody gets the message. */
export class LogUnavailableError extends PeerError {
  constructor(reason: string) {
    super(
      ErrorCode.Unavailable,
      `The room's history can't be reached (${reason}). Nothing was stored. Try again later.`,
    );
  }
}

/** The log didn't answer whether it stored the message. */
export class UnknownOutcomeError extends PeerError {
  constructor(reason: string) {
    super(
      ErrorCode.UnknownOutcome,
      `Nobody knows whether this was published (${reason}). Publish it again with the same key: it is stored once.`,
    );
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
