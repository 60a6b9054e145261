import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';

(hasRedis() ? describe : describe.skip)('bad messages on a node', () => {
  let redis: TestRedis;
  let app: RunningApp;
  beforeAll(async () => {
    redis = await TestRedis.start();
    app = await startApp({ options: { redis: redis.url, messages: { maxBadFrames: 1_000 } } });
  });
  afterAll(async () => {
    await app.close();
    await redis.stop();
  });
  const commands = async (): Promise<number> => {
    const stats = String(await redis.run('INFO', 'stats'));
    return Number(/total_commands_processed:(\d+)/.exec(stats)?.[1]);
  };

  it('R11: cost no Redis command', async () => {
    const peer = await app.connect();
    const before = await commands();
    for (let n = 0; n < 300; n++) peer.sendRaw(n % 2 ? 'junk' : '{"type":"no","action":"route","id":1}');
    await peer.settle();
    // What a lease and a look at the statistics cost in the meantime.
    expect((await commands()) - before).toBeLessThan(30);
    expect(peer.received.filter(({ type }) => type === 'error')).toHaveLength(300);
  });
});
