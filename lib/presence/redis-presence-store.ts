import { Corks } from '../cluster/redis-outlet.js';
import { isCluster, type RedisConnection } from '../cluster/redis-connections.js';
import { type Arg, evaluate, type Script } from '../history/evaluate.js';
import type { RoomPosition } from '../protocol/message.js';
import { errorOf } from '../protocol/thrown.js';
import { PresenceUnavailableError } from './presence-errors.js';
import { CHANGE_PRESENCE, PRESENCE_TOP, READ_PRESENCE } from './presence-scripts.js';
import {
  type PresenceApplied,
  type PresenceBatch,
  type PresenceSnapshot,
  type PresenceStore,
  QUIET_MS,
  type StoredUser,
} from './presence-store.js';

export interface RedisPresenceStoreParts {
  connection: () => RedisConnection;
  /** The beginning of all keys. */
  prefix: string;
  /** The channel of a room's announcements, in the slot of the room's keys. */
  channelOf(room: string): string;
  newEpoch(): string;
}

/** How long a room is remembered without a node that has members in it. */
const KEEP_MS = 600_000;
const KEYS = ['pm', 'pc', 'pu', 'pn'];

/** Presence in Redis. All keys of a room and its channel share a hash tag, as those of its log do. */
export class RedisPresenceStore implements PresenceStore {
  readonly #corks = new Corks();

  constructor(private readonly parts: RedisPresenceStoreParts) {}

  apply(room: string, { nodeId, number, epoch, isWhole, changes }: PresenceBatch): Promise<PresenceApplied> {
    const args: Arg[] = [nodeId, number, epoch ?? '', isWhole ? 'whole' : '', QUIET_MS];
    for (const { kind, clientId, userId, data, dataAt, awayMs } of changes)
      args.push(kind, clientId, nameOf(userId), data ?? '', dataAt, Math.ceil(awayMs));
    return this.#change(room, args);
  }

  bury(room: string, nodeId: string): Promise<PresenceApplied> {
    return this.#change(room, [nodeId, 0, '', 'bury', QUIET_MS]);
  }

  async read(room: string): Promise<PresenceSnapshot> {
    const [epoch, version, now, ...flat] = (await this.#run(READ_PRESENCE, room, [])) as [
      string,
      number,
      string,
      ...string[],
    ];
    const users = new Map<string, StoredUser>();
    for (let at = 0; at < flat.length; at += 2) {
      const [, count, data] = /^(\d+) \d+ (.*)$/s.exec(flat[at + 1] as string) as unknown as [string, string, string];
      users.set(JSON.parse(flat[at] as string) as string, { connections: Number(count), data });
    }
    return { epoch, version, now: Number(now), users };
  }

  async top(room: string): Promise<RoomPosition> {
    const [epoch, offset] = (await this.#run(PRESENCE_TOP, room, [])) as [string, number];
    return { epoch, offset };
  }

  async #change(room: string, args: Arg[]): Promise<PresenceApplied> {
    const how = isCluster(this.parts.connection()) ? 'SPUBLISH' : 'PUBLISH';
    const answer = await this.#run(CHANGE_PRESENCE, room, [this.parts.channelOf(room), how, ...args]);
    const [epoch, version, now, own, joined, left, nodeIds] = answer as [
      string,
      number,
      string,
      number,
      string[],
      string[],
      string[],
    ];
    return { epoch, version, now: Number(now), own, joined: joined.map(userOf), left: left.map(userOf), nodeIds };
  }

  async #run(script: Script, room: string, args: Arg[]): Promise<unknown> {
    const { connection, prefix, newEpoch } = this.parts;
    const redis = connection();
    if (redis.status !== 'ready') throw new PresenceUnavailableError(`Redis is ${redis.status}`);
    if (!isCluster(redis)) this.#corks.cork(redis.stream);
    const keys = KEYS.map((key) => `${prefix}:{${room}}:${key}`);
    try {
      return await evaluate(redis, script, keys, [newEpoch(), KEEP_MS, ...args]);
    } catch (error) {
      throw new PresenceUnavailableError(errorOf(error).message);
    }
  }
}

/** JSON, so that it stands as it is in announcements; without spaces, which end it in the values of Redis. */
const nameOf = (userId: string): string => JSON.stringify(userId).replaceAll(' ', String.raw`\u0020`);

const userOf = (name: string): string => JSON.parse(name) as string;
