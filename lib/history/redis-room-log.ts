import { digestOf } from '../digest.js';
import { isCluster, type RedisConnection } from '../cluster/redis-connections.js';
import { redisReason } from '../cluster/redis-reason.js';
import { Corks } from '../cluster/redis-outlet.js';
import type { Timer } from '../deadline.js';
import { errorOf } from '../protocol/thrown.js';
import { type Append, type AppendAnswer, AppendBatches, readAnswers } from './append-batches.js';
import { type Arg, evaluate, type Script } from '../cluster/redis-script.js';
import { answered, becomeReady, evaluateReplicated } from './evaluate.js';
import { EntryTooLargeError, KeyReusedError, LogUnavailableError, UnknownOutcomeError } from './log-errors.js';
import {
  bytesOf,
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
import { type Scripts, scriptsOf } from './scripts.js';

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
  /** Another program had written these keys of a room, so its history begins anew. */
  overwritten?: (keys: readonly string[]) => void;
  /** Another connection for appending to a room that waits for a replica. Undefined for a room that doesn't. */
  replicating?: (room: string) => RedisConnection | undefined;
  /** Another epoch when this Redis can't vouch for the log. False: what Redis has is taken for whole. */
  isFenced(room: string): boolean;
  /** Makes a unique id: for an epoch, and for an append without a key. */
  newId(): string;
  clock: Timer;
  /** The connection is the application's own, and may wait for ever: calls have a time limit. @default false */
  isForeign?: boolean;
}

/** How a script is run. */
interface Manner {
  /** Running it twice does no harm, so an answer that never came is no doubt. */
  isSafe: boolean;
  replicating?: RedisConnection | undefined;
  /** What to do when nobody knows whether it was done. @default publish again */
  advice?: string;
}

const KEY_PREFIX = 'k:';
/** Errors that Redis sends before a script has written anything. Inside of one, a permission may be missing after a write. */
const REFUSED =
  /^(?!NOPERM ACL failure in script)(OOM|READONLY|MISCONF|LOADING|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|NOPERM|NOAUTH|WRONGPASS|NOSCRIPT|BUSY|MOVED|ASK|TRYAGAIN)\b/;

/**
 * The log in Redis. All keys of a room and its channel share a hash tag, so that one script can use them on a Redis
 * Cluster, too. Scripts are called by their digest, and sent in full if this Redis doesn't know them
 * (https://redis.io/docs/latest/commands/evalsha).
 */
export class RedisRoomLog implements RoomLog {
  readonly #corks = new Corks();
  readonly #scripts = new WeakMap<Retention, Scripts>();
  /** Some room with that rule. */
  readonly #roomOf = new WeakMap<Retention, string>();
  readonly #batches = new AppendBatches<string>((room, batch) => this.#append(room, batch));

  constructor(private readonly parts: RedisRoomLogParts) {}

