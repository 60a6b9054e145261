import type { ClusterNode } from '../support/cluster-node.js';
import type { TestRedis } from '../support/redis.js';
import type { Sentinel } from '../support/sentinel.js';
import { Stopwatch } from '../support/stopwatch.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { bySentinel, type Ground, redisCluster } from './grounds.js';
import { pause, type Scene } from './scene.js';

/** One thing that goes wrong. Of the three nodes the first is hit, or all of them. */
export interface Fault {
  name: string;
  /** How long it lasts, in ms; 0: it is over as soon as it has begun. */
  lastsMs: number;
  hits: 'one' | 'all';
  /** @default one Redis */
  ground?: () => Promise<Ground>;
  begin(scene: Scene): unknown;
  end?(scene: Scene): unknown;
  /** The nodes that don't publish, from the first. */
  quiet?: number;
  /** It ends when it is noticed: until then nothing can be mended. */
  endsWhenNoticed?: boolean;
  /** The node can't notice it, the others do: its clients are gone. */
  isNodesEnd?: boolean;
  /** Nothing to notice: the nodes mend it without a word. */
  isSilent?: boolean;
  /** What it may take from its end until truth is restored, in ms, where Redis itself needs longer than a node. */
  restoredWithinMs?: number;
  /** Clients that are there may be called lost: their node was silent for longer than its lease. */
  mayBury?: boolean;
  /** Nothing may be lost. */
  losesNothing?: boolean;
  /** CI has it measured. */
  isQuick?: boolean;
}

const first = ({ nodes }: Scene): ClusterNode => nodes[0] as ClusterNode;
const way = ({ ground }: Scene): TcpProxy => ground.proxies[0] as TcpProxy;
const sentinel = ({ ground }: Scene): Sentinel => ground.sentinels?.[0] as Sentinel;
const redis = ({ ground }: Scene): TestRedis => ground.servers[0] as TestRedis;
const heal = (scene: Scene): void => way(scene).heal();
const configure = (name: string, value: string) => (scene: Scene) => redis(scene).run('CONFIG', 'SET', name, value);

/** A node that is killed says nothing: its lease must run out, and a beat must find it so. */
const BURIED_MS = 10_000;
/** A Sentinel needs a second to call a master dead, and some to make another. */
const SENTINEL_MS = 15_000;
/** The masters of a Redis Cluster call one dead after 2 s, and then a replica takes over. */
const CLUSTER_MS = 12_000;

