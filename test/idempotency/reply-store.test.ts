import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { MemoryReplyStore } from '../../lib/idempotency/memory-reply-store.js';
import { RedisReplyStore } from '../../lib/idempotency/redis-reply-store.js';
import type { KeyRule, ReplyStore } from '../../lib/idempotency/reply-store.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const RULE: KeyRule = { windowMs: 60_000, rerun: false };
const LEASE_MS = 600;

/** The same keys, as two processes have them. In memory there is only one. */
interface Subject {
  store: ReplyStore;
  other: ReplyStore;
  failures: unknown[];
  stop(): Promise<void>;
}

async function memory(): Promise<Subject> {
  const failures: unknown[] = [];
  const store = new MemoryReplyStore({
    clock: systemClock,
    forgot: () => undefined,
    failed: (error) => void failures.push(error),
  });
  await store.start();
  return { store, other: store, failures, stop: () => store.stop() };
}

let server: TestRedis;

async function inRedis(): Promise<Subject> {
  const failures: unknown[] = [];
  const open = async (): Promise<{ store: RedisReplyStore; redis: Redis }> => {
    const redis = new Redis(server.port, '127.0.0.1', {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => 20,
    });
    redis.on('error', () => undefined);
    const store = new RedisReplyStore({
      connection: () => redis,
      connect: () => redis.connect(),
      close: async () => redis.disconnect(),
      prefix: 'keys',
      clock: systemClock,
      failed: (error) => void failures.push(error),
      leaseMs: LEASE_MS,
    });
    await store.start();
    return { store, redis };
  };
  const [one, two] = await Promise.all([open(), open()]);
  return {
    store: one.store,
    other: two.store,
    failures,
    async stop() {
      await Promise.all([one.store.stop(), two.store.stop()]);
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
    expect(await store.claim(key, 'one', RULE)).toEqual({ state: 'mine' });
    expect(await other.claim(key, 'two', RULE)).toMatchObject({ state: 'running' });
    await store.end(key, 'one', { state: 'kept', reply: 'r{"n":1}\n\u0000é' }, RULE);
    for (const one of [store, other])
      expect(await one.claim(key, 'three', RULE)).toEqual({ state: 'kept', reply: 'r{"n":1}\n\u0000é' });
    expect(await other.claim(`${key}!`, 'four', RULE)).toEqual({ state: 'mine' });
  });

  it('C5: gives a key to one of many who ask at once', async () => {
    const { store, other } = await begin();
    const claims = await Promise.all(
      Array.from({ length: 50 }, (_, n) => (n % 2 ? store : other).claim(key, `token-${n}`, RULE)),
    );
    expect(claims.filter(({ state }) => state === 'mine')).toHaveLength(1);
    expect(claims.filter(({ state }) => state === 'running')).toHaveLength(49);
  });

  it('gives a key again to the same asker, and to another one after nothing was done', async () => {
    const { store, other } = await begin();
    expect(await store.claim(key, 'one', RULE)).toEqual({ state: 'mine' });
    expect(await store.claim(key, 'one', RULE)).toEqual({ state: 'mine' });
    await store.end(key, 'one', { state: 'free' }, RULE);
    expect(await other.claim(key, 'two', RULE)).toEqual({ state: 'mine' });
  });

  it('gives a key in doubt to nobody, unless it may be handled again', async () => {
    const { store, other } = await begin();
    await store.claim(key, 'one', RULE);
    await store.end(key, 'one', { state: 'doubt' }, RULE);
    expect(await other.claim(key, 'two', RULE)).toEqual({ state: 'doubt' });
    expect(await other.claim(key, 'three', { ...RULE, rerun: true })).toEqual({ state: 'mine' });
    expect(await store.claim(key, 'four', RULE)).toMatchObject({ state: 'running' });
  });

  it('keeps what the asker of today said, not that of yesterday', async () => {
    const { store, other } = await begin();
    await store.claim(key, 'one', RULE);
    await store.end(key, 'one', { state: 'doubt' }, RULE);
    await other.claim(key, 'two', { ...RULE, rerun: true });
    await store.end(key, 'one', { state: 'kept', reply: 'late' }, RULE);
    expect(await store.claim(key, 'three', RULE)).toMatchObject({ state: 'running' });
    await other.end(key, 'two', { state: 'kept', reply: 'in time' }, RULE);
    expect(await store.claim(key, 'four', RULE)).toEqual({ state: 'kept', reply: 'in time' });
  });

  it('forgets a key after its window, which begins again at the end of its handler', async () => {
    const { store, other } = await begin();
    const rule = { ...RULE, windowMs: 300 };
    await store.claim(key, 'one', rule);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await store.end(key, 'one', { state: 'kept', reply: 'r1' }, rule);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await other.claim(key, 'two', rule)).toEqual({ state: 'kept', reply: 'r1' });
    await until(async () => (await other.claim(key, 'three', rule)).state === 'mine');
  });

  it('leaves in doubt what still runs when it stops', async () => {
    const { store, other } = await begin();
    await store.claim(key, 'one', RULE);
    await store.stop();
    expect(await other.claim(key, 'two', RULE)).toEqual({ state: 'doubt' });
  });
});

