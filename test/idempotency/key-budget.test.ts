import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { KeyBudget } from '../../lib/idempotency/key-budget.js';
import { RedisReplyStore } from '../../lib/idempotency/redis-reply-store.js';
import type { KeyRule } from '../../lib/idempotency/reply-store.js';
import { ManualClock } from '../support/manual-clock.js';
import { NamedKeys } from '../support/named-keys.js';
import { hasRedis, TestRedis } from '../support/redis.js';

describe('the bytes that keys may take in Redis', () => {
  it('are free again when Redis has forgotten the keys, or earlier if they are given back', async () => {
    const clock = new ManualClock();
    const budget = new KeyBudget(1_800, clock); // of three keys
    const [one, two] = [budget.takeKey(10_000), budget.takeKey(20_000)];
    expect(budget.takeKey(30_000).bytes).toBe(budget.bytes / 3);
    expect(budget.takeKey(1_000).bytes).toBe(0);
    budget.giveBack(two);
    expect(budget.bytes).toBe(1_200);
    await clock.pass(11_000);
    expect(budget.bytes).toBe(600);
    budget.giveBack(one); // it was free by then
    expect(budget.bytes).toBe(600);
    await clock.pass(86_400_000);
    expect(budget.bytes).toBe(0);
  });

  it('are counted whatever comes in whatever order', async () => {
    const clock = new ManualClock();
    const budget = new KeyBudget(100_000, clock);
    let model: { bytes: number; until: number }[] = [];
    for (let n = 0; n < 5_000; n++) {
      const forMs = 1_000 * (1 + ((n * 7) % 13));
      let taken = budget.takeKey(forMs);
      if (taken.bytes === 0) budget.refuse(forMs);
      else if (n % 5 === 0) budget.giveBack(taken);
      else {
        const reply = budget.hasRoomFor((n * 31) % 5_000) ? (n * 31) % 5_000 : 0;
        taken = budget.renew(taken, reply, forMs);
        model.push({ bytes: taken.bytes, until: clock.now() + forMs });
      }
      if (n % 3 === 0) await clock.pass(97);
      const isCounted = ({ until }: { until: number }): boolean => until > clock.now();
      model = model.filter(({ until }) => until > clock.now() - 1_000);
      const sum = (list: typeof model): number => list.reduce((all, { bytes }) => all + bytes, 0);
      expect(budget.bytes).toBeGreaterThanOrEqual(sum(model.filter(isCounted)));
      expect(budget.bytes).toBeLessThanOrEqual(Math.min(100_000, sum(model)));
    }
    expect(budget.tell()).toMatch(/keys\.maxRedisBytes.* [1-9]\d* messages .* [1-9]\d* replies/);
    expect(budget.tell()).toBeUndefined();
    await clock.pass(15_000);
    expect(budget.bytes).toBe(0);
  });
});

(hasRedis() ? describe : describe.skip)('a store of replies in Redis that is full', () => {
  const RULE: KeyRule = { windowMs: 60_000, rerun: false };
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });

  async function start(maxBytes: number) {
    const server = await TestRedis.start();
    const redis = new Redis(server.port, '127.0.0.1');
    const clock = new ManualClock();
    const budget = new KeyBudget(maxBytes, clock);
    const failures: string[] = [];
    const inRedis = new RedisReplyStore({
      connection: () => redis,
      connect: async () => undefined,
      close: async () => undefined,
      prefix: 'keys',
      maxPerUser: 100_000,
      budget,
      clock,
      failed: (error) => void failures.push(String(error)),
    });
    await redis.ping();
    await inRedis.start();
    stops.push(
      () => server.stop(),
      () => redis.disconnect(),
      () => inRedis.stop(),
    );
    return { redis, clock, budget, failures, store: new NamedKeys(inRedis) };
  }

  it('refuses new keys, answers those that it knows, and says so', async () => {
    const { store, clock, budget, failures } = await start(1_200); // of two keys
    await store.claim('one', '1', RULE, 'ada');
    await store.end('one', '1', { state: 'kept', reply: 'r1' });
    await store.claim('two', '2', RULE, 'bob');
    await expect(store.claim('three', '3', RULE, 'eve')).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      details: { retryAfterMs: 5_000 },
    });
    expect(await store.claim('one', '4', RULE, 'ada')).toEqual({ state: 'kept', reply: 'r1' });
    expect(await store.claim('two', '5', RULE, 'bob')).toMatchObject({ state: 'running' });
    await store.end('two', '2', { state: 'free' });
    expect(await store.claim('three', '3', RULE, 'eve')).toEqual({ state: 'mine' });
    expect(budget.bytes).toBe(1_200);
    await clock.pass(2_000);
    expect(failures.join()).toMatch(
      /"keys.maxRedisBytes" is reached: 1 messages with a key were refused, and 0 replies/,
    );
    await clock.pass(61_000);
    expect(budget.bytes).toBe(0);
  });

  it('knows that there was a reply, and keeps only short ones, so that replies leave room for keys', async () => {
    const { store } = await start(20_000);
    const outcomes: unknown[] = [];
    for (let n = 0; n < 10; n++) {
      await store.claim(`key ${n}`, `${n}`, RULE, 'ada');
      await store.end(`key ${n}`, `${n}`, { state: 'kept', reply: n === 9 ? 'rshort' : `r${'é'.repeat(1_500)}` });
      const again = await store.claim(`key ${n}`, 'other', RULE, 'ada');
      outcomes.push(again.state === 'kept' ? again.reply.slice(0, 6) : again);
    }
    const [kept, without] = [Array(2).fill('réééé'.padEnd(6, 'é')), Array(7).fill('l')];
    expect(outcomes).toEqual([...kept, ...without, 'rshort']);
  });

  it('takes no more of Redis than it counts, whoever sends them', async () => {
    const { store, redis, budget } = await start(3_000_000);
    const used = async (): Promise<number> => {
      const info = await redis.info('memory');
      const [all, buffers] = [/^used_memory:(\d+)/m.exec(info)?.[1], /^mem_clients_normal:(\d+)/m.exec(info)?.[1]];
      return Number(all) - Number(buffers);
    };
    await store.claim('the first one', 'token', RULE, 'loads the scripts');
    await store.end('the first one', 'token', { state: 'free' });
    const before = await used();
    let count = 0;
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10_000 }, async (_, n) => {
        const [key, token] = [`${n}`, `6ba7b810-9dad-41d1-80b4-00c04fd430c8:${n}`];
        await store.claim(key, token, RULE, `session ${n}`);
        count++;
        await store.end(key, token, { state: 'kept', reply: `r${'x'.repeat(n % 7 ? 40 : 4_000)}` });
      }),
    );
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(10_000 - count);
    expect(count).toBeGreaterThan(2_000);
    expect(budget.bytes).toBeLessThanOrEqual(3_000_000);
    expect((await used()) - before).toBeLessThanOrEqual(budget.bytes);
  });
});
