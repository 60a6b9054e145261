import type { ConnectedClient } from '../decorators/connected-client.js';
import { digestOf } from '../digest.js';
import type { Caller } from '../routing/caller.js';

interface Connected {
  readonly client: Pick<ConnectedClient, 'clientId' | 'user'>;
  readonly isAuthenticated: boolean;
  readonly openedAt: number;
}

/**
 * Reads the session that a client names. The user is part of it: the same text from another user is another session.
 * @returns our own name for the session; undefined for an invalid one
 */
export function sessionFrom(data: unknown, connected: Connected): string | undefined {
  const { session } = (data ?? {}) as { session?: unknown };
  const isValid = typeof session === 'string' && /^[\w-]{16,64}$/.test(session);
  return isValid ? digestOf(`${userKeyOf(connected) ?? ''}\n${session}`) : undefined;
}

export function callerOf(connected: Connected, session: string | undefined): Caller {
  const whose = session === undefined ? `connection ${connected.client.clientId}` : `session ${session}`;
  return { session, owner: userKeyOf(connected) ?? whose, connectedAt: connected.openedAt };
}

/** With its length: what follows it can't be taken for a part of it. */
function userKeyOf({ client: { user }, isAuthenticated }: Connected): string | undefined {
  if (!isAuthenticated || !user) return undefined;
  const userId = String(user.userId);
  return `user ${userId.length} ${userId}`;
}
