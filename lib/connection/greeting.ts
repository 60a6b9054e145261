import type { ConnectedClient } from '../decorators/connected-client.js';
import type { WebSocketMessage } from '../protocol/message.js';
import type { ResolvedOptions } from '../options/resolve-options.js';

/** Features beyond the first version of the protocol. A client uses only those that are listed. */
const FEATURES: readonly string[] = ['joinRooms'];

/** The first frame of a connection: the client's id and user, and the limits of this server. */
export function greetingOf(
  { clientId, user }: ConnectedClient,
  { heartbeat, messages }: Pick<ResolvedOptions, 'heartbeat' | 'messages'>,
): WebSocketMessage {
  const { maxPayload, maxDepth } = messages;
  return {
    type: 'system',
    action: 'connected',
    data: {
      clientId,
      ...(user && { user: { userId: user.userId } }),
      heartbeat,
      limits: { maxPayload, maxDepth },
      features: FEATURES,
    },
  };
}
