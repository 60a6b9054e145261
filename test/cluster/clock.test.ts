import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { Channels } from '../../lib/cluster/channels.js';
import { seal } from '../../lib/cluster/envelope.js';
import { isStale, SharedClock } from '../../lib/cluster/shared-clock.js';
import { type RunningApp, startApp } from '../support/app.js';
import { ClusterNode } from '../support/cluster-node.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

/** A Redis whose clock is this much ahead of ours. */
const redisAhead = (ms: number, took = 0): { time: () => Promise<string[]> } => ({
  time: async () => {
    await new Promise((resolve) => setTimeout(resolve, took));
    const now = Date.now() + ms;
    return [String(Math.floor(now / 1_000)), String((now % 1_000) * 1_000)];
  },
});

describe('the shared clock', () => {
  it('is that of Redis, however far ours is off', async () => {
    for (const ahead of [0, 3_600_000, -86_400_000]) {
      const clock = new SharedClock(systemClock);
      expect(clock.now()).toBe(0);
      await clock.measure(redisAhead(ahead));
      expect(Math.abs(clock.now() - Date.now() - ahead)).toBeLessThan(500);
    }
  });

  it('finds nothing stale only because it was set, whoever has read it first', async () => {
    const [sender, receiver] = [new SharedClock(systemClock), new SharedClock(systemClock)];
    for (const clock of [sender, receiver]) await clock.measure(redisAhead(0));
    await receiver.measure(redisAhead(10_000));
    expect(receiver.isStale(sender.now())).toBe(false);
    expect(receiver.isStale(sender.now() - 6_000)).toBe(true);
    await sender.measure(redisAhead(10_000));
    expect(receiver.isStale(sender.now())).toBe(false);
    for (const clock of [sender, receiver]) await clock.measure(redisAhead(0));
    expect(receiver.isStale(sender.now())).toBe(false);
  });

  it('takes no reading that took too long to say much', async () => {
    const clock = new SharedClock(systemClock);
    await clock.measure(redisAhead(0, 1_100));
    expect(clock.now()).toBe(0);
  });

  it('is not read while nothing can be sent', async () => {
    const clock = new SharedClock(systemClock);
    const time = () => Promise.reject(new Error('closed'));
    await clock.measureAgain({ isOpen: false, time });
    await expect(clock.measureAgain({ isOpen: true, time })).rejects.toThrow('closed');
  });

  it('finds stale what was sent more than five seconds ago, and nothing where a time is not known', () => {
    expect([isStale(1_000, 6_000), isStale(1_000, 6_001), isStale(9_000, 1_000)]).toEqual([false, true, false]);
    expect([isStale(0, 1e12), isStale(1_000, 0)]).toEqual([false, false]);
  });
});

(hasRedis() ? describe : describe.skip)('a message that was held up', () => {
  let redis: TestRedis;
  let app: RunningApp;
  beforeAll(async () => {
    redis = await TestRedis.start();
    app = await startApp({ options: { redis: redis.url } });
  });
  afterAll(async () => {
    await app.close();
    await redis.stop();
  });

  it('D6: is dropped and counted, even when it is the first that ever came from its node', async () => {
    const peer = await app.connect();
    const publisher = new Redis(redis.url);
    const { all } = new Channels('pxl');
    const publish = (nodeId: string, ageMs: number): Promise<number> => {
      const header = { nodeId, sequence: 1, sentAt: Date.now() - ageMs };
      return publisher.publish(all, seal(header, Buffer.from(JSON.stringify({ type: 'news', action: nodeId }))));
    };
    await publish('late', 6_000);
    await publish('timely', 10);
    await peer.next('news', 'timely');
    expect(peer.received.filter(({ type }) => type === 'news')).toEqual([]);
    expect(app.server.status.counters.stale).toBe(1);
    await publisher.quit();
  });
});

(hasRedis() ? describe : describe.skip)('the clock of one host', () => {
  it.each([10_000, -10_000, 3_600_000, -3_600_000])(
    'loses nothing and silences no error when it is set by %d ms',
    async (byMs) => {
      const redis = await TestRedis.start();
      const app = await startApp({ options: { redis: redis.url } });
      const other = await ClusterNode.start({ redis: redis.url });
      const read = Date.now;
      try {
        const [here, there] = [await app.connect(), await other.connect()];
        const bothHear = async (action: string): Promise<void> => {
          await app.service.broadcast({ type: 'news', action: `${action}-here` });
          await other.call('send', 'all', [], `${action}-there`);
          await there.next('news', `${action}-here`);
          await until(() => here.received.some(({ data }) => data === `${action}-there`));
        };
        await bothHear('before');
        jest.spyOn(Date, 'now').mockImplementation(() => read() + byMs);
        for (let n = 0; n < 10; n++) await bothHear(`after${n}`);
        expect([app.server.status.state, await other.state()]).toEqual(['ready', 'ready']);
        expect(app.server.status.counters).toEqual({ unpublished: 0, missing: 0, stale: 0, junk: 0 });
        expect((await other.call('status')).counters).toEqual({ unpublished: 0, missing: 0, stale: 0, junk: 0 });
        await redis.run('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await until(() => app.errors.length > 0);
        await until(() => app.server.status.state === 'ready');
      } finally {
        jest.restoreAllMocks();
        await other.stop();
        await app.close();
        await redis.stop();
      }
    },
  );
});
