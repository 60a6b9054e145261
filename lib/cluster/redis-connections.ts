import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { Clock } from '../clock.js';
import { ConnectionError, InvalidOptionsError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { RedisInstanceLike, RedisSource } from './redis-source.js';
import { withinMs } from '../deadline.js';

export type RedisConnection = Redis | Cluster;

/** A connection that says nothing for this long, while it is pinged, is given up. */
const DEAD_AFTER_MS = 7_000;
const PING_EVERY_MS = 5_000;
/** After a connection ended that should have gone on, in ms. */
const CONNECT_AGAIN_MS = 200;
/** How long a connection may take to say goodbye. */
const QUIT_MS = 500;
/** A command that isn't answered by then fails, and is counted. */
const COMMAND_TIMEOUT_MS = 5_000;

/**
 * Nothing waits in a queue: a command finds the connection up or fails at once, and none is repeated after a reconnect,
 * when what it says is no longer true.
 */
const FAIL_FAST = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  stringNumbers: false, // the registry counts on numbers
  maxRetriesPerRequest: 0, // what was under way when the connection closed fails at once
  lazyConnect: true,
  commandTimeout: COMMAND_TIMEOUT_MS,
  socketTimeout: DEAD_AFTER_MS,
  connectTimeout: 3_000,
  disconnectTimeout: 500,
  retryStrategy: (attempt: number) => Math.random() * Math.min(1_000, 50 * 2 ** Math.min(attempt, 6)),
} satisfies RedisOptions;

/** A connection of this module's own to one Redis. `role` shows in Redis's CLIENT LIST. */
export async function openRedis(source: RedisSource, role: string): Promise<Redis> {
  const options = { ...FAIL_FAST, connectionName: nameOf(role) };
  if (isConnection(source)) {
    const connection = source as Redis;
    return connection.duplicate({ ...options, failoverDetector: hasSentinels(connection.options.sentinels) });
  }
  const { Redis } = await loadIoredis();
  if (typeof source === 'string') return new Redis(source, options);
  return new Redis({ failoverDetector: hasSentinels(source.sentinels), ...source, ...options });
}

/** A connection of this module's own to a Redis Cluster. */
export function openCluster(source: RedisInstanceLike, role: string): Cluster {
  const cluster = source as Cluster;
  const redisOptions = { ...cluster.options.redisOptions, ...FAIL_FAST, connectionName: nameOf(role) };
  return cluster.duplicate([], { redisOptions, ...CLUSTER });
}

/** One that hears, to a master of a Redis Cluster. */
export const openShard = (master: Redis, role: string): Redis =>
  master.duplicate({ ...FAIL_FAST, readOnly: false, connectionName: nameOf(role) });

/** Whichever it is. */
export const openConnection = async (source: RedisSource, role: string): Promise<RedisConnection> =>
  isClusterSource(source) ? openCluster(source, role) : openRedis(source, role);

const nameOf = (role: string): string => `pxl-${role}`;

const hasSentinels = (sentinels: unknown): boolean => Array.isArray(sentinels) && sentinels.length > 0;

const CLUSTER = {
  enableOfflineQueue: false,
  lazyConnect: true,
  shardedSubscribers: false, // each master has a connection of ours
  slotsRefreshInterval: 5_000,
  clusterRetryStrategy: FAIL_FAST.retryStrategy,
};

/** The number of the database; a Redis Cluster has only one. */
export const databaseOf = (connection: RedisConnection): number =>
  isCluster(connection) ? 0 : (connection.options?.db ?? 0);

export const isCluster = (connection: RedisConnection): connection is Cluster => connection.isCluster;

export const isClusterSource = (source: RedisSource): source is RedisInstanceLike =>
  isConnection(source) && source.isCluster;

function isConnection(source: RedisSource): source is RedisInstanceLike {
  return typeof source === 'object' && typeof source['duplicate'] === 'function';
}

/** Those that were closed for good. */
const givenUp = new WeakSet<RedisConnection>();

/** Connects it, unless it was closed for good meanwhile. */
function connect(connection: RedisConnection, failed: (error: Error) => void): void {
  if (!givenUp.has(connection)) connection.connect().catch(failed);
}

/** Connects, for as long as it isn't closed. What it tells is looked at here, and nowhere does it end the process. */
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
  // ioredis gives up when a Sentinel tells of a failover while it looks for the master.
  listen('end', 'connecting to Redis', () => {
    if (!givenUp.has(connection)) clock.after(CONNECT_AGAIN_MS, () => connect(connection, failed));
  });
  listen('close', 'losing Redis', () => {
    closed();
    failed(new ConnectionError('The connection to Redis was closed.')); // when Redis hangs up, no error says so
  });
  connect(connection, failed);
}

/** A frozen Redis doesn't say goodbye; a refused one can't. It is closed all the same. */
export async function closeQuietly(connection: RedisConnection): Promise<void> {
  givenUp.add(connection);
  if (connection.status === 'ready') await withinMs(QUIT_MS, connection.quit());
  connection.disconnect();
}

/**
 * Says something now and then, so that a connection that died without a word is noticed by its silence. Stops with the
 * returned function.
 */
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
