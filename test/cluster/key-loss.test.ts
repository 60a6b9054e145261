import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/index.js';
import { NEWS } from '../../lib/cluster/presence-events.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, startRedisCluster, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;

/** Two beats, and what a loaded machine takes. */
const TWO_BEATS_MS = 4_000 + 500;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const idsOf = (peers: readonly Peer[]): string[] => peers.map(({ clientId }) => clientId).toSorted();
const clientIdsOf = ({ clients }: RunningApp): string[] =>
  clients
    .getClients()
    .map(({ clientId }) => clientId)
    .toSorted();
const knows = (app: RunningApp, peers: readonly Peer[], waitMs?: number): Promise<void> =>
  until(() => String(clientIdsOf(app)) === String(idsOf(peers)), waitMs);

/** Nodes on a Redis that loses what the registry wrote: what they know stays true, and Redis says it again. */
describeWithRedis('what Redis loses of the registry', () => {
  let redis: TestRedis;
  let plain: Redis;
  let prefix = '';
  let number = 0;
  const ending: (() => Promise<unknown>)[] = [];
  const losses: unknown[] = [];

  beforeAll(async () => {
    redis = await TestRedis.start();
    plain = new Redis(redis.port, '127.0.0.1');
  });
  afterAll(async () => {
    await plain.quit();
    await redis.stop();
  });
  afterEach(async () => {
    for (const end of ending.splice(0).toReversed()) await end();
    losses.length = 0;
  });

  const start = async (options: object = {}): Promise<RunningApp> => {
    const app = await startApp({
      options: {
        redis: redis.url,
        prefix,
        ...options,
        subscriberEventHandler: ({ channel, message }) => {
          if (channel === Event.ClientDisconnected || channel === Event.ClientLeftRoom) losses.push(message);
        },
      },
    });
    ending.push(() => app.close());
    return app;
  };

  interface Scene {
    apps: [RunningApp, RunningApp, ...RunningApp[]];
    members: Peer[];
  }

  /** Two nodes that know each other's members of a room, in keys of their own. */
  async function scene(options: object = {}): Promise<Scene> {
    prefix = `gone${++number}`;
    const apps: Scene['apps'] = [await start(options), await start(options)];
    const members = await Promise.all(apps.map((app) => app.connect()));
    await Promise.all(members.map((peer) => peer.join('red')));
    await Promise.all(apps.map((app) => knows(app, members)));
    return { apps, members };
  }

  async function fetchesAll(app: RunningApp, members: readonly Peer[]): Promise<boolean> {
    const { clients, missing } = await app.server.fetchClients();
    return (
      missing.length === 0 && String(clients.map(({ clientId }) => clientId).toSorted()) === String(idsOf(members))
    );
  }

  /** Who couldn't be read isn't left out without a word. */
  async function leavesNobodyOut(app: RunningApp, members: readonly Peer[]): Promise<void> {
    const { clients, missing } = await app.server.fetchClients();
    if (missing.length === 0) expect(clients).toHaveLength(members.length);
  }

  const keysOf = ({ apps }: Scene, ...names: string[]): string[] =>
    names.flatMap((name) =>
      name === 'nodes' ? [`${prefix}:nodes`] : apps.map(({ server }) => `${prefix}:{${server.status.nodeId}}:${name}`),
    );

  /** In Redis, and so for a node that comes now, everything is as it should be. */
  async function isTrueAgain(made: Scene, waitMs = TWO_BEATS_MS): Promise<number> {
    const { apps, members } = made;
    const from = Date.now();
    const nodeIds = apps.map(({ server }) => server.status.nodeId).toSorted();
    await until(async () => {
      if (String((await plain.smembers(`${prefix}:nodes`)).toSorted()) !== String(nodeIds)) return false;
      if ((await plain.exists(...keysOf(made, 'lease'))) !== apps.length) return false;
      return (await Promise.all(apps.map((app) => fetchesAll(app, members)))).every(Boolean);
    }, waitMs);
    const took = Date.now() - from;
    for (const app of apps)
      expect([app.server.status.nodeIds.toSorted(), clientIdsOf(app)]).toEqual([nodeIds, idsOf(members)]);
    const late = await start();
    await knows(late, members, 100);
    expect(await fetchesAll(late, members)).toBe(true);
    expect(losses).toEqual([]);
    return took;
  }

  it('loses nothing: a beat costs the same few commands, however many clients there are', async () => {
    const { apps, members } = await scene();
    for (let n = 0; n < 50; n++) members.push(await apps[n % 2 === 0 ? 0 : 1].connect());
    await Promise.all(apps.map((app) => knows(app, members)));
    await pause(2_100); // whatever the joins were to cost has been paid
    await plain.config('RESETSTAT');
    await pause(4_000);
    const stats = await plain.info('commandstats');
    const calls = Object.fromEntries(
      [...stats.matchAll(/cmdstat_(\w+):calls=(\d+)/g)].map(([, name = '', count]) => [name, Number(count)]),
    );
    expect(Object.keys(calls)).not.toEqual(expect.arrayContaining(['hgetall']));
    expect(Object.keys(calls)).not.toEqual(expect.arrayContaining(['hset']));
    expect(calls['hlen']).toBeGreaterThanOrEqual(4); // two nodes, two beats
    expect(calls['hlen']).toBeLessThanOrEqual(6);
    expect(calls['get']).toBeLessThanOrEqual(12); // each its own lease and the other's
  }, 20_000);

  it.each([
    ['the set of nodes', ['nodes']],
    ['every lease', ['lease']],
    ['the clients of every node', ['clients']],
    ['all of it', ['nodes', 'lease', 'clients']],
  ])(
    'D12 loses %s: nobody forgets anybody, and it is there again within two beats',
    async (_, names) => {
      const made = await scene();
      const ids = made.apps.map(({ server }) => server.status.nodeId);
      await plain.del(...keysOf(made, ...names));
      await leavesNobodyOut(made.apps[1], made.members);
      const took = await isTrueAgain(made);
      console.info(`there again after ${took} ms`);
      expect(made.apps.map(({ server }) => server.status.nodeId)).toEqual(ids);
    },
    20_000,
  );

  it('loses one field of a node, or is given a number it never had: it is mended within two beats', async () => {
    const made = await scene();
    const [one, two] = keysOf(made, 'clients') as [string, string];
    await plain.hdel(one, ...idsOf(made.members));
    await plain.hset(two, '$digest', `${2 ** 47} 1`);
    await isTrueAgain(made);
  }, 20_000);

  it('loses the clients while others come: a node that comes then knows all within two beats', async () => {
    const made = await scene();
    const { apps, members } = made;
    await plain.del(...keysOf(made, 'clients'));
    members.push(await apps[0].connect());
    apps.push(await start());
    await Promise.all(apps.map((app) => knows(app, members, TWO_BEATS_MS)));
    await isTrueAgain(made);
  }, 20_000);

  it('loses the clients before a node comes back from a short break: it knows everybody', async () => {
    prefix = `gone${++number}`;
    const proxy = await TcpProxy.start(redis.port);
    ending.push(() => proxy.stop());
    const apps: Scene['apps'] = [await start(), await start({ redis: proxy.url })];
    const members = [await apps[0].connect(), await apps[1].connect()];
    await Promise.all(apps.map((app) => knows(app, members)));
    await plain.del(...keysOf({ apps, members }, 'clients'));
    proxy.reset();
    members.push(await apps[0].connect());
    await until(() => apps[1].server.status.state === 'ready');
    await Promise.all(apps.map((app) => knows(app, members, TWO_BEATS_MS)));
    await isTrueAgain({ apps, members });
  }, 30_000);

  it('evicts what it likes: what is gone is there again within two beats', async () => {
    const own = await TestRedis.start(['--maxmemory-policy', 'allkeys-random']);
    ending.push(() => own.stop());
    const shared = plain;
    plain = new Redis(own.port, '127.0.0.1');
    try {
      const made = await scene({ redis: own.url });
      const used = Number(/used_memory:(\d+)/.exec(await plain.info('memory'))?.[1]);
      await plain.config('SET', 'maxmemory', used + 300_000);
      const keys = keysOf(made, 'nodes', 'lease', 'clients');
      for (let n = 0; (await plain.exists(...keys)) === keys.length; n++)
        await plain.set(`junk${n}`, 'x'.repeat(5_000));
      await plain.config('SET', 'maxmemory', 0);
      for (const key of await plain.keys('junk*')) await plain.del(key);
      const nodeIds = made.apps.map(({ server }) => server.status.nodeId);
      await until(async () => (await plain.exists(...keys)) === keys.length, TWO_BEATS_MS);
      expect(made.apps.map(({ server }) => server.status.nodeId)).toEqual(nodeIds);
      for (const app of made.apps) expect(clientIdsOf(app)).toEqual(idsOf(made.members));
      expect(losses).toEqual([]);
    } finally {
      await plain.quit();
      plain = shared;
    }
  }, 30_000);

  it.each([
    ['has no memory left', ['maxmemory', '1mb'], ['maxmemory', '0']],
    ['misses its replicas', ['min-replicas-to-write', '1'], ['min-replicas-to-write', '0']],
  ])(
    'D12 refuses writes for longer than a lease, for it %s: nobody is declared lost',
    async (_, broken, mended) => {
      const made = await scene();
      const ids = made.apps.map(({ server }) => server.status.nodeId);
      await plain.config('SET', ...(broken as [string, string]));
      const comes = await made.apps[0].connect();
      await pause(9_000);
      await plain.config('SET', ...(mended as [string, string]));
      made.members.push(comes);
      await until(() => fetchesAll(made.apps[1], made.members), TWO_BEATS_MS);
      await isTrueAgain(made);
      await pause(4_000); // two beats more: whoever would be buried is by then
      expect([losses, made.apps.map(({ server }) => server.status.nodeId)]).toEqual([[], ids]);
    },
    40_000,
  );

  it('refuses a change: others hear of it all the same, and read it within a second once it takes writes', async () => {
    const made = await scene();
    const { apps, members } = made;
    for (let round = 0; round < 3; round++) {
      await plain.config('SET', 'maxmemory', '1mb');
      members.push(await apps[0].connect());
      await knows(apps[1], members, 500);
      expect(await fetchesAll(apps[1], members)).toBe(false);
      await plain.config('SET', 'maxmemory', '0');
      await until(() => fetchesAll(apps[1], members), 1_000);
    }
    await isTrueAgain(made);
  }, 20_000);

  it('is told by somebody else of a change that a node never made: its copy is true again within two beats', async () => {
    const { apps, members } = await scene();
    const [one, two] = apps;
    const { nodeId } = one.server.status;
    const clientId = `${nodeId}.forged`;
    const entry = ['.forged', null, [], { r: [null, {}, ['red'], 0], c: 'connected' }];
    const forged = [NEWS, [nodeId, 2 ** 47, null, [], [entry]]];
    await plain.publish(`${prefix}:$presence`, JSON.stringify(forged));
    await until(() => two.clients.getClient({ clientId }) !== undefined);
    members.push(await one.connect());
    await knows(two, members, TWO_BEATS_MS);
    const eve = await one.connect();
    await knows(two, [...members, eve], 500);
  }, 20_000);
});

