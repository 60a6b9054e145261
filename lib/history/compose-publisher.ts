import { randomUUID } from 'node:crypto';
import { Channels } from '../cluster/channels.js';
import { databaseOf, type RedisConnection } from '../cluster/redis-connections.js';
import type { HistoryRules } from './history-options.js';
import type { HistoryRule } from './history-rule.js';
import { RedisRoomLog } from './redis-room-log.js';
import { RoomPublisher } from './room-publisher.js';

/**
 * For a process without sockets: publishes to rooms with history, like a node.
 * @param isForeign the connection belongs to the application
 * @returns undefined without rooms with history
 */
export function composePublisher(
  { connection, prefix, isForeign }: { connection: RedisConnection; prefix: string; isForeign: boolean },
  rules: HistoryRules,
): RoomPublisher | undefined {
  if (rules.isEmpty) return undefined;
  const channels = new Channels(prefix, databaseOf(connection));
  const retentionOf = (roomName: string): HistoryRule => rules.of(roomName) as HistoryRule;
  const log = new RedisRoomLog({
    connection: () => connection,
    prefix,
    channelOf: (name) => channels.interest({ kind: 'log', name }),
    retentionOf,
    isFenced: (roomName) => retentionOf(roomName).onRestart === 'reset',
    newEpoch: randomUUID,
    isForeign,
  });
  return new RoomPublisher(log, rules);
}
