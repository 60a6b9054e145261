import type { Followed } from '../clients/followed.js';
import { Channels, type Interest } from '../cluster/channels.js';
import type { RedisSource } from '../cluster/redis-source.js';
import { guarded } from '../guarded.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { System } from '../system.js';
import { AnnouncedRoomLog, Announcer } from './announced-room-log.js';
import { type Announcement, readAnnouncement } from './announcement.js';
import { Announcements } from './announcements.js';
import { FENCED_HISTORY, FenceCheck } from './fence-check.js';
import { HistoryRules } from './history-options.js';
import type { HistoryRule } from './history-rule.js';
import { partsOf } from './compose-publisher.js';
import { LogConnection } from './log-connection.js';
import { MemoryRoomLog } from './memory-room-log.js';
import { RedisRoomLog } from './redis-room-log.js';
import type { RoomLog } from './room-log.js';
import { RoomReaders } from './room-readers.js';

/** The logs of a server's rooms, and what reads them. */
export interface Logs {
  readonly rules: HistoryRules;
  readonly log: RoomLog;
  readonly readers: RoomReaders;
  /** Takes a message of the bus. @returns false if it is no announcement */
  heard(roomName: string, text: string): boolean;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const SWEEP_MS = 60_000;

type Failed = (error: unknown, place: string) => void;

/** @returns undefined without rooms with history */
export function composeLogs(
  { rooms, redis, prefix }: Pick<ResolvedOptions, 'rooms' | 'redis' | 'prefix'>,
  followed: Followed,
  failed: Failed,
  system: System,
): Logs | undefined {
  const rules = new HistoryRules(rooms.history);
  if (rules.isEmpty) return undefined;
  const announcements = new Announcements();
  const say = (roomName: string, said: Announcement): void => announcements.say(roomName, said);
  const { log, start, stop } = rooms.log
    ? ownLog(rooms.log, say, redis, prefix, failed, system)
    : redis === undefined
      ? memoryLog(rules, say, failed, system)
      : redisLog(rules, redis, prefix, failed, system);
  const readers = new RoomReaders({
    log,
    clock: system.clock,
    failed,
    follow: (room, heard) => announcements.follow(followed, room, heard),
  });
  return {
    rules,
    log,
    readers,
    heard(roomName, text) {
      const said = readAnnouncement(text);
      if (said) announcements.say(roomName, said);
      return said !== undefined;
    },
    start,
    stop: () => {
      readers.stop();
      return stop();
    },
  };
}

type Kept = Pick<Logs, 'log' | 'start' | 'stop'>;

/** The application starts and stops it. With Redis, what it has stored is announced there: this node gets that like the others. */
function ownLog(
  log: RoomLog,
  say: Announcements['say'],
  redis: RedisSource | undefined,
  prefix: string,
  failed: Failed,
  system: System,
): Kept {
  if (redis === undefined)
    return {
      log: new AnnouncedRoomLog(log, say, system.clock),
      start: async () => undefined,
      stop: async () => undefined,
    };
  const connection = new LogConnection(redis, 'history', system, failed);
  const announcer = new Announcer(() => connection.open, prefix, failed);
  return {
    log: new AnnouncedRoomLog(log, (roomName, said) => announcer.announce(roomName, said), system.clock),
    start: () => connection.connect(),
    stop: () => connection.close(),
  };
}

function memoryLog(rules: HistoryRules, announce: Announcements['say'], failed: Failed, { clock, ids }: System): Kept {
  const log = new MemoryRoomLog({
    retentionOf: (roomName) => rules.of(roomName) as HistoryRule,
    newEpoch: () => ids.uuid(),
    announce,
    now: () => clock.now(),
    wallMs: () => clock.wall(),
  });
  let stopSweeping: (() => void) | undefined;
  return {
    log,
    async start() {
      stopSweeping = clock.every(
        SWEEP_MS,
        guarded('old histories', failed, () => log.sweep()),
      );
    },
    async stop() {
      stopSweeping?.();
    },
  };
}

function redisLog(rules: HistoryRules, redis: RedisSource, prefix: string, failed: Failed, system: System): Kept {
  const fence = rules.isFenced ? new FenceCheck(prefix, FENCED_HISTORY, failed) : undefined;
  const connection = new LogConnection(redis, 'history', system, failed, undefined, (opened) => fence?.run(opened));
  const replicating = rules.waitsForReplica
    ? new LogConnection(redis, 'history-replicated', system, failed)
    : undefined;
  let channels: Channels | undefined;
  const log = new RedisRoomLog({
    connection: () => connection.open,
    replicating: replicating && ((room) => (rules.of(room)?.ack === 'replicated' ? replicating.open : undefined)),
    prefix,
    // The number of the database is known once there is a connection.
    channelOf: (name) => (channels ??= new Channels(prefix, connection.database)).interest({ kind: 'log', name }),
    ...partsOf(rules, failed, system),
  });
  return {
    log,
    start: async () => void (await Promise.all([connection.connect(), replicating?.connect()])),
    stop: async () => void (await Promise.all([connection.close(), replicating?.close()])),
  };
}

/** Follows a room, and its log if it has one. */
export class FollowedLogs implements Pick<Followed, 'keep' | 'release'> {
  constructor(
    private readonly followed: Followed,
    private readonly logs: Pick<Logs, 'rules' | 'readers'>,
  ) {}

  keep(interest: Interest): void {
    this.followed.keep(interest);
    const rule = this.#ruleOf(interest);
    if (rule) this.logs.readers.hold(interest.name, rule);
  }

  release(interest: Interest): void {
    this.followed.release(interest);
    if (this.#ruleOf(interest)) this.logs.readers.release(interest.name);
  }

  #ruleOf({ kind, name }: Interest): HistoryRule | undefined {
    return kind === 'room' ? this.logs.rules.of(name) : undefined;
  }
}
