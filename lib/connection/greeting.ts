import type { ConnectedClient } from '../decorators/connected-client.js';
import type { WebSocketMessage } from '../protocol/message.js';
import type { ResolvedOptions } from '../options/resolve-options.js';

/** What every server can do beyond the first version of the protocol. A client uses nothing that isn't listed. */
const FEATURES: readonly string[] = ['joinRooms'];

/** The first frame of a connection: the client's id and user, and the limits of this server. */
export function greetingOf(
  { clientId, user }: ConnectedClient,
  { heartbeat, messages, rooms }: Pick<ResolvedOptions, 'heartbeat' | 'messages' | 'rooms'>,
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
      features: rooms.history.length > 0 ? [...FEATURES, 'history', 'session'] : FEATURES,
    },
  };
}
