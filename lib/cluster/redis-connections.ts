import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { Clock } from '../clock.js';
import { InvalidOptionsError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { RedisSource } from './redis-source.js';

export type RedisConnection = Redis | Cluster;

/** A connection that says nothing for this long, while it is pinged, is given up. */
const DEAD_AFTER_MS = 7_000;
const PING_EVERY_MS = 5_000;
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
  maxRetriesPerRequest: 1,
  lazyConnect: true,
  commandTimeout: COMMAND_TIMEOUT_MS,
  socketTimeout: DEAD_AFTER_MS,
  connectTimeout: 3_000,
  disconnectTimeout: 500,
  retryStrategy: (attempt: number) => Math.random() * Math.min(1_000, 50 * 2 ** Math.min(attempt, 6)),
} satisfies RedisOptions;

/** One connection of this module's own. `role` shows in Redis's CLIENT LIST. */
export async function openConnection(source: RedisSource, role: string): Promise<RedisConnection> {
  const options = { ...FAIL_FAST, connectionName: `pxl-${role}` };
  if (isConnection(source)) {
    return isCluster(source)
      ? source.duplicate([], { redisOptions: { ...source.options.redisOptions, ...options }, ...CLUSTER })
      : source.duplicate(options);
  }
  const { Redis } = await loadIoredis();
  return typeof source === 'string' ? new Redis(source, options) : new Redis({ ...source, ...options });
}

const CLUSTER = {
  enableOfflineQueue: false,
  lazyConnect: true,
  shardedSubscribers: true,
  clusterRetryStrategy: FAIL_FAST.retryStrategy,
};

/** The number of the database; a Redis Cluster has only one. */
export const databaseOf = (connection: RedisConnection): number =>
  isCluster(connection) ? 0 : (connection.options?.db ?? 0);

export const isCluster = (connection: RedisConnection): connection is Cluster => connection.isCluster;

function isConnection(source: RedisSource): source is RedisSource & RedisConnection {
  return typeof source === 'object' && typeof source.duplicate === 'function';
}

/**
 * Resolves when every master of a Redis Cluster is connected: what is for one that is just connecting, ioredis sends to
 * another, which sends it back, and it comes out of order.
 */
export async function reachAll(connection: RedisConnection): Promise<void> {
  if (isCluster(connection)) await Promise.allSettled(connection.nodes('master').map((node) => node.ping()));
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
