import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { Clock } from '../clock.js';
import { ConnectionError, InvalidOptionsError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { RedisInstanceLike, RedisSource } from './redis-source.js';
import { type Timer, withinMs } from '../deadline.js';
import type { Ids } from './ids.js';

export type RedisConnection = Redis | Cluster;

/** For the pauses between attempts to connect. */
type Chance = Pick<Ids, 'random'>;

/** A connection that answers no ping for this long is closed, in ms. */
const DEAD_AFTER_MS = 7_000;
const PING_EVERY_MS = 5_000;
/** How long after an unexpected end the next attempt to connect comes, in ms. */
const CONNECT_AGAIN_MS = 200;
/** How long `QUIT` may take, in ms. */
const QUIT_MS = 500;
/** A command without an answer fails after this time, in ms. */
const COMMAND_TIMEOUT_MS = 5_000;
/** A Sentinel that doesn't answer within this time is passed over, in ms. ioredis would wait for ever. */
const SENTINEL_TIMEOUT_MS = 2_000;

/**
 * No command is queued or repeated. While the connection is down, it fails at once: after a reconnect, what it says may
 * be wrong.
 */
const FAIL_FAST = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  stringNumbers: false, // the registry needs numbers
  maxRetriesPerRequest: 0, // a command that was under way when the connection closed fails at once
  lazyConnect: true,
  commandTimeout: COMMAND_TIMEOUT_MS,
  sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
  socketTimeout: DEAD_AFTER_MS,
  connectTimeout: 3_000,
  disconnectTimeout: 500,
} satisfies RedisOptions;

/** After how many ms ioredis tries again. */
const retryAfterMs = (attempt: number, ids: Chance): number =>
  ids.random() * Math.min(1_000, 50 * 2 ** Math.min(attempt, 6));

/** Opens a connection of our own to a single Redis. `role` shows in `CLIENT LIST`. */
export async function openRedis(source: RedisSource, role: string, ids: Chance): Promise<Redis> {
  const options = optionsOf(role, ids);
  if (isConnection(source)) {
    const connection = source as Redis;
    return connection.duplicate({ ...options, failoverDetector: hasSentinels(connection.options.sentinels) });
  }
  const { Redis } = await loadIoredis();
  if (typeof source === 'string') return new Redis(source, options);
  return new Redis({ failoverDetector: hasSentinels(source.sentinels), ...source, ...options });
}

/** Opens a connection of our own to a Redis Cluster. */
export function openCluster(source: RedisInstanceLike, role: string, ids: Chance): Cluster {
  const cluster = source as Cluster;
  const redisOptions = { ...cluster.options.redisOptions, ...optionsOf(role, ids) };
  return cluster.duplicate([], { redisOptions, ...CLUSTER, clusterRetryStrategy: redisOptions.retryStrategy });
}

/** Opens a subscriber connection to a master of a Redis Cluster. */
export const openShard = (master: Redis, role: string, ids: Chance): Redis =>
  master.duplicate({ ...optionsOf(role, ids), readOnly: false });

/** Opens a connection to a single Redis or to a Redis Cluster. */
export const openConnection = async (source: RedisSource, role: string, ids: Chance): Promise<RedisConnection> =>
  isClusterSource(source) ? openCluster(source, role, ids) : openRedis(source, role, ids);

const optionsOf = (role: string, ids: Chance) =>
  ({
    ...FAIL_FAST,
    connectionName: `pxl-${role}`,
    retryStrategy: (attempt: number) => retryAfterMs(attempt, ids),
  }) satisfies RedisOptions;

const hasSentinels = (sentinels: unknown): boolean => Array.isArray(sentinels) && sentinels.length > 0;

const CLUSTER = {
  enableOfflineQueue: false,
  lazyConnect: true,
  shardedSubscribers: false, // each master has a connection of ours
  slotsRefreshInterval: 5_000,
};

/** The number of the database. A Redis Cluster has only one. */
export const databaseOf = (connection: RedisConnection): number =>
  isCluster(connection) ? 0 : (connection.options?.db ?? 0);

export const isCluster = (connection: RedisConnection): connection is Cluster => connection.isCluster;

export const isClusterSource = (source: RedisSource): source is RedisInstanceLike =>
  isConnection(source) && source.isCluster;

function isConnection(source: RedisSource): source is RedisInstanceLike {
  return typeof source === 'object' && typeof source['duplicate'] === 'function';
}

/** Connections that were closed for good. */
const givenUp = new WeakSet<RedisConnection>();

/** Connects, unless the connection was closed for good meanwhile. */
function connect(connection: RedisConnection, failed: (error: Error) => void): void {
  if (!givenUp.has(connection)) connection.connect().catch(failed);
}

/** Connects, and connects again until the connection is closed for good. No error of its listeners ends the process. */
export function keepConnected(
  connection: RedisConnection,
  clock: Clock,
  { opened, closed, failed }: { opened(): void; closed(): void; failed(error: Error, place?: string): void },
): void {
  const listen = (event: string, place: string, work: (...args: never[]) => unknown): void =>
    void (connection as { on(event: string, listener: (...args: never[]) => void): unknown }).on(
      event,
      guarded(place, failed, work),
    );
  listen('error', 'an error of Redis', (error: Error) => failed(error));
  listen('ready', 'connecting to Redis', opened);
  // ioredis gives up when a Sentinel announces a failover while ioredis looks for the master.
  listen('end', 'connecting to Redis', () => {
    if (!givenUp.has(connection)) clock.after(CONNECT_AGAIN_MS, () => connect(connection, failed));
  });
  listen('close', 'losing Redis', () => {
    closed();
    failed(new ConnectionError('The connection to Redis was closed.')); // Redis may close a connection without an error
  });
  connect(connection, failed);
}

/** A frozen Redis never answers `QUIT`, and a connection that was refused can't send it. It is closed anyway. */
export async function closeQuietly(connection: RedisConnection, clock: Timer): Promise<void> {
  givenUp.add(connection);
  if (connection.status === 'ready') await withinMs(clock, QUIT_MS, connection.quit());
  connection.disconnect();
}

/** Sends pings, so that a dead connection shows by its silence. @returns stops the pings */
export function keepTalking(connection: RedisConnection, clock: Clock): () => void {
  const speak = guarded('talking to Redis', itsSilenceCounts, () =>
    connection.status === 'ready' ? connection.ping() : undefined,
  );
  return clock.every(PING_EVERY_MS, speak);
}

const itsSilenceCounts = (): void => undefined;

async function loadIoredis(): Promise<{ Redis: typeof Redis }> {
  try {
    return await import('ioredis');
  } catch {
    throw new InvalidOptionsError(['"redis" is given, but the package ioredis is missing: run "npm install ioredis"']);
  }
}
