import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { RemoteError, WebSocketClient } from '../../lib/index.js';
import { type ClusterNode, Fleet } from '../support/cluster-node.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

(hasRedis() ? describe : describe.skip)('a request with a key whose node dies', () => {
  let redis: TestRedis;
  const fleet = new Fleet(() => ({ redis: redis.url }));
  const clients: WebSocketClient[] = [];

  beforeAll(async () => void (redis = await TestRedis.start()));
  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await fleet.stop();
  });
  afterAll(() => redis.stop());

  /** Each attempt goes to the next node of the list; the last one stays. */
  async function connect(...nodes: ClusterNode[]): Promise<WebSocketClient> {
    const queue = [...nodes];
    const client = new WebSocketClient({
      url: () => {
        const node = (queue.length > 1 ? queue.shift() : queue[0]) as ClusterNode;
        return `ws://127.0.0.1:${node.port}/ws?userId=ada`;
      },
      reconnect: { minDelayMs: 10, maxDelayMs: 50 },
      events: { onError: () => undefined },
    });
    clients.push(client);
    await client.connectToServer();
    return client;
  }

  it.each(['still knows', 'has lost'])(
    'C5: was run, and is in doubt on another node once the lease of the dead one has ended, where Redis %s it',
    async (how) => {
      const [one, two] = await Promise.all([fleet.start(), fleet.start()]);
      const client = await connect(one, two);
      const answer = client.request('slow', 'work', { name: 'doubt', holdMs: 60_000 }, { retry: true });
      answer.catch(() => undefined);
      await until(async () => (await one.call('runs')).length === 1);
      const watch = new Stopwatch();
      one.kill();
      if (how === 'has lost') await redis.run('FLUSHALL');
      await expect(answer).rejects.toMatchObject({ code: 'IN_DOUBT', details: { isHandled: false } });
      expect(watch.ms).toBeLessThan(9_000);
      expect(await two.call('runs')).toEqual([]);
    },
  );

  it('C5: is run again on a route that allows it', async () => {
    const [one, two] = await Promise.all([fleet.start(), fleet.start()]);
    const client = await connect(one, two);
    const answer = client.request('slow', 'workAgain', { name: 'again', holdMs: 3_000 }, { retry: true });
    await until(async () => (await one.call('runs')).length === 1);
    one.kill();
    expect(await answer).toEqual({ name: 'again', pid: two.process.pid });
    expect(await two.call('runs')).toEqual(['again']);
  });

  it('C5: gets the reply from Redis if the node died after it had finished', async () => {
    const [one, two] = await Promise.all([fleet.start(), fleet.start()]);
    const first = await connect(one);
    const key = 'the-same-key';
    const reply = await first.request('slow', 'work', { name: 'done' }, { key });
    one.kill();
    const second = await connect(two);
    expect(await second.request('slow', 'work', { name: 'done' }, { key })).toEqual(reply);
    expect(await two.call('runs')).toEqual([]);
  });

  it('C4: C5: every promise of many settles once, and no handler runs twice, while nodes are killed', async () => {
    const [one, two] = await Promise.all([fleet.start(), fleet.start()]);
    const client = await connect(one, two);
    const settled: string[] = [];
    const asked = Array.from({ length: 40 }, (_, n) => {
      const name = `n${n}`;
      return client.request('slow', 'work', { name, holdMs: 20 }, { retry: true }).then(
        () => settled.push(name),
        (error: unknown) => {
          expect(error).toBeInstanceOf(RemoteError);
          expect(error).toMatchObject({ code: 'IN_DOUBT' });
          settled.push(name);
        },
      );
    });
    await until(async () => (await one.call('runs')).length >= 10);
    const before = one.call('runs').catch(() => [] as string[]);
    const ranOnOne = await before;
    one.kill();
    await Promise.all(asked);
    expect(settled).toHaveLength(40);
    const ranOnTwo = await two.call('runs');
    expect(new Set(ranOnTwo).size).toBe(ranOnTwo.length);
    expect(ranOnTwo.filter((name) => ranOnOne.includes(name))).toEqual([]);
  });
});
