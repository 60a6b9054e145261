import type { ConnectedClient } from '../decorators/connected-client.js';
import { digestOf } from '../digest.js';
import type { Sender } from '../routing/sender.js';

interface Connected {
  readonly client: Pick<ConnectedClient, 'clientId' | 'user'>;
  readonly isAuthenticated: boolean;
}

/**
 * Reads the session that a client says it has. The user is part of it: the same text from another user is another session.
 * @returns our own name for it; undefined for an invalid one
 */
export function sessionFrom(data: unknown, connected: Connected): string | undefined {
  const { session } = (data ?? {}) as { session?: unknown };
  const isValid = typeof session === 'string' && /^[\w-]{16,64}$/.test(session);
  return isValid ? digestOf(`${userKeyOf(connected) ?? ''}\n${session}`) : undefined;
}

export function senderOf(connected: Connected, session: string | undefined): Sender {
  const whose = session === undefined ? `connection ${connected.client.clientId}` : `session ${session}`;
  return { session, owner: userKeyOf(connected) ?? whose };
}

const userKeyOf = ({ client: { user }, isAuthenticated }: Connected): string | undefined =>
  isAuthenticated && user ? `user ${user.userId}` : undefined;
