import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { KeyBudget } from '../../lib/idempotency/key-budget.js';
import { RedisReplyStore } from '../../lib/idempotency/redis-reply-store.js';
import type { KeyRule } from '../../lib/idempotency/reply-store.js';
import { KEYS } from '../../lib/options/key-options.js';
import { NamedKeys } from '../support/named-keys.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const RULE: KeyRule = { windowMs: 60_000, rerun: false };
const AGAIN: KeyRule = { ...RULE, rerun: true };
const LEASE_MS = 1_500;
const LONG = 'r'.repeat(1_000);

(hasRedis() ? describe : describe.skip)('a store of replies in a Redis without memory', () => {
  let server: TestRedis;
  let redis: Redis;
  let store: NamedKeys<RedisReplyStore>;
  let other: NamedKeys<RedisReplyStore>;
  let failures: string[];

  const create = (): NamedKeys<RedisReplyStore> =>
    new NamedKeys(
      new RedisReplyStore({
        connection: () => redis,
        connect: async () => undefined,
        close: async () => undefined,
        prefix: 'keys',
        maxPerUser: 100,
        budget: new KeyBudget(KEYS.maxRedisBytes.default, systemClock),
        clock: systemClock,
        failed: (error) => void failures.push(String(error)),
        leaseMs: LEASE_MS,
      }),
    );
  const memory = (maxBytes: number): Promise<unknown> => server.run('CONFIG', 'SET', 'maxmemory', maxBytes);
  /** What others get for longer than a lease. */
  async function staysRunning(key: string): Promise<void> {
    const end = performance.now() + 2 * LEASE_MS;
    while (performance.now() < end) {
      expect(await other.claim(key, 'two', RULE, 'ada')).toMatchObject({ state: 'running' });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  beforeAll(async () => void (server = await TestRedis.start()));
  beforeEach(async () => {
    await server.run('FLUSHALL');
    failures = [];
    redis = new Redis(server.port, '127.0.0.1', { disconnectTimeout: 10 });
    await redis.ping();
    [store, other] = [create(), create()];
    await Promise.all([store.store.start(), other.store.start()]);
  });
  afterEach(async () => {
    await memory(0);
    await Promise.all([store.store.stop(), other.store.stop()]);
    redis.disconnect();
  });
  afterAll(() => server.stop());

  it('C5: gives no key to anybody, and still says what came of those that are known', async () => {
    for (const key of ['kept', 'doubt', 'runs']) await store.claim(key, `for-${key}`, RULE, 'ada');
    await store.end('kept', 'for-kept', { state: 'kept', reply: LONG });
    await store.end('doubt', 'for-doubt', { state: 'doubt' });
    const dead = create(); // never started: it renews nothing
    await dead.claim('dead', 'one', RULE, 'ada');
    const size = await server.run('DBSIZE');
    await memory(1);
    const refused = { code: 'UNAVAILABLE' };
    for (const owner of ['ada', 'eve'])
      await expect(other.claim('new', 'two', RULE, owner)).rejects.toMatchObject(refused);
    await expect(other.claim('doubt', 'two', AGAIN, 'ada')).rejects.toMatchObject(refused);
    expect(await other.claim('kept', 'two', RULE, 'ada')).toEqual({ state: 'kept', reply: LONG });
    expect(await other.claim('doubt', 'two', RULE, 'ada')).toEqual({ state: 'doubt' });
    expect(await other.claim('runs', 'two', RULE, 'ada')).toMatchObject({ state: 'running' });
    await until(async () => (await other.claim('dead', 'two', RULE, 'ada')).state === 'doubt', 4 * LEASE_MS);
    await dead.end('dead', 'one', { state: 'free' }); // somebody was told of the doubt
    expect(await other.claim('dead', 'three', RULE, 'ada')).toEqual({ state: 'doubt' });
    expect(await server.run('DBSIZE')).toBe(size);
    expect(failures).toEqual(Array(3).fill(expect.stringContaining('OOM')));
    await memory(0);
    expect(await other.claim('new', 'four', RULE, 'ada')).toEqual({ state: 'mine' });
  });

  it('C5: hears from who handles a key, and of how it ended where that needs no more memory', async () => {
    for (const key of ['long', 'fails']) await store.claim(key, `for-${key}`, RULE, 'ada');
    await memory(1);
    await store.end('fails', 'for-fails', { state: 'doubt' });
    expect(await other.claim('fails', 'two', RULE, 'ada')).toEqual({ state: 'doubt' });
    await staysRunning('long');
    expect(failures).toEqual([]);
  });

  it('C5: lets others wait for a reply that it can’t take, until there is memory', async () => {
    await store.claim('done', 'one', RULE, 'ada');
    await memory(1);
    await store.end('done', 'one', { state: 'kept', reply: LONG });
    await staysRunning('done');
    expect(new Set(failures)).toEqual(new Set([expect.stringContaining('OOM')]));
    await memory(0);
    await until(async () => (await other.claim('done', 'two', RULE, 'ada')).state === 'kept');
    expect(await other.claim('done', 'two', RULE, 'ada')).toEqual({ state: 'kept', reply: LONG });
  });
});
