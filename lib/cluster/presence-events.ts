import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import { isObject, isText, JunkError, readRecord, readVersion } from './bus-input.js';
import type { ClientRecord } from './replica.js';

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

/** What a presence event of another node says. */
export interface Presence {
  nodeId: string;
  clientId: string;
  /** The whole event, for subscribers. */
  facts: object;
  /** True when the node itself has ended. */
  isEndOfNode: boolean;
  /** True when the node was taken for dead, or has come back from that. */
  isOfLoss: boolean;
  /** The record of the client after this change of its node; undefined for a client that is gone. */
  change: { version: number; record: ClientRecord | undefined } | undefined;
}

/**
 * Reads an event that a node raised.
 * @returns undefined for an event that isn't about presence
 * @throws {JunkError} for a malformed one
 */
export function readPresence(channel: string, message: unknown): Presence | undefined {
  if (!PRESENCE.has(channel) || !isObject(message) || message['nodeId'] === undefined) return undefined;
  const { client, version, ...facts } = message;
  const { nodeId, clientId, reason } = facts;
  if (!isText(nodeId) || !isText(clientId)) throw new JunkError(`${channel} names no node or no client.`);
  const isEndOfNode = reason === 'node-lost' || reason === 'node-stopping';
  const isOfLoss = reason === 'node-lost' || reason === 'node-returned';
  const common = { nodeId, clientId, facts, isEndOfNode, isOfLoss };
  if (isEndOfNode || version === undefined) return { ...common, change: undefined };
  const number = readVersion(version);
  const record = client === null ? undefined : readRecord(client, clientId);
  if (Number.isNaN(number) || (client !== null && !record))
    throw new JunkError(`${channel} of node ${nodeId} is no change of a client.`);
  return { ...common, change: { version: number, record } };
}

/** The events of clients that leave with their node. */
export function* farewellsOf(
  nodeId: string,
  records: readonly ClientRecord[],
  reason: 'node-lost' | 'node-stopping',
): Generator<[event: string, facts: object]> {
  for (const { clientId, rooms, user } of records) {
    const facts = { clientId, ...(user ? { userId: user.userId } : {}), nodeId, reason };
    for (const roomName of rooms) yield [Event.ClientLeftRoom, { ...facts, roomName }];
    yield [Event.ClientDisconnected, facts];
  }
}

/** The events of clients of a node that was taken for dead: as its changes 1 to n, so that others know them at once. */
export function* returnsOf(
  nodeId: string,
  records: readonly ClientRecord[],
): Generator<[event: string, facts: object]> {
  for (const [index, record] of records.entries()) {
    const { clientId, rooms, user, lastActivity } = record;
    const facts = { clientId, ...(user && { userId: user.userId }), nodeId, reason: 'node-returned' };
    yield [Event.ClientConnected, { ...facts, lastActivity, version: index + 1, client: record }];
    for (const roomName of rooms) yield [Event.ClientJoinedRoom, { ...facts, roomName }];
  }
}

/** Reads a sign of life of another node: how many changes it has made, and how many clients it has. @throws {JunkError} */
export function readAlive(message: unknown): { nodeId: string; digest: { version: number; count: number } } {
  const { nodeId, version, count } = isObject(message) ? message : {};
  const digest = { version: readVersion(version), count: readVersion(count) };
  if (!isText(nodeId) || Number.isNaN(digest.version + digest.count))
    throw new JunkError('A sign of life of a node is malformed.');
  return { nodeId, digest };
}