export const FAULTS: Fault[] = [
  {
    name: 'both connections of a node are reset',
    hits: 'one',
    lastsMs: 0,
    begin: (scene) => way(scene).reset(),
    isQuick: true,
  },
  {
    name: "a node's publishing connection is reset",
    hits: 'one',
    lastsMs: 0,
    begin: (scene) => way(scene).reset('publisher'),
  },
  {
    name: "a node's subscribing connection is reset",
    hits: 'one',
    lastsMs: 0,
    begin: (scene) => way(scene).reset('subscriber'),
  },
  {
    name: 'a node can not reach Redis for 5 s',
    hits: 'one',
    lastsMs: 5_000,
    begin: (scene) => way(scene).cut(),
    end: heal,
  },
  {
    name: "a node's subscribing connection is half-open",
    hits: 'one',
    lastsMs: 0,
    endsWhenNoticed: true,
    begin: (scene) => way(scene).deaden('subscriber'),
    isQuick: true,
  },
  {
    name: "a node's publishing connection is half-open",
    hits: 'one',
    mayBury: true,
    lastsMs: 0,
    endsWhenNoticed: true,
    begin: (scene) => way(scene).deaden('publisher'),
  },
  {
    name: 'a black hole between a node and Redis for 12 s',
    hits: 'one',
    lastsMs: 12_000,
    mayBury: true,
    begin: (scene) => way(scene).blackhole(),
    end: heal,
  },
  {
    name: 'what Redis says to a node waits for 5.6 s',
    hits: 'one',
    lastsMs: 5_600,
    begin: (scene) => way(scene).hold('down'),
    end: heal,
  },
  {
    name: 'what a node hears comes at 4 kB a second for 8 s',
    hits: 'one',
    lastsMs: 8_000,
    begin: (scene) => way(scene).throttle(4_000, 'subscriber'),
    end: heal,
  },
  {
    name: 'a node is 200 ms away from Redis for 5 s',
    hits: 'one',
    lastsMs: 5_000,
    isSilent: true,
    losesNothing: true,
    begin: (scene) => way(scene).delay(200),
    end: heal,
  },
  {
    name: 'Redis is killed and comes back after 3 s without its data',
    hits: 'all',
    lastsMs: 3_000,
    begin: (scene) => redis(scene).kill(),
    end: (scene) => redis(scene).start(),
    isQuick: true,
  },
  {
    name: 'Redis is away for 10 s, longer than a lease',
    hits: 'all',
    lastsMs: 10_000,
    begin: (scene) => redis(scene).kill(),
    end: (scene) => redis(scene).start(),
  },
  {
    name: 'Redis is frozen for 9 s',
    hits: 'all',
    lastsMs: 9_000,
    begin: (scene) => redis(scene).freeze(),
    end: (scene) => redis(scene).thaw(),
  },
  {
    name: 'Redis refuses writes for 9 s (no memory left)',
    hits: 'all',
    lastsMs: 9_000,
    losesNothing: true,
    begin: configure('maxmemory', '1mb'),
    end: configure('maxmemory', '0'),
  },
  {
    name: 'Redis loses all keys (`FLUSHALL`)',
    hits: 'all',
    lastsMs: 0,
    isSilent: true,
    losesNothing: true,
    begin: (scene) => redis(scene).run('FLUSHALL'),
    isQuick: true,
  },
  {
    name: 'a node is frozen for 9 s',
    isNodesEnd: true,
    hits: 'one',
    lastsMs: 9_000,
    mayBury: true,
    begin: (scene) => first(scene).freeze(),
    end: (scene) => first(scene).thaw(),
  },
  {
    name: 'a node is killed (SIGKILL)',
    isNodesEnd: true,
    hits: 'one',
    lastsMs: 0,
    quiet: 1,
    restoredWithinMs: BURIED_MS,
    begin: async (scene) => {
      scene.bid(first(scene));
      first(scene).kill();
      await first(scene).exited;
    },
  },
  {
    name: 'a node is told to stop (SIGTERM)',
    isNodesEnd: true,
    hits: 'one',
    lastsMs: 0,
    quiet: 1,
    losesNothing: true,
    begin: async (scene) => {
      scene.bid(first(scene));
      first(scene).kill('SIGTERM');
      await first(scene).exited;
    },
  },
  {
    name: 'Sentinel: the master is killed',
    ground: () => bySentinel(),
    hits: 'all',
    lastsMs: 0,
    restoredWithinMs: SENTINEL_MS,
    begin: (scene) => redis(scene).kill(),
  },
  {
    name: 'Sentinel: the master is frozen for 9 s, and wakes up',
    ground: () => bySentinel(),
    hits: 'all',
    lastsMs: 9_000,
    begin: (scene) => redis(scene).freeze(),
    end: (scene) => redis(scene).thaw(),
  },
  {
    name: 'Sentinel: one of three is frozen for 9 s',
    ground: () => bySentinel(3),
    hits: 'all',
    lastsMs: 9_000,
    isSilent: true,
    losesNothing: true,
    begin: (scene) => sentinel(scene).freeze(),
    end: (scene) => sentinel(scene).thaw(),
  },
  {
    name: 'Sentinel: one of three is frozen, and the master is killed',
    ground: () => bySentinel(3),
    hits: 'all',
    lastsMs: 0,
    restoredWithinMs: SENTINEL_MS,
    begin: async (scene) => {
      sentinel(scene).freeze();
      await redis(scene).kill();
    },
  },
  {
    name: 'Cluster: a master is killed, its replica takes over',
    ground: () => redisCluster({ hasReplicas: true }),
    hits: 'all',
    lastsMs: 0,
    restoredWithinMs: CLUSTER_MS,
    begin: (scene) => redis(scene).kill(),
  },
  {
    name: 'Cluster: a shard is killed and comes back after 8 s without its data',
    ground: () => redisCluster({}),
    hits: 'all',
    lastsMs: 8_000,
    begin: (scene) => redis(scene).kill(),
    end: (scene) => redis(scene).start(),
  },
  {
    name: 'Cluster: the subscriptions on a shard are half-open',
    ground: () => redisCluster({ isProxied: true }),
    hits: 'all',
    lastsMs: 0,
    endsWhenNoticed: true,
    begin: (scene) => way(scene).deaden('ssubscriber'),
  },
];

/** Makes it happen, and measures. */
export async function happen(fault: Fault, scene: Scene) {
  const hit = fault.hits === 'one' ? [first(scene)] : scene.nodes;
  let isOver = false;
  const began = Date.now();
  const watch = new Stopwatch();
  const noticing = fault.isNodesEnd
    ? scene.missed(first(scene), () => isOver)
    : scene.noticed(hit, () => isOver, fault.endsWhenNoticed ? 'every' : 'some');
  await fault.begin(scene);
  const noticed = fault.endsWhenNoticed ? await noticing : undefined;
  if (fault.lastsMs > 0) {
    await pause(fault.lastsMs / 2);
    if (fault.hits === 'all' && !fault.ground) await scene.churn();
    await pause(began + fault.lastsMs - Date.now());
  }
  await fault.end?.(scene);
  const restoredMs = await scene.restored();
  isOver = true;
  const noticedMs = noticed ?? (await noticing);
  const { lostMs } = watch;
  return { noticedMs, restoredMs, lostMs, ...(await scene.judge(began, Date.now())) };
}
