import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { KeyBudget } from '../../lib/idempotency/key-budget.js';
import { KEYS } from '../../lib/options/key-options.js';
import { MemoryReplyStore } from '../../lib/idempotency/memory-reply-store.js';
import { RedisReplyStore } from '../../lib/idempotency/redis-reply-store.js';
import type { KeyRule, ReplyStore } from '../../lib/idempotency/reply-store.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { NamedKeys } from '../support/named-keys.js';
import { ManualClock } from '../support/manual-clock.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const RULE: KeyRule = { windowMs: 60_000, rerun: false };
const LEASE_MS = 1_500;
const LIMITS = { maxKeys: KEYS.maxKeys.default, maxBytes: KEYS.maxBytes.default, maxPerUser: 60 };

/** The same keys, as two processes have them. In memory there is only one. */
interface Subject {
  store: NamedKeys<ReplyStore>;
  other: NamedKeys<ReplyStore>;
  failures: unknown[];
  stop(): Promise<void>;
}

async function memory(): Promise<Subject> {
  const failures: unknown[] = [];
  const store = new MemoryReplyStore({
    ...LIMITS,
    clock: systemClock,
    forgot: () => undefined,
    failed: (error) => void failures.push(error),
  });
  await store.start();
  const keys = new NamedKeys<ReplyStore>(store);
  return { store: keys, other: keys, failures, stop: () => store.stop() };
}

let server: TestRedis;

/** One that leaves its connection to the test. */
const storeOn = (redis: Redis, failures: unknown[] = []): RedisReplyStore =>
  new RedisReplyStore({
    connection: () => redis,
    connect: async () => undefined,
    close: async () => undefined,
    prefix: 'keys',
    maxPerUser: LIMITS.maxPerUser,
    budget: new KeyBudget(KEYS.maxRedisBytes.default, systemClock),
    clock: systemClock,
    failed: (error) => void failures.push(error),
    leaseMs: LEASE_MS,
  });

async function inRedis(): Promise<Subject> {
  const failures: unknown[] = [];
  const open = async (): Promise<{ store: RedisReplyStore; redis: Redis }> => {
    const redis = new Redis(server.port, '127.0.0.1', {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => 20,
      disconnectTimeout: 10,
    });
    redis.on('error', () => undefined);
    const store = storeOn(redis, failures);
    await redis.connect();
    await store.start();
    return { store, redis };
  };
  const [one, two] = await Promise.all([open(), open()]);
  return {
    store: new NamedKeys<ReplyStore>(one.store),
    other: new NamedKeys<ReplyStore>(two.store),
    failures,
    async stop() {
      await Promise.all([one.store.stop(), two.store.stop()]);
      for (const { redis } of [one, two]) redis.disconnect();
    },
  };
}

const subjects: [string, () => Promise<Subject>][] = [['in memory', memory]];
if (hasRedis()) subjects.push(['in Redis', inRedis]);

let subject: Subject;
beforeAll(async () => {
  if (hasRedis()) server = await TestRedis.start();
});
afterAll(async () => server?.kill());
afterEach(async () => {
  await subject.stop();
  expect(subject.failures).toEqual([]);
});