  async append(room: string, frame: string, { key, version, session }: AppendOptions = {}): Promise<Appended> {
    const { retentionOf, connection, channelOf, isForeign } = this.parts;
    const retention = retentionOf(room);
    const bytes = bytesOf(frame, session);
    if (bytes > retention.maxBytes) throw new EntryTooLargeError(bytes, retention.maxBytes);
    const inCluster = isCluster(connection());
    const [facts, entries] = this.#keysOf(room);
    let [keyed, more] = [facts, ''];
    if (key !== undefined) keyed = `${this.#headOf(room)}${KEY_PREFIX}${key}`;
    // ioredis may send a command again when its connection broke, and the message would be stored twice.
    else if (inCluster || isForeign) keyed = `${this.#headOf(room)}once:${this.parts.newId()}`;
    if (key !== undefined || version !== undefined || session !== undefined)
      more = `${session ?? '-'} ${key === undefined ? '-' : digestOf(frame)} ${version ?? ''}`;
    const append: Append = { keys: [facts, entries, keyed], args: [frame, more, channelOf(room)], bytes };
    // All rooms with one rule can share a script, but on a Redis Cluster they lie in different slots.
    return this.#batches.add(
      inCluster ? room : this.#alike(room, retention),
      append,
      ({ what, epoch, offset, otherRule, foreign }) => {
        this.#watch(room, otherRule, foreign === '-' ? '' : foreign, keyed);
        if (what === 'reused') throw new KeyReusedError(key as string);
        return { epoch, offset, isDuplicate: what === 'older' || (what === 'known' && key !== undefined) };
      },
    );
  }

  async read(room: string, { since, before, limit, maxBytes, reverse = false }: ReadOptions): Promise<LogRead> {
    const args = [since ?? '', before ?? '', limit, maxBytes, reverse ? 1 : 0];
    const answer = (await this.#ask('read', room, args)) as unknown[];
    const [epoch, top, first, isComplete, now, other, foreign, ...flat] = answer as [
      string,
      number,
      number,
      number,
      string,
      string,
      string,
      ...unknown[],
    ];
    this.#watch(room, other, foreign);
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
        const [epoch, offset, other, foreign] = (await this.#ask('top', room, [])) as [string, number, string, string];
        this.#watch(room, other, foreign);
        return { epoch, offset };
      }),
    );
  }

  async clear(room: string): Promise<RoomPosition> {
    const how = { isSafe: false, advice: 'Clear the history again.' };
    const answer = await this.#ask('clear', room, [this.parts.channelOf(room)], how);
    const [epoch, offset, , foreign] = answer as [string, number, string, string];
    this.#watch(room, '', foreign);
    return { epoch, offset };
  }

  /** @param foreign which keys another program had written: letters @param keyed the key of a message's own key */
  #watch(room: string, other: string, foreign: string, keyed = ''): void {
    const { watch, ruleTextOf, overwritten } = this.parts;
    if (other && watch && ruleTextOf) watch.differs(room, ruleTextOf(room), other);
    if (foreign === '') return;
    const [facts, entries] = this.#keysOf(room);
    const names: Record<string, string> = { m: facts, h: entries, k: keyed };
    overwritten?.(foreign.split('').map((letter) => names[letter] as string));
  }

  #headOf(room: string): string {
    return `${this.parts.prefix}:{${room}}:`;
  }

  #keysOf(room: string): [facts: string, entries: string] {
    const head = this.#headOf(room);
    return [`${head}m`, `${head}h`];
  }

  #alike(room: string, retention: Retention): string {
    const known = this.#roomOf.get(retention);
    if (known === undefined) this.#roomOf.set(retention, room);
    return known ?? room;
  }

  #scriptsOf(room: string): Scripts {
    const { retentionOf, isFenced, ruleTextOf, connection } = this.parts;
    const retention = retentionOf(room);
    let scripts = this.#scripts.get(retention);
    if (scripts) return scripts;
    scripts = scriptsOf({
      ...retention,
      isFenced: isFenced(room),
      ruleText: ruleTextOf?.(room) ?? '',
      publish: isCluster(connection()) ? 'SPUBLISH' : 'PUBLISH',
    });
    this.#scripts.set(retention, scripts);
    return scripts;
  }

  /** @param room one of those that it is for: all have the same rule */
  async #append(room: string, batch: readonly Append[]): Promise<AppendAnswer[]> {
    const keys: string[] = [];
    const args: Arg[] = [this.parts.newId()];
    for (const append of batch) {
      keys.push(...append.keys);
      args.push(...append.args);
    }
    const replicating = this.parts.replicating?.(room);
    const answer = await this.#run(this.#scriptsOf(room).append, keys, args, { isSafe: false, replicating });
    return readAnswers(answer as string);
  }

  async #ask(
    name: 'read' | 'top' | 'clear',
    room: string,
    args: Arg[],
    how: Manner = { isSafe: true },
  ): Promise<unknown> {
    this.#batches.flush();
    const redis = this.parts.connection();
    if (!isCluster(redis)) this.#corks.cork(redis.stream); // half of the cost of a script is the write for it
    return this.#run(this.#scriptsOf(room)[name], this.#keysOf(room), [this.parts.newId(), ...args], how);
  }

  async #run(
    script: Script,
    keys: readonly string[],
    args: readonly Arg[],
    { isSafe, replicating, advice }: Manner,
  ): Promise<unknown> {
    const { connection, isForeign, clock } = this.parts;
    const redis = replicating ?? connection();
    if (isForeign) await becomeReady(redis, clock);
    if (redis.status !== 'ready') throw new LogUnavailableError('there is no connection to Redis');
    try {
      const evaluated = (replicating ? evaluateReplicated : evaluate)(redis, script, keys, args);
      return await (isForeign ? answered(evaluated, clock) : evaluated);
    } catch (error) {
      if (error instanceof UnknownOutcomeError) throw error;
      const { message } = errorOf(error);
      const reason = redisReason(error);
      throw isSafe || REFUSED.test(message) || message.startsWith("Stream isn't writeable")
        ? new LogUnavailableError(reason, error)
        : new UnknownOutcomeError(reason, advice, error);
    }
  }
}
