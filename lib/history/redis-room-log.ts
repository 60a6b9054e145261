import { randomUUID } from 'node:crypto';
import { digestOf } from '../digest.js';
import { isCluster, type RedisConnection } from '../cluster/redis-connections.js';
import { Corks } from '../cluster/redis-outlet.js';
import { errorOf } from '../protocol/thrown.js';
import { type Arg, becomeReady, evaluate, evaluateReplicated, inTime } from './evaluate.js';
import { EntryTooLargeError, KeyReusedError, LogUnavailableError, UnknownOutcomeError } from './log-errors.js';
import {
  type Appended,
  type AppendOptions,
  type LogEntry,
  type LogRead,
  type ReadOptions,
  type Retention,
  type RoomLog,
} from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import type { RuleWatch } from './rule-watch.js';
import { APPEND, CLEAR, READ, TOP } from './scripts.js';

export interface RedisRoomLogParts {
  connection: () => RedisConnection;
  /** The beginning of all keys. */
  prefix: string;
  /** The channel of a room's announcements, in the slot of the room's keys. */
  channelOf(room: string): string;
  /** @throws for a room without history */
  retentionOf(room: string): Retention;
  /** The rule of the room, for `RuleWatch`. Left out: nobody looks whether others have the same. */
  ruleTextOf?: (room: string) => string;
  watch?: RuleWatch;
  /** Another connection for appending to a room that waits for a replica. Undefined for a room that doesn't. */
  replicating?: (room: string) => RedisConnection | undefined;
  /** Another epoch when this Redis can't vouch for the log. False: what Redis has is taken for whole. */
  isFenced(room: string): boolean;
  newEpoch(): string;
  /** The connection is the application's own, and may wait for ever: calls have a time limit. @default false */
  isForeign?: boolean;
}

/** ioredis may send a command again when its connection broke. Without a key, the message would be stored twice. */
const ONCE_MS = 60_000;
const KEY_PREFIX = 'k:';
/** Errors that Redis sends before a script has written anything. */
const REFUSED =
  /^(OOM|READONLY|MISCONF|LOADING|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|NOPERM|NOAUTH|WRONGPASS|NOSCRIPT|BUSY|MOVED|ASK|TRYAGAIN)\b/;

interface Run {
  /** A key beside those of the log. */
  key?: string | undefined;
  /** Running it twice does no harm, so an answer that never came is no doubt. */
  isSafe?: boolean;
  /** The connection with which it is run, and a replica waited for. */
  replicating?: RedisConnection | undefined;
}

const SAFE: Run = { isSafe: true };

/**
 * The log in Redis. All keys of a room and its channel share a hash tag, so that one script can use them on a Redis
 * Cluster, too. Scripts are called by their digest, and sent in full if this Redis doesn't know them
 * (https://redis.io/docs/latest/commands/evalsha).
 */
export class RedisRoomLog implements RoomLog {
  readonly #corks = new Corks();

  constructor(private readonly parts: RedisRoomLogParts) {}

  async append(room: string, frame: string, { key, version, session }: AppendOptions = {}): Promise<Appended> {
    const { retentionOf, connection, replicating } = this.parts;
    const { keyTtlMs, maxBytes } = retentionOf(room);
    const bytes = Buffer.byteLength(frame);
    if (bytes > maxBytes) throw new EntryTooLargeError(bytes, maxBytes);
    const inCluster = isCluster(connection());
    const digest = key === undefined ? '-' : digestOf(frame);
    const kept = key === undefined ? undefined : `${KEY_PREFIX}${key}`;
    const keyed = kept ?? (inCluster || this.parts.isForeign ? `once:${randomUUID()}` : undefined);
    const args = [
      frame,
      session ?? '-',
      kept ? keyTtlMs : ONCE_MS,
      digest,
      version ?? '',
      this.parts.channelOf(room),
      inCluster ? 'SPUBLISH' : 'PUBLISH',
    ];
    const run = { key: keyed, replicating: replicating?.(room) };
    const answer = await this.#run(APPEND, room, args, run);
    const [what, epoch, offset, other] = answer as [string, string, number, string | undefined];
    this.#watch(room, other);
    if (what === 'reused') throw new KeyReusedError(key as string);
    return { epoch, offset, isDuplicate: what === 'older' || (what === 'known' && key !== undefined) };
  }

  async read(room: string, { since, before, limit, maxBytes, reverse = false }: ReadOptions): Promise<LogRead> {
    const args = [since ?? '', before ?? '', limit, maxBytes, reverse ? 1 : 0];
    const answer = (await this.#run(READ, room, args, SAFE)) as unknown[];
    const [epoch, top, first, isComplete, now, other, ...flat] = answer as [
      string,
      number,
      number,
      number,
      string,
      string,
      ...unknown[],
    ];
    this.#watch(room, other);
    const entries: LogEntry[] = [];
    for (let at = 0; at < flat.length; at += 4) {
      const [offset, storedAt, frame, session] = flat.slice(at, at + 4) as [number, string, string, string];
      entries.push({ offset, storedAt: Number(storedAt), frame, session: session === '-' ? undefined : session });
    }
    return { epoch, top, first, entries, isComplete: isComplete === 1, now: Number(now) };
  }

  async top(rooms: readonly string[]): Promise<RoomPosition[]> {
    return Promise.all(
      rooms.map(async (room) => {
        const [epoch, offset, other] = (await this.#run(TOP, room, [], SAFE)) as [string, number, string];
        this.#watch(room, other);
        return { epoch, offset };
      }),
    );
  }

  async clear(room: string): Promise<RoomPosition> {
    const how = isCluster(this.parts.connection()) ? 'SPUBLISH' : 'PUBLISH';
    const [epoch, offset] = (await this.#run(CLEAR, room, [this.parts.channelOf(room), how])) as [string, number];
    return { epoch, offset };
  }

  #watch(room: string, other: string | undefined): void {
    const { watch, ruleTextOf } = this.parts;
    if (other && watch && ruleTextOf) watch.differs(room, ruleTextOf(room), other);
  }

  async #run(script: string, room: string, args: Arg[], { key, isSafe, replicating }: Run = {}): Promise<unknown> {
    const { connection, prefix, retentionOf, isFenced, newEpoch, ruleTextOf } = this.parts;
    const { mode, size, ttlMs, maxBytes, metaTtlMs } = retentionOf(room);
    const head = `${prefix}:{${room}}:`;
    const keys = [`${head}m`, `${head}h`, ...(key === undefined ? [] : [`${head}${key}`])];
    const common = [
      isFenced(room) ? 1 : 0,
      newEpoch(),
      metaTtlMs,
      mode,
      size,
      ttlMs,
      maxBytes,
      ruleTextOf?.(room) ?? '',
    ];
    const redis = replicating ?? connection();
    if (this.parts.isForeign) await becomeReady(redis);
    if (redis.status !== 'ready') throw new LogUnavailableError(`Redis is ${redis.status}`);
    if (!isCluster(redis)) this.#corks.cork(redis.stream); // half of the cost of a script is the write for it
    try {
      const evaluated = (replicating ? evaluateReplicated : evaluate)(redis, script, keys, [...common, ...args]);
      return await (this.parts.isForeign ? inTime(evaluated) : evaluated);
    } catch (error) {
      const { message } = errorOf(error);
      throw isSafe || REFUSED.test(message) || message.startsWith("Stream isn't writeable")
        ? new LogUnavailableError(message)
        : new UnknownOutcomeError(message);
    }
  }
}