describe.each(subjects)('a store of replies %s', (_where, create) => {
  let key = '';
  let count = 0;
  const begin = async (): Promise<Subject> => {
    key = `key ${count++} ${Math.random()}`;
    return (subject = await create());
  };

  it('C5: gives a key to one asker, and to the others what came of it', async () => {
    const { store, other } = await begin();
    expect(await store.claim(key, 'one', RULE, 'ada')).toEqual({ state: 'mine' });
    expect(await other.claim(key, 'two', RULE, 'ada')).toMatchObject({ state: 'running' });
    await store.end(key, 'one', { state: 'kept', reply: 'r{"n":1}\n\u0000é' });
    for (const one of [store, other])
      expect(await one.claim(key, 'three', RULE, 'ada')).toEqual({ state: 'kept', reply: 'r{"n":1}\n\u0000é' });
    expect(await other.claim(`${key}!`, 'four', RULE, 'ada')).toEqual({ state: 'mine' });
  });

  it('C5: gives a key to one of many who ask at once', async () => {
    const { store, other } = await begin();
    const claims = await Promise.all(
      Array.from({ length: 50 }, async (_, n) => (n % 2 ? store : other).claim(key, `token-${n}`, RULE, 'ada')),
    );
    expect(claims.filter(({ state }) => state === 'mine')).toHaveLength(1);
    expect(claims.filter(({ state }) => state === 'running')).toHaveLength(49);
  });

  it('gives a key again to the same asker, and to another one after nothing was done', async () => {
    const { store, other } = await begin();
    expect(await store.claim(key, 'one', RULE, 'ada')).toEqual({ state: 'mine' });
    expect(await store.claim(key, 'one', RULE, 'ada')).toEqual({ state: 'mine' });
    await store.end(key, 'one', { state: 'free' });
    expect(await other.claim(key, 'two', RULE, 'ada')).toEqual({ state: 'mine' });
  });

  it('gives a key in doubt to nobody, unless it may be handled again', async () => {
    const { store, other } = await begin();
    await store.claim(key, 'one', RULE, 'ada');
    await store.end(key, 'one', { state: 'doubt' });
    expect(await other.claim(key, 'two', RULE, 'ada')).toEqual({ state: 'doubt' });
    expect(await other.claim(key, 'three', { ...RULE, rerun: true }, 'ada')).toEqual({ state: 'mine' });
    expect(await store.claim(key, 'four', RULE, 'ada')).toMatchObject({ state: 'running' });
  });

  it('keeps what the asker of today said, not that of yesterday', async () => {
    const { store, other } = await begin();
    await store.claim(key, 'one', RULE, 'ada');
    await store.end(key, 'one', { state: 'doubt' });
    await other.claim(key, 'two', { ...RULE, rerun: true }, 'ada');
    await store.end(key, 'one', { state: 'kept', reply: 'late' });
    expect(await store.claim(key, 'three', RULE, 'ada')).toMatchObject({ state: 'running' });
    await other.end(key, 'two', { state: 'kept', reply: 'in time' });
    expect(await store.claim(key, 'four', RULE, 'ada')).toEqual({ state: 'kept', reply: 'in time' });
  });

  it('forgets a key after its window, which begins again at the end of its handler', async () => {
    const { store, other } = await begin();
    const rule = { ...RULE, windowMs: 3_000 };
    await store.claim(key, 'one', rule, 'ada');
    await new Promise((resolve) => setTimeout(resolve, 1_700));
    await store.end(key, 'one', { state: 'kept', reply: 'r1' });
    await new Promise((resolve) => setTimeout(resolve, 1_700));
    expect(await other.claim(key, 'two', rule, 'ada')).toEqual({ state: 'kept', reply: 'r1' });
    await until(async () => (await other.claim(key, 'three', rule, 'ada')).state === 'mine');
  });

  it('C5: knows a key while its handler runs, for longer than the window if need be', async () => {
    const { store, other } = await begin();
    const rule = { windowMs: 50, runMs: 60_000, rerun: false };
    await store.claim(key, 'one', rule, 'ada');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await other.claim(key, 'two', rule, 'ada')).toMatchObject({ state: 'running' });
    expect(await other.claim(key, 'two', rule, 'ada', 90)).toMatchObject({ state: 'running' });
  });

  it('C5: leaves in doubt what is sent again, unless it would know of the first time', async () => {
    const before = performance.now();
    const { store, other } = await begin();
    await other.claim(key, 'one', RULE, 'eve'); // has lost nothing since then
    const agoMs = performance.now() - before + 1_000;
    expect(await store.claim(`${key} old`, 'two', RULE, 'eve', agoMs)).toEqual({ state: 'doubt' });
    expect(await store.claim(`${key} old`, 'two', { ...RULE, rerun: true }, 'eve', agoMs)).toEqual({ state: 'mine' });
    await until(async () => (await store.claim(`${key} new`, 'three', RULE, 'eve', 0)).state === 'mine');
    await other.end(key, 'one', { state: 'kept', reply: 'r' });
  });

  it('C5: leaves in doubt what is sent again after the window of its key, whether it would still know of it or not', async () => {
    const { store, other } = await begin();
    const rule = { windowMs: 50, rerun: false };
    await store.claim(key, 'one', rule, 'eve');
    await store.end(key, 'one', { state: 'kept', reply: 'r' });
    await until(async () => (await other.claim(key, 'two', rule, 'eve', 60)).state !== 'kept');
    expect(await other.claim(key, 'two', rule, 'eve', 60)).toEqual({ state: 'doubt' });
    expect(await other.claim(key, 'three', rule, 'eve')).toEqual({ state: 'mine' }); // who doesn't say so begins anew
  });

  it('refuses the keys of an owner that has too many, and nobody else’s', async () => {
    const { store, other } = await begin();
    const owner = key;
    for (let n = 0; n < LIMITS.maxPerUser; n++) await store.claim(`${key} ${n}`, `token-${n}`, RULE, owner);
    const claim = async (): Promise<unknown> => other.claim(`${key} more`, 'token', RULE, owner);
    await expect(claim()).rejects.toMatchObject({ code: 'RATE_LIMITED', details: { retryAfterMs: 5_000 } });
    expect(await other.claim(`${key} 0`, 'again', RULE, owner)).toMatchObject({ state: 'running' });
    expect(await other.claim(`${key} more`, 'token', RULE, `${owner} else`)).toEqual({ state: 'mine' });
    await store.end(`${key} 0`, 'token-0', { state: 'free' });
    expect(await other.claim(`${key} other`, 'token', RULE, owner)).toEqual({ state: 'mine' });
  });

  it('leaves in doubt what still runs when it stops', async () => {
    const { store, other } = await begin();
    await store.claim(key, 'one', RULE, 'ada');
    await store.store.stop();
    expect(await other.claim(key, 'two', RULE, 'ada')).toEqual({ state: 'doubt' });
  });
});

