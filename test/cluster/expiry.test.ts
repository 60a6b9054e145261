import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import type { FieldWrites } from '../../lib/cluster/client-fields.js';
import { RedisRegistryStore } from '../../lib/cluster/registry-store.js';
import { Steps } from '../../lib/steps.js';
import { systemClock } from '../../lib/clock.js';
import { Fleet } from '../support/cluster-node.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const NODE = 'one';
const HASH = `pxl:{${NODE}}:clients`;
/** More fields than one command takes. */
const MANY = 1_200;
const fieldsOf = (count: number, text?: string): FieldWrites =>
  new Map(Array.from({ length: count }, (_, n) => [`.${n}`, text]));

describeWithRedis('the keys of the registry', () => {
  let redis: TestRedis;
  let plain: Redis;
  let store: RedisRegistryStore;
  const fleet = new Fleet(() => ({ redis: redis.url }));
  beforeAll(async () => {
    redis = await TestRedis.start();
    plain = new Redis(redis.url);
    const failed = (error: Error): never => {
      throw error;
    };
    store = new RedisRegistryStore(() => plain, 'pxl', new Steps(systemClock, failed), failed);
  });
  afterAll(async () => {
    await plain.quit();
    await redis.stop();
  });
  afterEach(async () => {
    await fleet.stop();
    await redis.run('FLUSHALL');
    await redis.run('SCRIPT', 'FLUSH');
  });
  const keysForEver = async (): Promise<string[]> => {
    const keys = await plain.keys('*');
    const left = await Promise.all(keys.map((key) => plain.pttl(key)));
    return keys.filter((_, index) => left[index] === -1);
  };

  const end = async (): Promise<void> => {
    await plain.del(`pxl:{${NODE}}:lease`);
    await store.bury(NODE);
    await store.strike(NODE);
  };
  const lose = (): Promise<unknown> => plain.del(HASH);
  it.each([
    ['is written', 1, 'text', 'its node was buried', end],
    ['is removed', 1, undefined, 'its node was buried', end],
    ['is written', MANY, 'text', 'its node was buried', end],
    ['is removed', MANY, undefined, 'its node was buried', end],
    ['is written', 1, 'text', 'Redis lost the entry', lose],
    ['is removed', 1, undefined, 'Redis lost the entry', lose],
    ['is written', MANY, 'text', 'Redis lost the entry', lose],
  ])('end by themselves: what %s (%d fields, %s) after %s', async (_, count, text, __, happens) => {
    await store.register(NODE, { version: 1, count: 2 }, fieldsOf(2, '1'));
    await happens();
    await store.write(NODE, { version: 2, count: 3 }, fieldsOf(count, text));
    expect(await keysForEver()).toEqual([]);
    if (count === 1) expect(await plain.exists(HASH)).toBe(0); // a part of an entry helps nobody
  });

  it('end by themselves, whatever killed nodes leave', async () => {
    const nodes = await Promise.all([fleet.start(), fleet.start()]);
    const [ada, bob] = await Promise.all(nodes.map((node) => node.join('red')));
    if (ada && bob) await Promise.all(nodes.map((node) => node.knows([ada, bob])));
    await plain.persist('pxl:nodes');
    await until(async () => (await keysForEver()).length === 0); // at the next beat
    expect((await plain.keys('*')).length).toBeGreaterThan(4);
    for (const node of nodes) node.kill();
    expect(await keysForEver()).toEqual([]);
  });

  it('take changes again at once from a Redis that forgot its scripts', async () => {
    const node = await fleet.start();
    await redis.run('SCRIPT', 'FLUSH');
    const ada = await node.join('red');
    const hash = `pxl:{${await node.nodeId()}}:clients`;
    await until(async () => (await plain.hlen(hash)) >= 3);
    expect(await node.clientIds()).toEqual([ada.clientId]);
  });
});
