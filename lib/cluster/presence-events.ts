import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';

/** Between nodes only: a client's metadata or identity changed. */
export const UPDATED = 'WebSocket:$ClientUpdated';

/** Between nodes only: a node says that it lives, and what it has. */
export const ALIVE = 'WebSocket:$NodeAlive';

/** Events that tell who is where. */
export const PRESENCE: ReadonlySet<string> = new Set([
  Event.ClientConnected,
  Event.ClientDisconnected,
  Event.ClientJoinedRoom,
  Event.ClientLeftRoom,
  UPDATED,
]);
