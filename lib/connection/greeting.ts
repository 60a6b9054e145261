import type { ConnectedClient } from '../decorators/connected-client.js';
import type { WebSocketMessage } from '../protocol/message.js';
import type { ResolvedOptions } from '../options/resolve-options.js';

/** What every server can do beyond the first version of the protocol. A client uses nothing that isn't listed. */
const FEATURES: readonly string[] = ['joinRooms'];

/** The first frame of a connection: who the client is, and what it must know of this server to keep within its limits. */
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
      features: rooms.history.length > 0 ? [...FEATURES, 'history'] : FEATURES,
    },
  };
}
