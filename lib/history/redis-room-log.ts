import { createHash, randomUUID } from 'node:crypto';
import { isCluster, type RedisConnection } from '../cluster/redis-connections.js';
import { Deadline, TIMED_OUT, withinMs } from '../deadline.js';
import { Corks } from '../cluster/redis-outlet.js';
import { errorOf } from '../protocol/thrown.js';
import { EntryTooLargeError, KeyReusedError, LogUnavailableError, UnknownOutcomeError } from './log-errors.js';
import {
  type Appended,
  type AppendOptions,
  digestOf,
  type LogEntry,
  type LogRead,
  type ReadOptions,
  type Retention,
  type RoomLog,
} from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import { APPEND, CLEAR, READ, TOP } from './scripts.js';

export interface RedisRoomLogParts {
  connection: () => RedisConnection;
  /** The beginning of all keys. */
  prefix: string;
  /** The channel of a room's announcements, in the slot of the room's keys. */
  channelOf(room: string): string;
  /** @throws for a room without history */
  retentionOf(room: string): Retention;
  /** True: a new epoch begins if this Redis may have lost messages. False: its data counts as complete. */
  isFenced(room: string): boolean;
  newEpoch(): string;
  /** The connection is the application's own, and may wait for ever: calls have a time limit. @default false */
  isForeign?: boolean;
}

/** ioredis may send a command again when its connection broke. Without a key, the message would be stored twice. */
const ONCE_MS = 60_000;
/** The time limits with a connection of the application. */
const READY_MS = 1_000;
const ANSWER_MS = 5_000;
const KEY_PREFIX = 'k:';
/** Errors that Redis sends before a script has written anything. */
const REFUSED =
  /^(OOM|READONLY|MISCONF|LOADING|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|NOPERM|NOAUTH|WRONGPASS|NOSCRIPT|BUSY)\b/;

type Arg = string | number;

/**
 * The log in Redis. All keys of a room and its channel share a hash tag, so that one script can use them on a Redis
 * Cluster, too. Scripts are called by their digest, and sent in full if this Redis doesn't know them
 * (https://redis.io/docs/latest/commands/evalsha).
 */
export class RedisRoomLog implements RoomLog {
  readonly #corks = new Corks();

  constructor(private readonly parts: RedisRoomLogParts) {}

  async append(room: string, frame: string, { key, version, session }: AppendOptions = {}): Promise<Appended> {
    const { retentionOf, connection } = this.parts;
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
    const [what, epoch, offset] = (await this.#run(APPEND, room, args, keyed)) as [string, string, number];
    if (what === 'reused') throw new KeyReusedError(key as string);
    return { epoch, offset, isDuplicate: what === 'older' || (what === 'known' && key !== undefined) };
  }

  async read(room: string, { since, before, limit, maxBytes, reverse = false }: ReadOptions): Promise<LogRead> {
    const args = [since ?? '', before ?? '', limit, maxBytes, reverse ? 1 : 0];
    const answer = (await this.#run(READ, room, args, undefined, true)) as unknown[];
    const [epoch, top, first, isComplete, now, ...flat] = answer as [
      string,
      number,
      number,
      number,
      string,
      ...unknown[],
    ];
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
        const [epoch, offset] = (await this.#run(TOP, room, [], undefined, true)) as [string, number];
        return { epoch, offset };
      }),
    );
  }

  async clear(room: string): Promise<RoomPosition> {
    const how = isCluster(this.parts.connection()) ? 'SPUBLISH' : 'PUBLISH';
    const [epoch, offset] = (await this.#run(CLEAR, room, [this.parts.channelOf(room), how])) as [string, number];
    return { epoch, offset };
  }

  /** @param isSafe running it twice does no harm, so a missing answer leaves no doubt */
  async #run(script: string, room: string, args: Arg[], key?: string, isSafe = false): Promise<unknown> {
    const { connection, prefix, retentionOf, isFenced, newEpoch } = this.parts;
    const { mode, size, ttlMs, maxBytes, metaTtlMs } = retentionOf(room);
    const head = `${prefix}:{${room}}:`;
    const keys = [`${head}m`, `${head}h`, ...(key === undefined ? [] : [`${head}${key}`])];
    const common = [isFenced(room) ? 1 : 0, newEpoch(), metaTtlMs, mode, size, ttlMs, maxBytes];
    const redis = connection();
    if (this.parts.isForeign) await becomeReady(redis);
    if (redis.status !== 'ready') throw new LogUnavailableError(`Redis is ${redis.status}`);
    if (!isCluster(redis)) this.#corks.cork(redis.stream); // half of the cost of a script is the write for it
    try {
      const answer = evaluate(redis, script, keys, [...common, ...args]);
      return await (this.parts.isForeign ? inTime(answer) : answer);
    } catch (error) {
      const { message } = errorOf(error);
      throw isSafe || REFUSED.test(message) || message.startsWith("Stream isn't writeable")
        ? new LogUnavailableError(message)
        : new UnknownOutcomeError(message);
    }
  }
}

/** An application may publish before its new connection is open. */
async function becomeReady(redis: RedisConnection): Promise<void> {
  if (redis.status === 'ready') return;
  if (redis.status === 'wait') redis.connect().catch(() => undefined);
  let ready: (() => void) | undefined;
  await withinMs(READY_MS, new Promise<void>((resolve) => redis.once('ready', (ready = resolve))));
  if (ready) redis.off('ready', ready);
}

async function inTime<T>(answer: Promise<T>): Promise<T> {
  const deadline = new Deadline(ANSWER_MS);
  const outcome = await deadline.race(answer).finally(() => deadline.cancel());
  if (outcome === TIMED_OUT) throw new Error(`Redis didn't answer within ${ANSWER_MS} ms`);
  return outcome;
}

const digests = new Map<string, string>();

async function evaluate(redis: RedisConnection, script: string, keys: string[], args: Arg[]): Promise<unknown> {
  let digest = digests.get(script);
  if (!digest) digests.set(script, (digest = createHash('sha1').update(script).digest('hex')));
  try {
    return await redis.evalsha(digest, keys.length, ...keys, ...args);
  } catch (error) {
    if (!errorOf(error).message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(script, keys.length, ...keys, ...args);
  }
}
