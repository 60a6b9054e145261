import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { ForeignKeys } from '../../lib/cluster/foreign-keys.js';
import { NodeSigns } from '../../lib/presence/node-signs.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

(hasRedis() ? describe : describe.skip)('the signs of life of nodes', () => {
  let server: TestRedis;
  let redis: Redis;
  let prefix: string;
  beforeAll(async () => void (server = await TestRedis.start()));
  afterAll(() => server.stop());
  beforeEach(() => {
    redis = new Redis(server.port, '127.0.0.1');
    prefix = randomUUID();
  });
  afterEach(() => redis.disconnect());

  const node = (name: string): NodeSigns =>
    new NodeSigns(
      () => redis,
      new ForeignKeys(
        () => redis,
        (error) => {
          throw error;
        },
      ),
      prefix,
      name,
    );
  /** As if the last signs were so much older. */
  const age = async (ms: number, ...names: string[]): Promise<void> => {
    for (const name of names) await redis.zincrby(`${prefix}:{$presence}:nodes`, -ms, name);
  };

  it('P7: say of nobody that it is dead because Redis stood still, in whatever order it takes what waited', async () => {
    const [ada, bob] = [node('ada'), node('bob')];
    for (const one of [ada, bob]) await one.beat();
    await age(7_000, 'ada', 'bob');
    expect(await Promise.all([ada.beat(), ada.beat(), ada.beat()])).toEqual([[], [], []]);
    await bob.beat();
    expect(await ada.beat()).toEqual([]);
  });

  it('P5: name a dead node to whoever gave signs for as long as it gave none, once in a while', async () => {
    const [ada, bob] = [node('ada'), node('bob')];
    await bob.beat();
    await age(10_000, 'bob');
    const startedAt = performance.now();
    const named: string[] = [];
    await until(async () => {
      named.push(...(await ada.beat()));
      return named.length > 0;
    });
    expect(named).toEqual(['bob']);
    expect(performance.now() - startedAt).toBeGreaterThan(5_900);
    expect(await ada.beat()).toEqual([]); // it has time to clear up
  });

  it('name a node that signed off to everybody, at once', async () => {
    const [ada, bob] = [node('ada'), node('bob')];
    await bob.add('chat:1');
    await bob.beat();
    await bob.signOff();
    expect(await ada.beat()).toEqual(['bob']);
    expect(await ada.roomsOf('bob')).toEqual(['chat:1']);
  });
});