describe('a store of replies in memory', () => {
  it('forgets the oldest that has ended when there are too many, and says how many at most once a second', async () => {
    const forgotten: number[] = [];
    const clock = new ManualClock();
    const inMemory = new MemoryReplyStore({
      ...LIMITS,
      clock,
      maxKeys: 3,
      maxBytes: 10_000,
      forgot: (keys) => void forgotten.push(keys),
      failed: () => undefined,
    });
    const store = new NamedKeys(inMemory);
    subject = { store, other: store, failures: [], stop: () => inMemory.stop() };
    store.claim('runs', 'token', RULE, 'ada');
    for (const [n, key] of ['a', 'b', 'c'].entries()) {
      const rule = { ...RULE, windowMs: RULE.windowMs * (3 - n) }; // the oldest goes, not the one with the shortest window
      store.claim(key, key, rule, 'ada');
      store.end(key, key, { state: 'kept', reply: key });
      await clock.pass(1);
    }
    expect(forgotten).toEqual([1]);
    expect(store.claim('runs', 'other', RULE, 'ada')).toMatchObject({ state: 'running' });
    expect(store.claim('b', 'other', RULE, 'ada')).toEqual({ state: 'kept', reply: 'b' });
    store.end('runs', 'token', { state: 'kept', reply: 'x'.repeat(9_700) }); // leaves no room for others
    expect(inMemory.size).toBe(1);
    expect(forgotten).toEqual([1]);
    await clock.pass(1_000);
    inMemory.sweep();
    expect(forgotten).toEqual([1, 2]);
  });

  it('C5: knows each of many keys, whether they come in order or not, also after others were forgotten', async () => {
    const clock = new ManualClock();
    const [maxKeys, owners] = [4_000, ['ada', 'eve', 'ida']];
    const inMemory = new MemoryReplyStore({
      ...LIMITS,
      clock,
      maxKeys,
      maxPerUser: 5_000,
      forgot: () => undefined,
      failed: () => undefined,
    });
    const store = new NamedKeys(inMemory);
    subject = { store, other: store, failures: [], stop: () => inMemory.stop() };
    const sent = Array.from({ length: 9_000 }, (_, n) => {
      const order = n % 3_000 < 1_500 ? n : 20_000 - ((n * 7_919) % 9_001);
      return { owner: owners[n % 3] as string, key: String(order).padStart(5, '0'), reply: `r${n}` };
    });
    for (const [n, { owner, key, reply }] of sent.entries()) {
      expect(store.claim(key, reply, RULE, owner)).toEqual({ state: 'mine' });
      store.end(key, reply, { state: 'kept', reply });
      if (n % 100 === 0) await clock.pass(1);
    }
    expect(inMemory.size).toBeLessThanOrEqual(maxKeys);
    expect(inMemory.size).toBeGreaterThan(0.99 * maxKeys);
    for (const { owner, key, reply } of sent.slice(-inMemory.size).toReversed()) {
      expect(store.claim(key, 'again', RULE, owner)).toEqual({ state: 'kept', reply });
      expect(store.claim(`${key}0`, 'new', RULE, `${owner} else`)).toEqual({ state: 'mine' });
      store.end(`${key}0`, 'new', { state: 'free' });
    }
  });

  it('keeps to its bytes, and empties itself by time, whatever comes in whatever order', async () => {
    const clock = new ManualClock();
    const failures: unknown[] = [];
    const inMemory = new MemoryReplyStore({
      ...LIMITS,
      clock,
      maxKeys: 50,
      maxBytes: 20_000,
      forgot: () => undefined,
      failed: (error) => void failures.push(error),
    });
    const store = new NamedKeys(inMemory);
    const running: string[] = [];
    for (let n = 0; n < 5_000; n++) {
      const key = `key ${(n * 7_919) % 211}`;
      const rule = { windowMs: [20, 50, 1_000][n % 3] as number, rerun: n % 5 === 0 };
      if (store.claim(key, key, rule, 'ada').state === 'mine') running.push(key);
      if (running.length > 10) {
        const ended = running.splice((n * 31) % running.length, 1)[0] as string;
        const state = (['kept', 'free', 'doubt'] as const)[n % 3] as 'kept';
        store.end(ended, ended, { state, reply: 'r'.repeat((n * 13) % 3_000) });
      }
      if (n % 4 === 0) await clock.pass(1);
      expect(inMemory.size).toBeLessThanOrEqual(50);
    }
    await clock.pass(2_000);
    inMemory.sweep();
    expect(inMemory.size).toBe(0);
    store.claim('last', 'one', RULE, 'ada');
    store.end('last', 'one', { state: 'kept', reply: 'x'.repeat(19_000) }); // all bytes are free again
    expect(store.claim('last', 'two', RULE, 'ada')).toMatchObject({ state: 'kept' });
    expect(failures).toEqual([]);
  });
});

