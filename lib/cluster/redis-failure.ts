import { ConnectionError, NotPublishedError, PxlWebSocketError } from '../errors.js';
import { errorOf } from '../protocol/thrown.js';

/**
 * `refused`: Redis said no. `timeout`: it is unknown whether the command was carried out. `closed`: the connection is
 * gone.
 */
export type RedisFailure = 'refused' | 'timeout' | 'closed';

export function failureOf(error: Error): RedisFailure {
  if (error.name === 'ReplyError') return 'refused';
  return error.message === 'Command timed out' ? 'timeout' : 'closed';
}

/** Why a publication failed. Redis may have taken it if it neither refused it nor ioredis kept it back. */
export function notPublished(thrown: unknown): PxlWebSocketError {
  if (thrown instanceof PxlWebSocketError) return thrown;
  const error = errorOf(thrown);
  const mayHaveArrived = failureOf(error) !== 'refused' && !error.message.startsWith("Stream isn't writeable");
  return new NotPublishedError(error.message, { cause: thrown, mayHaveArrived });
}

/**
 * Finds a denied permission in an error, and names the ACL rule that is missing.
 * @param head the beginning of the application's channels
 * @returns undefined for any other error
 */
export function permissionError(error: Error, head: string): ConnectionError | undefined {
  if (!error.message.startsWith('NOPERM')) return undefined;
  return new ConnectionError(
    `Redis refuses what this user needs: ${error.message}. Add the rule "${missingRule(error.message, head)}" to its ACL.`,
  );
}

function missingRule(message: string, head: string): string {
  const [, command] = /to run the '([^']+)'/.exec(message) ?? [];
  if (command !== undefined) return `+${command.toLowerCase()}`;
  return /channel/.test(message) ? `&${head}*` : `~${head}*`;
}

/** Finds a denied permission in an error, or in one of those of a transaction. */
export function refusalIn(error: unknown): Error | undefined {
  if (!(error instanceof Error)) return undefined;
  const { previousErrors = [] } = error as { previousErrors?: unknown[] };
  const [refusal] = /\bNOPERM\b.*/.exec(error.message) ?? [];
  return previousErrors.map(refusalIn).find(Boolean) ?? (refusal === undefined ? undefined : new Error(refusal));
}
