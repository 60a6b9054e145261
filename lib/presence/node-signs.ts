import type { ForeignKeys } from '../cluster/foreign-keys.js';
import type { RedisConnection } from '../cluster/redis-connections.js';
import { evaluate, scriptOf } from '../cluster/redis-script.js';

export const BEAT_MS = 2_000;
/** A node that gave no sign for this long is dead. */
const LEASE_MS = 6_000;
/** Longer between two signs of this node: perhaps Redis stood still, and others couldn't give theirs. With a beat, it is less than a lease. */
const STEADY_MS = 3_500;
/** Another node may try to clear up after a dead one when the first took longer. */
const CLAIM_MS = 1_500;
const KEEP_MS = 3_600_000;
/** Rooms in one command. */
const SAID_AT_ONCE = 5_000;
/** The last sign of a node that signs off. It is so old that the node counts as dead at once. */
const SIGNED_OFF = 1;

/**
 * A node's sign of life. Names the nodes that gave none for a while, each to one node at a time.
 *
 * KEYS[1] node → its last sign · KEYS[2] the rooms of this node · KEYS[3] dead node → when somebody began to clear up
 * ARGV[1] node · [2] ms after which a node is dead · [3] ms that one node has for clearing up · [4] ms after which all of it
 * is forgotten · [5] ms between two signs, at most · [6] when its last one was answered · [7] since when none is missing
 * @returns rooms that are known of this node, the time, then the dead nodes
 */
const SIGN_OF_LIFE = scriptOf(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
for n = 1, 3 do redis.call('PEXPIRE', KEYS[n], ARGV[4]) end
local answer = { redis.call('SCARD', KEYS[2]), string.format('%.0f', now) }
-- A node that couldn't give its own sign can't know whether others could. Its signs count when they were answered,
-- because those that waited arrive all at once.
local isSteady = now - ARGV[6] <= tonumber(ARGV[5]) and now - ARGV[7] >= tonumber(ARGV[2])
local last = isSteady and string.format('(%.0f', now - ARGV[2]) or ${SIGNED_OFF}
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', last)
for _, node in ipairs(dead) do
  local since = redis.call('HGET', KEYS[3], node)
  if not since or now - since >= tonumber(ARGV[3]) then
    redis.call('HSET', KEYS[3], node, string.format('%.0f', now))
    answer[#answer + 1] = node
  end
end
return answer
`);

/** KEYS[1] the rooms of a node · ARGV[1] ms after which they are forgotten · then the rooms to add */
const ADD_ROOMS = scriptOf(`
redis.call('SADD', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
`);

/** Says in Redis which nodes live and in which rooms each has members, so that others can clear up after it. */
export class NodeSigns {
  /** The rooms that Redis knows of this node. */
  readonly #rooms = new Set<string>();
  /** By the clock of Redis: when it answered the last sign, and since when it has answered all. */
  #answeredAt = 0;
  #steadySince = 0;

  constructor(
    private readonly connection: () => RedisConnection,
    private readonly foreign: ForeignKeys,
    private readonly prefix: string,
    private readonly nodeId: string,
  ) {}

  /** Before the first member of a room. */
  async add(room: string): Promise<void> {
    this.#rooms.add(room);
    await this.#add(this.nodeId, [room]);
  }

  async remove(room: string): Promise<void> {
    this.#rooms.delete(room);
    const key = this.#roomsOf(this.nodeId);
    await this.foreign.mend([key], () => this.connection().srem(key, room));
  }

  /** @returns dead nodes to clear up after */
  async beat(): Promise<string[]> {
    const keys = [this.#key('nodes'), this.#roomsOf(this.nodeId), this.#key('claims')];
    const args = [this.nodeId, LEASE_MS, CLAIM_MS, KEEP_MS, STEADY_MS, this.#answeredAt, this.#steadySince];
    const answer = await this.foreign.mend(keys, () => evaluate(this.connection(), SIGN_OF_LIFE, keys, args));
    const [known, now, ...dead] = answer as [number, string, ...string[]];
    this.#answered(Number(now));
    if (known !== this.#rooms.size) {
      const rooms = [...this.#rooms];
      await this.connection().del(this.#roomsOf(this.nodeId));
      for (let at = 0; at < rooms.length; at += SAID_AT_ONCE)
        await this.#add(this.nodeId, rooms.slice(at, at + SAID_AT_ONCE));
    }
    return dead;
  }

  roomsOf(nodeId: string): Promise<string[]> {
    const key = this.#roomsOf(nodeId);
    return this.foreign.mend([key], () => this.connection().smembers(key));
  }

  async unknownOf(nodeIds: readonly string[]): Promise<string[]> {
    if (nodeIds.length === 0) return [];
    const key = this.#key('nodes');
    const signs = await this.foreign.mend([key], () => this.connection().zmscore(key, ...nodeIds));
    return nodeIds.filter((_, at) => signs[at] === null);
  }

  /** A node that nobody knows has connections in the room. It gets the time of a lease to give a sign. */
  async suspect(nodeId: string, room: string): Promise<void> {
    await this.#add(nodeId, [room]);
    const key = this.#key('nodes');
    const [seconds] = await this.connection().time();
    await this.foreign.mend([key], () => this.connection().zadd(key, 'NX', Number(seconds) * 1_000, nodeId));
  }

  /** Nothing is left of a dead node. */
  async forget(nodeId: string): Promise<void> {
    const [nodes, claims] = [this.#key('nodes'), this.#key('claims')];
    await this.foreign.mend([nodes], () => this.connection().zrem(nodes, nodeId));
    await this.foreign.mend([claims], () => this.connection().hdel(claims, nodeId));
    await this.connection().del(this.#roomsOf(nodeId));
  }

  /** This node stops: others take over at once. */
  async signOff(): Promise<void> {
    if (this.#rooms.size === 0) return this.forget(this.nodeId);
    const key = this.#key('nodes');
    await this.foreign.mend([key], () => this.connection().zadd(key, SIGNED_OFF, this.nodeId));
    await this.connection().pexpire(key, KEEP_MS);
  }

  #answered(now: number): void {
    const passedMs = now - this.#answeredAt;
    if (passedMs > STEADY_MS || passedMs < 0) this.#steadySince = now;
    this.#answeredAt = now;
  }

  async #add(nodeId: string, rooms: readonly string[]): Promise<void> {
    const keys = [this.#roomsOf(nodeId)];
    await this.foreign.mend(keys, () => evaluate(this.connection(), ADD_ROOMS, keys, [KEEP_MS, ...rooms]));
  }

  #roomsOf(nodeId: string): string {
    return this.#key(`rooms:${nodeId}`);
  }

  /** All in one slot. No room has a name with braces. */
  #key(name: string): string {
    return `${this.prefix}:{$presence}:${name}`;
  }
}
