import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import { isObject, isText, JunkError, readVersion } from './bus-input.js';

/** For nodes only: what changed for many clients of one node. */
export const NEWS = '$news';

/** For nodes only: a node is alive, with its digest. */
export const ALIVE = '$alive';

/** Events that say who is connected, and in which rooms. */
export const CLIENT_EVENTS: ReadonlySet<string> = new Set([
  Event.ClientConnected,
  Event.ClientDisconnected,
  Event.ClientJoinedRoom,
  Event.ClientLeftRoom,
  NEWS,
]);

/** Events that say which users are in which rooms. Only nodes with a subscriber for them hear them. */
export const USER_EVENTS: ReadonlySet<string> = new Set([Event.UserJoined, Event.UserLeft]);

/** Reads another node's sign of life: how many changes it has made, and how many fields it has. @throws {JunkError} */
export function readAlive(message: unknown): { nodeId: string; digest: { version: number; count: number } } {
  const { nodeId, version, count } = isObject(message) ? message : {};
  const digest = { version: readVersion(version), count: readVersion(count) };
  if (!isText(nodeId) || Number.isNaN(digest.version + digest.count))
    throw new JunkError('A sign of life of a node is malformed.');
  return { nodeId, digest };
}
