import { Redis } from 'ioredis';
import { ClusterNode } from '../support/cluster-node.js';
import type { Peer } from '../support/peer.js';
import { TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { pause } from './scene.js';
import { PREFIX, ROOM } from './grounds.js';

const CLIENTS_EACH = 1_000;
const ONE_BY_ONE = 500;
const AT_ONCE = 50;
const IDLE_MS = 4_000;

interface Traffic {
  at: number;
  toRedis: number;
  fromRedis: number;
  commands: number;
}

/** What one join costs, beside what the nodes do without it. */
export interface JoinCost {
  toRedis: number;
  commands: number;
  toEachNode: number;
  /** Until every node knows all of them. */
  ms: number;
}

/** Nodes with 1,000 clients each: all clients join a room at once, then 500 join another one by one. */
export async function costOfJoins(count: number): Promise<{ together: JoinCost; oneByOne: JoinCost }> {
  const redis = await TestRedis.start();
  const plain = new Redis(redis.url);
  const nodes = await Promise.all(
    Array.from({ length: count }, () => ClusterNode.start({ redis: redis.url, prefix: PREFIX })),
  );
  try {
    for (const node of nodes)
      while (node.peers.length < CLIENTS_EACH) await Promise.all(Array.from({ length: AT_ONCE }, () => node.connect()));
    const peers = nodes.flatMap((node) => node.peers);
    const known = async (memberships: number): Promise<void> => {
      for (const node of nodes) await until(async () => (await node.call('memberships')) === memberships, 60_000);
    };
    await pause(2_000);
    const idle = await passing(plain, () => pause(IDLE_MS));
    const measure = async (joins: number, work: () => Promise<unknown>): Promise<JoinCost> => {
      const spent = await passing(plain, work);
      const [toRedis, fromRedis, commands] = (['toRedis', 'fromRedis', 'commands'] as const).map(
        (what) => (spent[what] - (idle[what] * spent.at) / idle.at) / joins,
      ) as [number, number, number];
      return { toRedis, commands, toEachNode: fromRedis / count, ms: spent.at };
    };
    await Promise.all(nodes.map((node) => (node.peers[0] as Peer).join('blue'))); // subscribed
    const together = await measure(peers.length, async () => {
      await Promise.all(peers.map((peer) => peer.join(ROOM)));
      await known(peers.length + count);
    });
    const oneByOne = await measure(ONE_BY_ONE, async () => {
      for (const peer of (nodes[0] as ClusterNode).peers.slice(1, ONE_BY_ONE + 1)) await peer.join('blue');
      await known(peers.length + count + ONE_BY_ONE);
    });
    return { together, oneByOne };
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    plain.disconnect();
    await redis.stop();
  }
}

async function passing(plain: Redis, work: () => Promise<unknown>): Promise<Traffic> {
  const before = await trafficOf(plain);
  await work();
  const after = await trafficOf(plain);
  return {
    at: after.at - before.at,
    toRedis: after.toRedis - before.toRedis,
    fromRedis: after.fromRedis - before.fromRedis,
    commands: after.commands - before.commands,
  };
}

async function trafficOf(plain: Redis): Promise<Traffic> {
  const info = await plain.info('all');
  const read = (name: string): number => Number(new RegExp(`${name}[:=](\\d+)`).exec(info)?.[1] ?? 0);
  return {
    at: performance.now(),
    toRedis: read('total_net_input_bytes'),
    fromRedis: read('total_net_output_bytes'),
    commands: read('total_commands_processed') - read('cmdstat_hset:calls'), // those of scripts
  };
}
