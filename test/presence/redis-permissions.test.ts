import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { forNodes, rulesBesides } from '../support/acl-rules.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

(hasRedis() ? describe : describe.skip)('a user of Redis with the permissions that the pages give', () => {
  let redis: TestRedis;
  const stops: (() => Promise<unknown>)[] = [];
  beforeAll(async () => void (redis = await TestRedis.start()));
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });
  afterAll(() => redis.stop());

  async function start(): Promise<RunningApp> {
    await redis.run('ACL', 'SETUSER', ...forNodes, ...rulesBesides('presence-operations'));
    const app = await startApp({
      options: { redis: redis.asApp, presence: [{ match: 'chat:*', graceMs: 0 }] },
    });
    stops.push(() => app.close());
    return app;
  }

  it('has all that rooms with presence need', async () => {
    const [app, other] = [await start(), await start()];
    const total = async (): Promise<number> => (await app.service.presence('chat:1')).total;
    const [ada, bob] = [await app.connect(), await other.connect()];
    await ada.join('chat:1', { presence: true, presenceData: 1 });
    await bob.join('chat:1', { presence: 'count' });
    await until(async () => (await total()) === 2);
    await redis.run('DEL', 'pxl:{$presence}:nodes'); // each takes the other for unknown
    await until(async () => (await redis.run('ZCARD', 'pxl:{$presence}:nodes')) === 2);
    await other.app.close();
    await until(async () => (await total()) === 1);
    await ada.request('system', 'leaveRoom', { roomName: 'chat:1' });
    await until(async () => (await total()) === 0);
    expect([...app.errors, ...other.errors]).toEqual([]);
  });
});
