import { type ForeignKeys, isWrongType } from '../cluster/foreign-keys.js';
import { Corks } from '../cluster/redis-outlet.js';
import { isCluster, type RedisConnection } from '../cluster/redis-connections.js';
import { redisReason } from '../cluster/redis-reason.js';
import { type Arg, evaluate, type Script } from '../cluster/redis-script.js';
import type { RoomPosition } from '../protocol/message.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import { PresenceUnavailableError } from './presence-errors.js';
import { CHANGE_PRESENCE, CHECK_PRESENCE, PRESENCE_TOP, READ_PRESENCE } from './presence-scripts.js';
import {
  type PresenceApplied,
  type PresenceBatch,
  type PresenceBelief,
  type PresenceCheck,
  type PresenceSize,
  type PresenceSnapshot,
  type PresenceStore,
  QUIET_MS,
  type StoredUser,
} from './presence-store.js';

export interface RedisPresenceStoreParts {
  connection: () => RedisConnection;
  foreign: ForeignKeys;
  /** The beginning of all keys. */
  prefix: string;
  /** The channel of a room's announcements, in the slot of the room's keys. */
  channelOf(room: string): string;
  /** The channel of the events of users. */
  eventsChannel(): string;
  newEpoch(): string;
  /** @default QUIET_MS */
  quietMs?: number;
}

/** How long a room is remembered without a node that has members in it. */
const KEEP_MS = 600_000;
const KEYS = ['pm', 'pc', 'pu', 'pn'];
/** Rooms that one script checks: that takes Redis a fraction of a millisecond. A Redis Cluster takes one, as each lies elsewhere. */
const CHECKED_AT_ONCE = 50;
const SCRIPTS_AT_ONCE = 4;
const ALL: PresenceSize = { users: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };

/** Presence in Redis. All keys of a room and its channel share a hash tag, as those of its log do. */
export class RedisPresenceStore implements PresenceStore {
  readonly #corks = new Corks();

  constructor(private readonly parts: RedisPresenceStoreParts) {}

  apply(room: string, { nodeId, number, epoch, isWhole, changes }: PresenceBatch): Promise<PresenceApplied> {
    const args: Arg[] = [];
    for (const { kind, clientId, userId, data, dataAt, awayMs } of changes) {
      const change = [clientId, nameOf(userId), data ?? '', dataAt, Math.ceil(awayMs)];
      if (kind === 'again') args.push('out', ...change, 'in', ...change);
      else args.push(kind, ...change);
    }
    return this.#change(room, [nodeId, number, epoch ?? '', isWhole ? 'whole' : ''], args);
  }

  bury(room: string, nodeId: string): Promise<PresenceApplied> {
    return this.#change(room, [nodeId, 0, '', 'bury']);
  }

