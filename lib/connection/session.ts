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

/** @param known what it returned before: that again, unless the session or the user has changed */
export function callerOf(connected: Connected, session: string | undefined, known?: Caller): Caller {
  const userId = userIdOf(connected);
  if (known && known.session === session && known.userId === userId) return known;
  const whose = session === undefined ? `connection ${connected.client.clientId}` : `session ${session}`;
  return { session, userId, owner: userKeyOf(connected) ?? whose, connectedAt: connected.openedAt };
}

/**
 * Who a connection is for others, in rooms with presence. Without authentication it could claim any id: it counts for its session, of
 * which others see a digest, and without a session for itself.
 * @param session our name for it
 */
export function presenceIdOf({ client: { clientId, user }, isAuthenticated }: Connected, session?: string): string {
  if (isAuthenticated && user) return presenceIdOfUser(user.userId);
  return session === undefined ? clientId : `~${digestOf(`presence\n${session}`)}`;
}

/** The user's id. One that looks like that of a session gets another `~`: no user can have the id of a session. */
export function presenceIdOfUser(userId: string | number): string {
  const id = String(userId);
  return /^~+[\w-]{22}$/.test(id) ? `~${id}` : id;
}

const userIdOf = ({ client: { user }, isAuthenticated }: Connected): string | number | undefined =>
  isAuthenticated ? user?.userId : undefined;

/** With its length: what follows it can't be taken for a part of it. */
function userKeyOf(connected: Connected): string | undefined {
  const userId = userIdOf(connected);
  return userId === undefined ? undefined : `user ${String(userId).length} ${userId}`;
}
