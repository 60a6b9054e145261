import type { WebSocketOptions } from '../../lib/index.js';
import type { NodeSettings } from '../support/cluster-node-main.js';
import { freePort, startRedisCluster, TestRedis } from '../support/redis.js';
import { MASTER, Sentinel } from '../support/sentinel.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const NODES = 3;
export const PREFIX = 'faults';
export const ROOM = 'red';

/** What three nodes stand on. */
export interface Ground {
  /** How each of the nodes is started. */
  nodes: { options: WebSocketOptions; more?: Omit<NodeSettings, 'options'> }[];
  /** The first is the one that something happens to. */
  servers: TestRedis[];
  sentinels?: Sentinel[];
  /** One of each node, or of each server. */
  proxies: TcpProxy[];
  stop(): Promise<void>;
}

/** One Redis, and a proxy of its own for each node. */
export async function oneRedis(): Promise<Ground> {
  const redis = await TestRedis.start();
  const proxies = await Promise.all(Array.from({ length: NODES }, () => TcpProxy.start(redis.port)));
  return {
    nodes: proxies.map(({ url }) => ({ options: { redis: url } })),
    servers: [redis],
    proxies,
    stop: async () => {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await redis.stop();
    },
  };
}

/** A master with a replica, and Sentinels that call a master dead after a second. The nodes ask the first of them first. */
export async function bySentinel(count = 1): Promise<Ground> {
  const master = await TestRedis.start();
  const replica = await TestRedis.start(['--replicaof', '127.0.0.1', String(master.port)]);
  const sentinels: Sentinel[] = [];
  for (let n = 0; n < count; n++) sentinels.push(new Sentinel(await freePort()));
  for (const sentinel of sentinels) sentinel.start(master.port);
  for (const sentinel of sentinels) {
    await until(async () => String(await sentinel.ask('replicas', MASTER)).includes(String(replica.port)), 15_000);
    await until(async () => ((await sentinel.ask('sentinels', MASTER)) as unknown[]).length === count - 1, 15_000);
  }
  const redis = { sentinels: sentinels.map(({ port }) => ({ host: '127.0.0.1', port })), name: MASTER };
  return {
    nodes: Array.from({ length: NODES }, () => ({ options: { redis } })),
    servers: [master, replica],
    sentinels,
    proxies: [],
    stop: async () => {
      await Promise.all(sentinels.map((sentinel) => sentinel.stop()));
      await Promise.all([replica.stop(), master.stop()]);
    },
  };
}

/** Three masters, each behind a proxy, or each with a replica. The first serves the room. */
export async function redisCluster(how: { isProxied?: boolean; hasReplicas?: boolean }): Promise<Ground> {
  const { nodes, proxies, stop } = await startRedisCluster(how);
  const slot = Number(await nodes[0]?.run('CLUSTER', 'KEYSLOT', `${PREFIX}:$room:${ROOM}`));
  const first = slot < 5_461 ? 0 : slot < 10_923 ? 1 : 2;
  const clusterPorts = (how.isProxied ? proxies : nodes).map(({ port }) => port);
  return {
    nodes: Array.from({ length: NODES }, () => ({ options: {}, more: { clusterPorts } })),
    servers: [...nodes.slice(first), ...nodes.slice(0, first)],
    proxies: [...proxies.slice(first), ...proxies.slice(0, first)],
    stop,
  };
}
