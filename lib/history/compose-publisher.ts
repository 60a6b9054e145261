import { Channels } from '../cluster/channels.js';
import { overwritten } from '../cluster/foreign-keys.js';
import { databaseOf, type RedisConnection } from '../cluster/redis-connections.js';
import type { System } from '../system.js';
import { AnnouncedRoomLog, Announcer } from './announced-room-log.js';
import type { HistoryRules } from './history-options.js';
import type { HistoryRule } from './history-rule.js';
import type { RoomLog } from './room-log.js';
import { RedisRoomLog, type RedisRoomLogParts } from './redis-room-log.js';
import { RoomPublisher } from './room-publisher.js';
import { RuleWatch } from './rule-watch.js';

/** In errors. */
const PLACE = 'rooms.history';

type Failed = (error: unknown, place: string) => void;

export interface PublisherSource {
  connection: RedisConnection;
  prefix: string;
  /** The connection is the application's, with options of its own. */
  isForeign: boolean;
  /** Another for rooms that wait for a replica. */
  replicating?: RedisConnection | undefined;
  /** The application's own log. */
  log?: RoomLog | undefined;
}

/**
 * For a process without sockets: publishes to rooms with history, like a node.
 * @returns undefined without rooms with history
 */
export function composePublisher(
  { connection, prefix, isForeign, replicating, log: own }: PublisherSource,
  rules: HistoryRules,
  failed: Failed,
  system: System,
): RoomPublisher | undefined {
  if (rules.isEmpty) return undefined;
  if (own) {
    const announcer = new Announcer(() => connection, prefix, failed);
    return new RoomPublisher(
      new AnnouncedRoomLog(own, (name, said) => announcer.announce(name, said), system.clock),
      rules,
    );
  }
  const channels = new Channels(prefix, databaseOf(connection));
  const log = new RedisRoomLog({
    connection: () => connection,
    replicating: (room) => (rules.of(room)?.ack === 'replicated' ? replicating : undefined),
    prefix,
    channelOf: (name) => channels.interest({ kind: 'log', name }),
    isForeign,
    ...partsOf(rules, failed, system),
  });
  return new RoomPublisher(log, rules);
}

/** What a log takes of the rules. */
export function partsOf(
  rules: HistoryRules,
  failed: Failed,
  { clock, ids }: System,
): Pick<RedisRoomLogParts, 'retentionOf' | 'ruleTextOf' | 'watch' | 'overwritten' | 'isFenced' | 'newId' | 'clock'> {
  const retentionOf = (room: string): HistoryRule => rules.of(room) as HistoryRule;
  return {
    retentionOf,
    ruleTextOf: (room) => rules.textOf(room),
    watch: new RuleWatch(failed),
    overwritten: (keys) => failed(new Error(`${overwritten(keys)} The history of the room begins anew.`), PLACE),
    isFenced: (room) => retentionOf(room).onRestart === 'reset',
    newId: () => ids.uuid(),
    clock,
  };
}
