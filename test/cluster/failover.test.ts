import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import type { RedisSource } from '../../lib/cluster/redis-source.js';
import { type RunningApp, startApp } from '../support/app.js';
import { freePort, hasRedis, TestRedis } from '../support/redis.js';
import { MASTER, Sentinel } from '../support/sentinel.js';
import { until } from '../support/until.js';

(hasRedis() ? describe : describe.skip)('a failover by Redis Sentinel', () => {
  const ending: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ending.splice(0).toReversed()) await end();
  });

  /** Two nodes, by way of a Sentinel, on a master with a replica. */
  async function startAll(): Promise<{
    master: TestRedis;
    replica: TestRedis;
    sentinel: Sentinel;
    one: RunningApp;
    two: RunningApp;
  }> {
    const master = await TestRedis.start();
    const replica = await TestRedis.start(['--replicaof', '127.0.0.1', String(master.port)]);
    const sentinel = new Sentinel(await freePort());
    sentinel.start(master.port);
    ending.push(
      () => sentinel.stop(),
      () => replica.stop(),
      () => master.stop(),
    );
    await until(async () => String(await sentinel.ask('replicas', MASTER)).includes(String(replica.port)));

    const redis = {
      sentinels: [{ host: '127.0.0.1', port: sentinel.port }],
      name: MASTER,
      sentinelRetryStrategy: () => 200,
    };
    const start = async (): Promise<RunningApp> => {
      const app = await startApp({ options: { redis } });
      ending.push(() => app.close());
      return app;
    };
    return { master, replica, sentinel, one: await start(), two: await start() };
  }

  it('is survived: sockets stay, and the nodes find each other on the new master', async () => {
    const { master, one, two } = await startAll();
    const [ada, bob] = [await one.connect(), await two.connect()];
    await Promise.all([ada.join('red'), bob.join('red')]);

    await master.kill();
    await until(() => one.server.status.state === 'down' && two.server.status.state === 'down');
    const sent = one.service.sendToRooms(['red'], { type: 'news', action: 'local' });
    await expect(sent).rejects.toMatchObject({ code: 'NOT_PUBLISHED' });
    expect((await ada.next('news', 'local')).type).toBe('news');
    await until(() => one.server.status.state === 'ready' && two.server.status.state === 'ready', 25_000);
    expect(one.server.status.counters.unpublished).toBeGreaterThan(0);

    const everybody = [ada.clientId, bob.clientId].toSorted();
    const members = (app: RunningApp): string[] => app.rooms.getRoomClients({ roomName: 'red' }).toSorted();
    await until(() => [one, two].every((app) => JSON.stringify(members(app)) === JSON.stringify(everybody)));
    await two.service.sendToRooms(['red'], { type: 'news', action: 'after' });
    await Promise.all([ada.next('news', 'after'), bob.next('news', 'after')]);
    await Promise.all([ada.settle(), bob.settle()]);
    expect([...ada.received, ...bob.received].filter(({ type }) => type === 'news')).toEqual([]);
  });

  it('finds no node with a foot on each master, when the old one was frozen and wakes up', async () => {
    const { master, replica, sentinel, one, two } = await startAll();
    const [ada, bob] = [await one.connect(), await two.connect()];
    await Promise.all([ada.join('red'), bob.join('red')]);
    let count = 0;
    const heard = (peer: typeof ada): number => peer.received.filter(({ type }) => type === 'news').length;
    const send = (app: RunningApp): Promise<void> =>
      app.service.sendToRooms(['red'], { type: 'news', action: 'n', data: ++count }).catch(() => undefined);
    const began = Date.now();
    master.freeze();
    await until(() => one.server.status.state === 'down' || two.server.status.state === 'down', 10_000);
    const noticed = Date.now();
    await until(async () =>
      String(await sentinel.ask('get-master-addr-by-name', MASTER)).includes(String(replica.port)),
    );
    const promoted = Date.now();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + 9_000 - Date.now())));
    master.thaw();
    const woken = Date.now();
    await until(() => [one, two].every(({ server }) => server.status.state === 'ready'));
    const restored = Date.now();
    // From now on nothing is lost, though the old master is awake, whatever it takes itself for.
    const [adaHad, bobHad] = [heard(ada), heard(bob)];
    for (let round = 0; round < 40; round++) {
      await Promise.all([send(one), send(two)]);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await until(() => heard(ada) === adaHad + 80 && heard(bob) === bobHad + 80);
    console.info(
      `A frozen master: noticed after ${noticed - began} ms, promoted after ${promoted - began} ms; ready ` +
        `${restored - woken} ms after the old one woke up`,
    );
  });

  it('needs no Sentinel that is frozen: the next one in the list answers', async () => {
    const master = await TestRedis.start();
    ending.push(() => master.stop());
    const sentinels = [new Sentinel(await freePort()), new Sentinel(await freePort())] as const;
    for (const sentinel of sentinels) {
      sentinel.start(master.port);
      ending.push(() => sentinel.stop());
      await until(async () => Array.isArray(await sentinel.ask('get-master-addr-by-name', MASTER)));
    }
    const settings = { sentinels: sentinels.map(({ port }) => ({ host: '127.0.0.1', port })), name: MASTER };
    const start = async (redis: RedisSource): Promise<RunningApp> => {
      const app = await startApp({ options: { redis } });
      ending.push(() => app.close());
      return app;
    };
    const instance = new Redis({ ...settings, lazyConnect: true });
    const apps = [await start(settings), await start(instance)];
    sentinels[0].freeze();
    await master.run('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await master.run('CLIENT', 'KILL', 'TYPE', 'normal');
    await until(() => apps.every(({ server }) => server.status.state === 'down'));
    await until(() => apps.every(({ server }) => server.status.state === 'ready'), 5_000);
    await start(settings); // a new node starts, too
  });
});
