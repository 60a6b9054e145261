import { Redis } from 'ioredis';
import { ClusterNode } from '../support/cluster-node.js';
import type { Peer } from '../support/peer.js';
import { TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { PREFIX } from './grounds.js';
import { pause } from './scene.js';

const CLIENTS_EACH = 500;
/** Members of a room. They are on all nodes. */
const ROOM_SIZE = 10;
const AT_ONCE = 50;
const IDLE_MS = 3_000;

/** What a fleet with rooms with presence costs. */
export interface RegistryCost {
  /** KB of its heap that a node takes for each client of the cluster. */
  kbEach: number;
  /** Events that Redis gets for one join, and bytes that each node gets. */
  events: number;
  toEachNode: number;
  /** Joins in a second, with 50 under way. Nodes, Redis and clients share the machine. */
  perSecond: number;
  /** µs of processor time for one join: of all nodes together, and of Redis. */
  nodesUs: number;
  redisUs: number;
  /** Bytes that each node gets in a second in which nothing happens. */
  idleBytes: number;
}

interface Spent {
  at: number;
  events: number;
  fromRedis: number;
  redisUs: number;
  nodesUs: number;
}

/** Nodes with 500 clients each. Half of them join rooms of ten, and all of these want to hear who is in them. */
export async function costOfRegistry(count: number, registry: 'replicated' | 'local'): Promise<RegistryCost> {
  const redis = await TestRedis.start();
  const plain = new Redis(redis.url);
  const presence = [{ match: 'chat:*' }];
  const options = { redis: redis.url, prefix: PREFIX, registry, presence };
  const nodes = await Promise.all(Array.from({ length: count }, () => ClusterNode.start(options, { isDeaf: true })));
  try {
    const heap = async (): Promise<number> => {
      const heaps = await Promise.all(nodes.map((node) => node.call('heap')));
      return heaps.reduce((sum, bytes) => sum + bytes, 0) / count;
    };
    const empty = await heap();
    for (const node of nodes)
      while (node.peers.length < CLIENTS_EACH) await Promise.all(Array.from({ length: AT_ONCE }, () => node.connect()));
    const peers = Array.from(
      { length: CLIENTS_EACH * count },
      (_, n) => nodes[n % count]?.peers[Math.floor(n / count)] as Peer,
    );
    await pause(2_000);
    const kbEach = ((await heap()) - empty) / 1_024 / peers.length;
    const spent = async (work: () => Promise<unknown>): Promise<Spent> => {
      const before = await spentBy(plain, nodes);
      await work();
      const after = await spentBy(plain, nodes);
      const of = (what: keyof Spent): number => after[what] - before[what];
      return {
        at: of('at'),
        events: of('events'),
        fromRedis: of('fromRedis'),
        redisUs: of('redisUs'),
        nodesUs: of('nodesUs'),
      };
    };
    const idle = await spent(() => pause(IDLE_MS));
    const join = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at += AT_ONCE)
        await Promise.all(
          peers
            .slice(at, Math.min(to, at + AT_ONCE))
            .map((peer, n) => peer.join(`chat:${Math.floor((at + n) / ROOM_SIZE)}`, { presence: true })),
        );
    };
    const half = peers.length / 2;
    await join(0, half); // compiles the code
    await pause(2_000);
    let tookMs = 0;
    const busy = await spent(async () => {
      const startedAt = performance.now();
      await join(half, peers.length);
      const last = `chat:${((peers.length - 1) / ROOM_SIZE) | 0}`;
      await until(async () => (await plain.hlen(`${PREFIX}:{${last}}:pu`)) === ROOM_SIZE, 20_000);
      tookMs = performance.now() - startedAt;
      await pause(1_000);
    });
    const perJoin = (what: 'events' | 'fromRedis' | 'redisUs' | 'nodesUs'): number =>
      (busy[what] - (idle[what] * busy.at) / idle.at) / half;
    return {
      kbEach,
      events: perJoin('events'),
      toEachNode: perJoin('fromRedis') / count,
      perSecond: (1_000 * half) / tookMs,
      nodesUs: perJoin('nodesUs'),
      redisUs: perJoin('redisUs'),
      idleBytes: idle.fromRedis / count / (idle.at / 1_000),
    };
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    plain.disconnect();
    await redis.stop();
  }
}

async function spentBy(plain: Redis, nodes: readonly ClusterNode[]): Promise<Spent> {
  const cpus = await Promise.all(nodes.map((node) => node.call('cpuMs')));
  const info = await plain.info('all');
  const read = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? 0);
  const calls = (command: string): number =>
    Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  return {
    at: performance.now(),
    events: calls('publish') + calls('spublish'),
    fromRedis: read('total_net_output_bytes'),
    redisUs: (read('used_cpu_user') + read('used_cpu_sys')) * 1_000_000,
    nodesUs: cpus.reduce((sum, ms) => sum + ms, 0) * 1_000,
  };
}
