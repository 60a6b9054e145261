import type { RequestId, WebSocketUser } from '../protocol/message.js';

/** A message or a request of the server. */
export interface ServerMessage {
  type: string;
  action: string;
  data: unknown;
  id: RequestId | undefined;
}

/** What `system/connected` told. */
export interface Greeting {
  clientId: string;
  user: Pick<WebSocketUser, 'userId'> | undefined;
}

/** Reads the first frame; `undefined` when it isn't `system/connected` with a client id. */
export function readGreeting({ type, action, data }: ServerMessage): Greeting | undefined {
  if (type !== 'system' || action !== 'connected' || typeof data !== 'object' || data === null) return undefined;
  const { clientId, user } = data as { clientId?: unknown; user?: { userId?: unknown } | null };
  if (typeof clientId !== 'string' || clientId === '') return undefined;
  const userId = user?.userId;
  return { clientId, user: typeof userId === 'string' || typeof userId === 'number' ? { userId } : undefined };
}