  async read(room: string, most: PresenceSize = ALL): Promise<PresenceSnapshot> {
    const [epoch, version, now, users, bytes, flat] = (await this.#run(READ_PRESENCE, room, [
      most.users,
      most.bytes,
    ])) as [string, number, string, number, number, string[] | null];
    return { epoch, version, now: Number(now), size: { users, bytes }, users: flat ? usersIn(flat) : undefined };
  }

  async top(room: string): Promise<RoomPosition> {
    const [epoch, offset] = (await this.#run(PRESENCE_TOP, room, [])) as [string, number];
    return { epoch, offset };
  }

  async check(nodeId: string, beliefs: readonly PresenceBelief[], keeps: boolean): Promise<PresenceCheck> {
    const keepMs = keeps ? KEEP_MS : 0;
    const most = isCluster(this.parts.connection()) ? 1 : CHECKED_AT_ONCE;
    const doubtful: string[] = [];
    const nodeIds = new Set<string>();
    const checkSome = async (some: readonly PresenceBelief[]): Promise<void> => {
      const keys = some.flatMap(({ room }) => this.#keysOf(room));
      const args = [nodeId, keepMs, ...some.flatMap(({ epoch, own }) => [epoch, own])];
      const answer = await this.#evaluate(CHECK_PRESENCE, keys, args).catch((error: unknown) => {
        if (!isWrongType(error)) throw unavailable(error);
        return [some.map((_, at) => at + 1), []]; // the next change of the room mends its keys
      });
      const [different, others] = answer as [number[], string[]];
      for (const number of different) doubtful.push((some[number - 1] as PresenceBelief).room);
      for (const other of others) nodeIds.add(other);
    };
    for (let at = 0; at < beliefs.length; at += most * SCRIPTS_AT_ONCE) {
      const parts: Promise<void>[] = [];
      for (let from = at; from < Math.min(beliefs.length, at + most * SCRIPTS_AT_ONCE); from += most)
        parts.push(checkSome(beliefs.slice(from, from + most)));
      await Promise.all(parts);
    }
    return { doubtful, nodeIds };
  }

  async nodesIn(room: string): Promise<string[]> {
    const key = this.#keysOf(room)[3] as string;
    return this.#mend([key], () => this.parts.connection().hkeys(key));
  }

  async #change(room: string, head: readonly Arg[], changes: readonly Arg[] = []): Promise<PresenceApplied> {
    const { connection, channelOf, eventsChannel, quietMs = QUIET_MS } = this.parts;
    const how = isCluster(connection()) ? 'SPUBLISH' : 'PUBLISH';
    const answer = await this.#run(CHANGE_PRESENCE, room, [
      channelOf(room),
      how,
      ...head,
      quietMs,
      eventsChannel(),
      eventBeginning(Event.UserJoined, room),
      eventBeginning(Event.UserLeft, room),
      EVENT_END,
      ...changes,
    ]);
    const [epoch, version, now, own] = answer as [string, number, string, number];
    return { epoch, version, now: Number(now), own };
  }

  #run(script: Script, room: string, args: Arg[]): Promise<unknown> {
    const keys = this.#keysOf(room);
    return this.#mend(keys, () => this.#evaluate(script, keys, [this.parts.newEpoch(), KEEP_MS, ...args]));
  }

  #mend<T>(keys: readonly string[], command: () => Promise<T>): Promise<T> {
    return this.parts.foreign.mend(keys, command).catch((error: unknown) => {
      throw unavailable(error);
    });
  }

  async #evaluate(script: Script, keys: readonly string[], args: readonly Arg[]): Promise<unknown> {
    const redis = this.parts.connection();
    if (redis.status !== 'ready') throw new PresenceUnavailableError('there is no connection to Redis');
    if (!isCluster(redis)) this.#corks.cork(redis.stream);
    return evaluate(redis, script, keys, args);
  }

  #keysOf(room: string): string[] {
    return KEYS.map((key) => `${this.parts.prefix}:{${room}}:${key}`);
  }
}

const unavailable = (error: unknown): Error =>
  error instanceof PresenceUnavailableError ? error : new PresenceUnavailableError(redisReason(error), error);

function usersIn(flat: readonly string[]): Map<string, StoredUser> {
  const users = new Map<string, StoredUser>();
  for (let at = 0; at < flat.length; at += 2) {
    const [, count, data] = /^(\d+) \d+ (.*)$/s.exec(flat[at + 1] as string) as unknown as [string, string, string];
    users.set(JSON.parse(flat[at] as string) as string, { connections: Number(count), data });
  }
  return users;
}

/** The user and `EVENT_END` follow. As the bus writes an event. */
const eventBeginning = (event: string, room: string): string =>
  `[${JSON.stringify(event)},{"roomName":${JSON.stringify(room)},"userId":`;
const EVENT_END = '}]';

/** JSON, so that it stands as it is in announcements; without spaces, which end it in the values of Redis. */
const nameOf = (userId: string): string => JSON.stringify(userId).replaceAll(' ', String.raw`\u0020`);
