import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';

/** Between nodes only: a client's metadata or identity changed. */
export const UPDATED = 'WebSocket:$ClientUpdated';

/** Events that tell who is where. */
export const PRESENCE: ReadonlySet<string> = new Set([
  Event.ClientConnected,
  Event.ClientDisconnected,
  Event.ClientJoinedRoom,
  Event.ClientLeftRoom,
  UPDATED,
]);
