import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import { isObject, isText, JunkError, readVersion } from './bus-input.js';

/** Between nodes only: what became of clients of a node, many at once. */
export const NEWS = 'WebSocket:$ClientNews';

/** Between nodes only: a node says that it lives, and what it has. */
export const ALIVE = 'WebSocket:$NodeAlive';

/** Events that tell who is where. */
export const PRESENCE: ReadonlySet<string> = new Set([
  Event.ClientConnected,
  Event.ClientDisconnected,
  Event.ClientJoinedRoom,
  Event.ClientLeftRoom,
  NEWS,
]);

/** Reads a sign of life of another node: how many changes it has made, and how many clients it has. @throws {JunkError} */
export function readAlive(message: unknown): { nodeId: string; digest: { version: number; count: number } } {
  const { nodeId, version, count } = isObject(message) ? message : {};
  const digest = { version: readVersion(version), count: readVersion(count) };
  if (!isText(nodeId) || Number.isNaN(digest.version + digest.count))
    throw new JunkError('A sign of life of a node is malformed.');
  return { nodeId, digest };
}