describeWithRedis('a shard of a Redis Cluster that comes back empty', () => {
  it('loses nobody: the nodes know each other all the while, and who comes later knows them', async () => {
    const cluster = await startRedisCluster();
    const ending: (() => Promise<unknown>)[] = [() => cluster.stop()];
    try {
      const start = async (): Promise<RunningApp> => {
        const source = new Cluster(
          cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
          { lazyConnect: true },
        );
        source.on('error', () => undefined);
        const app = await startApp({ options: { redis: source } });
        ending.push(() => app.close());
        return app;
      };
      const apps = [await start(), await start()] as const;
      const members = [await apps[0].connect(), await apps[1].connect()];
      await Promise.all(apps.map((app) => knows(app, members)));
      const slot = Number(await cluster.nodes[0]?.run('CLUSTER', 'KEYSLOT', 'pxl:nodes'));
      const shard = cluster.nodes[slot < 5_461 ? 0 : slot < 10_923 ? 1 : 2] as TestRedis;
      await shard.kill();
      await pause(8_000);
      for (const app of apps) expect(clientIdsOf(app)).toEqual(idsOf(members));
      await shard.start();
      await until(async () => String(await shard.run('CLUSTER', 'INFO')).includes('cluster_state:ok'), 10_000);
      await until(async () => (await shard.run('SCARD', 'pxl:nodes')) === 2, 10_000);
      for (const app of apps) expect(clientIdsOf(app)).toEqual(idsOf(members));
      const late = await start();
      await knows(late, members, TWO_BEATS_MS);
    } finally {
      for (const end of ending.toReversed()) await end();
    }
  }, 60_000);
});