(hasRedis() ? describe : describe.skip)('a store of replies in Redis', () => {
  it('C5: hears from who handles a key, however long that takes', async () => {
    const { store, other } = (subject = await inRedis());
    await store.claim('long', 'one', RULE, 'ada');
    const end = performance.now() + 2 * LEASE_MS;
    while (performance.now() < end) {
      expect(await other.claim('long', 'two', RULE, 'ada')).toMatchObject({ state: 'running' });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  it('C5: leaves a key in doubt when its process is heard no more for a lease', async () => {
    const { store, other } = (subject = await inRedis());
    const redis = new Redis(server.port, '127.0.0.1', { disconnectTimeout: 10 });
    const dead = new NamedKeys(storeOn(redis)); // never started: it renews nothing
    await redis.ping();
    await dead.claim('dead', 'one', RULE, 'ada');
    expect(await other.claim('dead', 'two', RULE, 'ada')).toMatchObject({ state: 'running' });
    await until(async () => (await other.claim('dead', 'two', RULE, 'ada')).state === 'doubt', 4 * LEASE_MS);
    expect(await store.claim('dead', 'three', { ...RULE, rerun: true }, 'ada')).toEqual({ state: 'mine' });
    redis.disconnect();
  });

  it('writes what Redis could not take as soon as Redis is back', async () => {
    const { store, other, failures } = (subject = await inRedis());
    await store.claim('cut', 'one', RULE, 'ada');
    const admin = new Redis(server.port, '127.0.0.1', { disconnectTimeout: 10 });
    await admin.client('PAUSE', 300, 'ALL');
    const ended = store.end('cut', 'one', { state: 'kept', reply: 'r' });
    admin.disconnect();
    await ended;
    await until(async () => (await other.claim('cut', 'two', RULE, 'ada')).state === 'kept');
    expect(failures).toEqual([]);
  });

  it('C5: counts how long its question is on its way to Redis', async () => {
    const { other } = (subject = await inRedis());
    const proxy = await TcpProxy.start(server.port);
    const redis = new Redis(proxy.port, '127.0.0.1', { disconnectTimeout: 10 });
    const store = new NamedKeys(storeOn(redis));
    try {
      await redis.ping();
      await store.claim('first', 'one', RULE, 'ada');
      proxy.hold('up');
      const claim = store.claim('late', 'one', RULE, 'ada', 1);
      await server.run('FLUSHALL');
      await other.claim('second', 'two', RULE, 'ada');
      await new Promise((resolve) => setTimeout(resolve, 50));
      proxy.heal();
      expect(await claim).toEqual({ state: 'doubt' });
      await until(async () => (await other.claim('late', 'two', RULE, 'ada')).state === 'mine');
    } finally {
      await store.store.stop();
      redis.disconnect();
      await proxy.stop();
    }
  });

  it('C5: an asker that hears of its claim after the lease begins nothing, and frees only what nobody was told of', async () => {
    const { other } = (subject = await inRedis());
    const proxy = await TcpProxy.start(server.port);
    const redis = new Redis(proxy.port, '127.0.0.1', { disconnectTimeout: 10 });
    const store = new NamedKeys(storeOn(redis));
    const again = { ...RULE, rerun: true };
    const rules = { free: RULE, doubted: RULE, taken: again };
    try {
      await redis.ping();
      await store.claim('before', 'one', RULE, 'ada');
      const size = Number(await server.run('DBSIZE'));
      proxy.hold('down');
      const claims = Object.entries(rules).map(([key, rule]) => store.claim(key, `for-${key}`, rule, 'ada'));
      const late = Promise.allSettled(claims);
      await until(async () => Number(await server.run('DBSIZE')) === size + claims.length);
      await until(async () => (await other.claim('doubted', 'two', RULE, 'ada')).state === 'doubt', 4 * LEASE_MS);
      await until(async () => (await other.claim('taken', 'two', again, 'ada')).state === 'mine', 4 * LEASE_MS);
      proxy.heal();
      expect(await late).toMatchObject(claims.map(() => ({ reason: { code: 'UNAVAILABLE' } })));
      await until(() => store.store.size === 1); // 'before'
      expect(await other.claim('free', 'two', RULE, 'ada')).toEqual({ state: 'mine' });
      expect(await other.claim('doubted', 'three', RULE, 'ada')).toEqual({ state: 'doubt' });
      expect(await store.claim('taken', 'three', again, 'ada')).toMatchObject({ state: 'running' });
    } finally {
      await store.store.stop();
      redis.disconnect();
      await proxy.stop();
    }
  });

  it.each(['is flushed', 'restarts from an older file'])(
    'C5: when Redis %s, what may have been lost is in doubt, and what runs is known again',
    async (how) => {
      const own = await TestRedis.start();
      const redis = new Redis(own.port, '127.0.0.1', { retryStrategy: () => 20, disconnectTimeout: 10 });
      redis.on('error', () => undefined);
      const [store, other] = [new NamedKeys(storeOn(redis)), new NamedKeys(storeOn(redis))];
      try {
        await until(() => redis.status === 'ready');
        await store.store.watch();
        await store.store.start();
        const began = performance.now();
        const agoMs = (): number => performance.now() - began + 1_000; // Redis reads its clock later
        await own.run('SAVE');
        await store.claim('done', 'one', RULE, 'ada');
        await store.end('done', 'one', { state: 'kept', reply: 'r' });
        await store.claim('runs', 'two', RULE, 'ada');
        if (how === 'is flushed') await own.run('FLUSHALL');
        else {
          await own.kill({ forgets: false });
          await own.start();
        }
        await until(() => redis.status === 'ready');
        await until(async () => (await other.claim('runs', 'three', RULE, 'ada', agoMs())).state === 'running');
        expect(await other.claim('done', 'four', RULE, 'ada', agoMs())).toEqual({ state: 'doubt' });
        await until(async () => (await other.claim('new', 'five', RULE, 'ada', 0)).state === 'mine');
      } finally {
        await store.store.stop();
        redis.disconnect();
        await own.stop();
      }
    },
  );
});