describe('a store of replies in memory', () => {
  it('forgets the oldest that has ended when there are too many, and says so', async () => {
    let forgotten = 0;
    const store = new MemoryReplyStore({
      clock: systemClock,
      maxKeys: 3,
      maxBytes: 10_000,
      forgot: () => void forgotten++,
      failed: () => undefined,
    });
    subject = { store, other: store, failures: [], stop: () => store.stop() };
    await store.claim('runs', 'token', RULE);
    for (const key of ['a', 'b', 'c']) {
      await store.claim(key, key, RULE);
      await store.end(key, key, { state: 'kept', reply: key }, RULE);
    }
    expect(forgotten).toBe(1);
    expect(await store.claim('runs', 'other', RULE)).toMatchObject({ state: 'running' });
    expect(await store.claim('b', 'other', RULE)).toEqual({ state: 'kept', reply: 'b' });
    await store.end('runs', 'token', { state: 'kept', reply: 'x'.repeat(9_700) }, RULE); // leaves no room for others
    expect(store.size).toBe(1);
    expect(forgotten).toBe(3);
  });
});

(hasRedis() ? describe : describe.skip)('a store of replies in Redis', () => {
  it('C5: hears from who handles a key, however long that takes', async () => {
    const { store, other } = (subject = await inRedis());
    await store.claim('long', 'one', RULE);
    const end = performance.now() + 3 * LEASE_MS;
    while (performance.now() < end) {
      expect(await other.claim('long', 'two', RULE)).toMatchObject({ state: 'running' });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  it('C5: leaves a key in doubt when its process is heard no more for a lease', async () => {
    const { store, other } = (subject = await inRedis());
    const redis = new Redis(server.port, '127.0.0.1');
    const dead = new RedisReplyStore({
      connection: () => redis,
      connect: async () => undefined,
      close: async () => redis.disconnect(),
      prefix: 'keys',
      clock: systemClock,
      failed: () => undefined,
      leaseMs: LEASE_MS,
    }); // never started: it renews nothing
    await redis.ping();
    await dead.claim('dead', 'one', RULE);
    expect(await other.claim('dead', 'two', RULE)).toMatchObject({ state: 'running' });
    await until(async () => (await other.claim('dead', 'two', RULE)).state === 'doubt', 2 * LEASE_MS);
    expect(await store.claim('dead', 'three', { ...RULE, rerun: true })).toEqual({ state: 'mine' });
    redis.disconnect();
  });

  it('writes what Redis could not take as soon as Redis is back', async () => {
    const { store, other, failures } = (subject = await inRedis());
    await store.claim('cut', 'one', RULE);
    const admin = new Redis(server.port, '127.0.0.1');
    await admin.client('PAUSE', 300, 'ALL');
    const ended = store.end('cut', 'one', { state: 'kept', reply: 'r' }, RULE);
    admin.disconnect();
    await ended;
    await until(async () => (await other.claim('cut', 'two', RULE)).state === 'kept');
    expect(failures).toEqual([]);
  });
});
