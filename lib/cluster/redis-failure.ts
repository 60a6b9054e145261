import { ConnectionError } from '../errors.js';

/** `refused`: Redis said no. `timeout`: nobody knows whether it was done. `closed`: the connection is gone. */
export type RedisFailure = 'refused' | 'timeout' | 'closed';

export function failureOf(error: Error): RedisFailure {
  if (error.name === 'ReplyError') return 'refused';
  return error.message === 'Command timed out' ? 'timeout' : 'closed';
}

/**
 * A refusal for want of a permission, with the rule of the ACL that is missing; undefined for any other error.
 * @param head what the channels of the application begin with
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
