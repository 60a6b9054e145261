import type { RedisConnection } from '../cluster/redis-connections.js';
import { evaluate } from '../history/evaluate.js';
import { SIGN_OF_LIFE } from './presence-scripts.js';

export const BEAT_MS = 2_000;
/** A node that gave no sign for this long is dead. */
const LEASE_MS = 6_000;
/** Another node may try to clear up after a dead one when the first took longer. */
const CLAIM_MS = 1_500;
const KEEP_MS = 3_600_000;
/** No time of day is so early: who signs off is dead at once. */
const SIGNED_OFF = 1;

/** Says in Redis which nodes live and in which rooms each has members, so that others can clear up after it. */
export class NodeSigns {
  /** The rooms that Redis knows of this node. */
  readonly #rooms = new Set<string>();

  constructor(
    private readonly connection: () => RedisConnection,
    private readonly prefix: string,
    private readonly nodeId: string,
  ) {}

  /** Before the first member of a room. */
  async add(room: string): Promise<void> {
    this.#rooms.add(room);
    await this.connection().sadd(this.#roomsOf(this.nodeId), room);
  }

  async remove(room: string): Promise<void> {
    this.#rooms.delete(room);
    await this.connection().srem(this.#roomsOf(this.nodeId), room);
  }

  /** @returns dead nodes to clear up after */
  async beat(): Promise<string[]> {
    const keys = [this.#key('nodes'), this.#roomsOf(this.nodeId), this.#key('claims')];
    const args = [this.nodeId, LEASE_MS, CLAIM_MS, KEEP_MS];
    const [known, ...dead] = (await evaluate(this.connection(), SIGN_OF_LIFE, keys, args)) as [number, ...string[]];
    if (known !== this.#rooms.size) {
      await this.connection().del(this.#roomsOf(this.nodeId));
      if (this.#rooms.size > 0) await this.connection().sadd(this.#roomsOf(this.nodeId), ...this.#rooms);
    }
    return dead;
  }

  roomsOf(nodeId: string): Promise<string[]> {
    return this.connection().smembers(this.#roomsOf(nodeId));
  }

  /** A node that nobody knows has connections in the room. It gets the time of a lease to give a sign. */
  async suspect(nodeId: string, room: string): Promise<void> {
    const redis = this.connection();
    if ((await redis.zscore(this.#key('nodes'), nodeId)) !== null) return;
    await redis.sadd(this.#roomsOf(nodeId), room);
    const [seconds] = await redis.time();
    await redis.zadd(this.#key('nodes'), 'NX', Number(seconds) * 1_000, nodeId);
  }

  /** Nothing is left of a dead node. */
  async forget(nodeId: string): Promise<void> {
    const redis = this.connection();
    await redis.zrem(this.#key('nodes'), nodeId);
    await redis.hdel(this.#key('claims'), nodeId);
    await redis.del(this.#roomsOf(nodeId));
  }

  /** This node stops: others take over at once. */
  async signOff(): Promise<void> {
    if (this.#rooms.size > 0) await this.connection().zadd(this.#key('nodes'), SIGNED_OFF, this.nodeId);
    else await this.forget(this.nodeId);
  }

  #roomsOf(nodeId: string): string {
    return this.#key(`rooms:${nodeId}`);
  }

  /** All in one slot. No room has a name with braces. */
  #key(name: string): string {
    return `${this.prefix}:{$presence}:${name}`;
  }
}
