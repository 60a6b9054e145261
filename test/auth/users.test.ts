import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { type WebSocketOptions, WebSocketService } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { bearer, SECRET, tokenFor } from '../support/tokens.js';
import { until } from '../support/until.js';

const auth = { jwt: { secret: SECRET } };
const as = async (sub: string) => bearer(await tokenFor(sub));

describe('disconnectUser()', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  it('closes every connection of the user, with 4010 or the given code, and no other', async () => {
    running = await startApp({ options: { auth } });
    const [one, two, bob] = [
      await running.connect(await as('7')),
      await running.connect(await as('7')),
      await running.connect(await as('07')),
    ];
    running.server.disconnectUser('7');
    expect(await Promise.all([one.closed, two.closed])).toEqual([
      { code: 4010, reason: 'kicked' },
      { code: 4010, reason: 'kicked' },
    ]);
    await bob.settle();
    const again = await running.connect(await as('7'));
    await running.service.disconnectUser(7, 4003, 'gone');
    expect(await again.closed).toEqual({ code: 4003, reason: 'gone' });
    const odd = await running.connect(await as('7'));
    await running.service.disconnectUser('7', 1006, 'x'.repeat(200));
    expect(await odd.closed).toEqual({ code: 4010, reason: 'x'.repeat(123) });
    const third = await running.connect(await as('7'));
    running.server.disconnectUser(7, { code: 4004, reason: 'said by name' });
    expect(await third.closed).toEqual({ code: 4004, reason: 'said by name' });
    const fourth = await running.connect(await as('7'));
    await running.service.disconnectUser(7, { reason: 'with the usual code' });
    expect(await fourth.closed).toEqual({ code: 4010, reason: 'with the usual code' });
    await running.service.disconnectUser('nobody');
    await bob.settle();
    expect(running.errors).toEqual([]);
  });
});

(hasRedis() ? describe : describe.skip)('users on two nodes', () => {
  let redis: TestRedis;
  const apps: RunningApp[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });
  const start = async (options: WebSocketOptions = {}): Promise<RunningApp> => {
    const app = await startApp({ options: { redis: redis.url, auth, ...options } });
    apps.push(app);
    return app;
  };

  it.each(['replicated', 'local'] as const)(
    'D4: disconnectUser() closes the connections on both within a second (%s)',
    async (registry) => {
      const [one, two] = [await start({ registry }), await start({ registry })];
      const [here, there, bob] = [
        await one.connect(await as('ada')),
        await two.connect(await as('ada')),
        await two.connect(await as('bob')),
      ];
      const watch = new Stopwatch();
      await one.service.disconnectUser('ada', 4010, 'signed out everywhere');
      expect(await Promise.all([here.closed, there.closed])).toEqual([
        { code: 4010, reason: 'signed out everywhere' },
        { code: 4010, reason: 'signed out everywhere' },
      ]);
      expect(watch.ms).toBeLessThan(1_000);
      await until(() => one.clients.getUserClients({ userId: 'ada' }).length === 0);
      await until(() => two.clients.size >= 1 && two.clients.getUserClients({ userId: 'ada' }).length === 0);
      await bob.settle();
    },
  );

  it('a renewed token is known on both, and its user is still reached', async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.connect(bearer(await tokenFor('ada', { role: 'guest' })));
    const roleThere = (): unknown => two.clients.getClient(ada)?.user?.payload['role'];
    await until(() => roleThere() === 'guest');
    await ada.request('system', 'refresh', { token: await tokenFor('ada', { role: 'member' }) });
    await until(() => roleThere() === 'member');
    await two.service.sendToUsers(['ada'], { type: 'to', action: 'ada' });
    await ada.next('to', 'ada');
  });

  it('disconnectUser() works from a process without sockets, and from any that can publish JSON', async () => {
    const node = await start();
    const connection = new Redis(redis.url);
    try {
      const service = new WebSocketService({ redisInstance: connection });
      const ada = await node.connect(await as('ada'));
      await service.disconnectUser('ada');
      expect((await ada.closed).code).toBe(4010);
      const again = await node.connect(await as('ada'));
      for (const message of ['{}', '7', '{"userId":{}}', '{"userId":"ada","code":"x","reason":7}']) {
        await connection.publish('pxl:WebSocket:DisconnectUser', message);
      }
      expect(await again.closed).toEqual({ code: 4010, reason: 'kicked' });
    } finally {
      connection.disconnect();
    }
    expect(node.errors).toEqual([]);
  });
});
