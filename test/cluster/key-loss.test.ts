import { describe, expect } from '@jest/globals';
import { Cluster } from 'ioredis';
import { NEWS } from '../../lib/cluster/event-groups.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, startRedisCluster, type TestRedis } from '../support/redis.js';
import { clientIdsOf, idsOf, knows, pause, Scene, TWO_BEATS_MS } from '../support/registry-scene.js';
import { sideBySide } from '../support/side-by-side.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;

describeWithRedis('what Redis loses of the registry', () => {
  const scenario = sideBySide();

  scenario(
    'loses a shard of a Redis Cluster, which comes back empty: nobody is lost, and who comes later knows all',
    async (ends) => {
      const cluster = await startRedisCluster();
      ends(() => cluster.stop());
      const start = async (): Promise<RunningApp> => {
        const source = new Cluster(
          cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
          { lazyConnect: true },
        );
        source.on('error', () => undefined);
        const app = await startApp({ options: { redis: source } });
        ends(() => app.close());
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
      await until(async () => String(await shard.run('CLUSTER', 'INFO')).includes('cluster_state:ok'));
      await until(async () => (await shard.run('SCARD', 'pxl:nodes')) === 2);
      for (const app of apps) expect(clientIdsOf(app)).toEqual(idsOf(members));
      const late = await start();
      await knows(late, members, TWO_BEATS_MS);
    },
  );

  for (const [why, broken, mended] of [
    ['has no memory left', ['maxmemory', '1mb'], ['maxmemory', '0']],
    ['misses its replicas', ['min-replicas-to-write', '1'], ['min-replicas-to-write', '0']],
  ] as const)
    scenario(`D12 refuses writes for longer than a lease, for it ${why}: nobody is declared lost`, async (ends) => {
      const scene = await Scene.ofTwo(ends);
      const ids = scene.nodeIds;
      await scene.plain.config('SET', ...broken);
      const comes = await scene.one.connect();
      await pause(9_000);
      await scene.plain.config('SET', ...mended);
      scene.members.push(comes);
      await until(() => scene.fetchesAll(scene.two), TWO_BEATS_MS);
      await scene.isTrueAgain();
      await pause(4_000); // two beats more: whoever would be buried is by then
      expect([scene.losses, scene.nodeIds]).toEqual([[], ids]);
    });

  scenario('loses nothing: a beat costs the same few commands, however many clients there are', async (ends) => {
    const scene = await Scene.ofTwo(ends);
    const { members, plain } = scene;
    for (let n = 0; n < 50; n++) members.push(await (n % 2 === 0 ? scene.one : scene.two).connect());
    await scene.allKnow();
    await pause(2_100); // whatever the joins were to cost has been paid
    await plain.config('RESETSTAT');
    const began = performance.now();
    await pause(4_000);
    const stats = await plain.info('commandstats');
    const mostBeats = 1 + Math.ceil((performance.now() - began) / 2_100);
    const calls = Object.fromEntries(
      [...stats.matchAll(/cmdstat_(\w+):calls=(\d+)/g)].map(([, name = '', count]) => [name, Number(count)]),
    );
    expect(Object.keys(calls)).not.toEqual(expect.arrayContaining(['hgetall']));
    expect(Object.keys(calls)).not.toEqual(expect.arrayContaining(['hset']));
    expect(calls['hlen']).toBeGreaterThanOrEqual(4); // two nodes, two beats
    expect(calls['hlen']).toBeLessThanOrEqual(2 * mostBeats);
    expect(calls['get']).toBeLessThanOrEqual(4 * mostBeats); // each its own lease and the other's
  });

  for (const [what, names] of [
    ['the set of nodes', ['nodes']],
    ['every lease', ['lease']],
    ['the clients of every node', ['clients']],
    ['all of it', ['nodes', 'lease', 'clients']],
  ] as const)
    scenario(`D12 loses ${what}: nobody forgets anybody, and it is there again within two beats`, async (ends) => {
      const scene = await Scene.ofTwo(ends);
      const ids = scene.nodeIds;
      await scene.plain.del(...scene.keysOf(...names));
      await scene.leavesNobodyOut(scene.two);
      const took = await scene.isTrueAgain();
      console.info(`there again after ${took} ms`);
      expect(scene.nodeIds).toEqual(ids);
    });

  scenario(
    'loses one field of a node, or is given a number it never had: it is mended within two beats',
    async (ends) => {
      const scene = await Scene.ofTwo(ends);
      const [one, two] = scene.keysOf('clients') as [string, string];
      await scene.plain.hdel(one, ...idsOf(scene.members).map((id) => id.slice(id.indexOf('.'))));
      await scene.plain.hset(two, '$', `${2 ** 47} 1`);
      await scene.isTrueAgain();
    },
  );

  scenario('loses the clients while others come: a node that comes then knows all within two beats', async (ends) => {
    const scene = await Scene.ofTwo(ends);
    await scene.plain.del(...scene.keysOf('clients'));
    scene.members.push(await scene.one.connect());
    await scene.addNode();
    await scene.allKnow(TWO_BEATS_MS);
    await scene.isTrueAgain();
  });

  scenario('loses the clients before a node comes back from a short break: it knows everybody', async (ends) => {
    const scene = await Scene.begin(ends);
    const proxy = await TcpProxy.start(scene.redis.port);
    ends(() => proxy.stop());
    const [one, two] = [await scene.addNode(), await scene.addNode(proxy.url)];
    scene.members.push(await one.connect(), await two.connect());
    await scene.allKnow();
    await scene.plain.del(...scene.keysOf('clients'));
    proxy.reset();
    scene.members.push(await one.connect());
    await until(() => two.server.status.state === 'ready');
    await scene.allKnow(TWO_BEATS_MS);
    await scene.isTrueAgain();
  });

  scenario('evicts what it likes: what is gone is there again within two beats', async (ends) => {
    const scene = await Scene.ofTwo(ends, ['--maxmemory-policy', 'allkeys-random']);
    const { plain, nodeIds } = scene;
    const used = Number(/used_memory:(\d+)/.exec(await plain.info('memory'))?.[1]);
    await plain.config('SET', 'maxmemory', used + 300_000);
    const keys = scene.keysOf('nodes', 'lease', 'clients');
    for (let n = 0; (await plain.exists(...keys)) === keys.length; n++) await plain.set(`junk${n}`, 'x'.repeat(5_000));
    await plain.config('SET', 'maxmemory', 0);
    for (const key of await plain.keys('junk*')) await plain.del(key);
    await until(async () => (await plain.exists(...keys)) === keys.length, TWO_BEATS_MS);
    expect(scene.nodeIds).toEqual(nodeIds);
    for (const app of scene.apps) expect(clientIdsOf(app)).toEqual(idsOf(scene.members));
    expect(scene.losses).toEqual([]);
  });

  scenario(
    'refuses a change: others hear of it all the same, and read it within a second once it takes writes',
    async (ends) => {
      const scene = await Scene.ofTwo(ends);
      for (let round = 0; round < 3; round++) {
        await scene.plain.config('SET', 'maxmemory', '1mb');
        scene.members.push(await scene.one.connect());
        await scene.allKnow();
        expect(await scene.fetchesAll(scene.two)).toBe(false);
        await scene.plain.config('SET', 'maxmemory', '0');
        await until(() => scene.fetchesAll(scene.two), 1_900); // the next beat is later
      }
      await scene.isTrueAgain();
    },
  );

  scenario(
    'is told by somebody else of a change that a node never made: its copy is true again within two beats',
    async (ends) => {
      const { one, two, members, plain } = await Scene.ofTwo(ends);
      const { nodeId } = one.server.status;
      const clientId = `${nodeId}.forged`;
      const entry = ['.forged', [], null, { r: [null, {}, ['red'], 0], c: 'connected' }];
      const forged = [NEWS, [nodeId, 2 ** 47, [], [entry]]];
      await plain.publish('pxl:$presence', JSON.stringify(forged));
      await until(() => two.clients.getClient({ clientId }) !== undefined);
      members.push(await one.connect());
      await knows(two, members, TWO_BEATS_MS);
      const eve = await one.connect();
      await knows(two, [...members, eve]);
    },
  );
});
