import { afterEach, describe, expect, it } from '@jest/globals';
import { HistoryRules } from '../../lib/history/history-options.js';
import type { HistoryRuleOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const message = { type: 'chat', action: 'news', data: 1 };

let stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function startNode(redis: TestRedis, rule: Partial<HistoryRuleOptions>): Promise<RunningApp> {
  const node = await startApp({ options: { redis: redis.url, rooms: { history: [{ match: 'chat:*', ...rule }] } } });
  stops.push(() => node.close());
  return node;
}

async function startRedis(): Promise<TestRedis> {
  const redis = await TestRedis.start();
  stops.push(() => redis.stop());
  return redis;
}

const said = ({ errors }: RunningApp): string[] =>
  errors.map((error) => error.message).filter((text) => text.includes('rooms.history'));

(hasRedis() ? describe : describe.skip)('the rules of rooms with history', () => {
  it('that differ between nodes are reported once by each, with what differs', async () => {
    const redis = await startRedis();
    const [ada, bob] = [await startNode(redis, { size: 100 }), await startNode(redis, { size: 200, ttlMs: 60_000 })];
    await until(async () => {
      for (const { service } of [ada, bob]) await service.publishToRoom(ROOM, message);
      return said(ada).length > 0 && said(bob).length > 0;
    });
    for (const { service } of [ada, bob, ada, bob]) await service.position(ROOM);
    expect(said(ada)).toHaveLength(1);
    expect(said(bob)).toHaveLength(1);
    expect(said(ada)[0]).toContain('size is 100 here and 200 there, ttlMs is 300000 here and 60000 there');
    expect(said(ada)[0]).toContain('Give every node and emitter the same rules');
  });

  it('may be changed with a restart: the rules of an earlier process are not compared', async () => {
    const redis = await startRedis();
    const former = await startNode(redis, { size: 100 });
    await former.service.publishToRoom(ROOM, message);
    await former.close();
    const next = await startNode(redis, { size: 200 });
    for (let n = 0; n < 5; n++) await next.service.publishToRoom(ROOM, message);
    await next.service.history(ROOM);
    expect(said(next)).toEqual([]);
  });

  it('that are the same everywhere are not reported', async () => {
    const redis = await startRedis();
    const nodes = [await startNode(redis, {}), await startNode(redis, {})];
    for (let n = 0; n < 3; n++) for (const { service } of nodes) await service.publishToRoom(ROOM, message);
    expect(nodes.flatMap(said)).toEqual([]);
  });

  it.each([
    [{ ttlMs: 5_000, metaTtlMs: 4_000 }, '"rooms.history[0].metaTtlMs" (4000) is shorter than "ttlMs" (5000)'],
    [
      { ttlMs: 1_000, keyTtlMs: 5_000, metaTtlMs: 4_000, checkMs: 1_000 },
      '"rooms.history[0].metaTtlMs" (4000) is shorter than "keyTtlMs" (5000)',
    ],
    [
      { ttlMs: 1_000, metaTtlMs: 4_000, checkMs: 1_334 },
      '"rooms.history[0].metaTtlMs" (4000) is shorter than three times "checkMs" (1334)',
    ],
  ])('stop the start when a room would be forgotten too early: %j', async (rule, flaw) => {
    const start = startApp({ options: { rooms: { history: [{ match: 'chat:*', ...rule }] } } });
    await expect(start).rejects.toThrow(flaw);
  });

  it.each([
    [
      { ttlMs: 1_000, metaTtlMs: 4_000 },
      { metaTtlMs: 4_000, keyTtlMs: 4_000, checkMs: 1_333 },
    ],
    [
      { ttlMs: 1_000, metaTtlMs: 4_000, checkMs: 1_000 },
      { keyTtlMs: 4_000, checkMs: 1_000 },
    ],
    [{ keyTtlMs: 100_000_000 }, { metaTtlMs: 100_000_000, checkMs: 15_000 }],
    [{ ttlMs: 100_000_000 }, { metaTtlMs: 100_000_000, keyTtlMs: 300_000 }],
    [{ checkMs: 50_000_000 }, { metaTtlMs: 150_000_000 }],
  ])('fit their defaults to what is given: %j', (rule, filled) => {
    expect(new HistoryRules([{ match: '*', ...rule }]).of('chat:1')).toMatchObject(filled);
  });

  it('can’t wait for a replica where there is no Redis', async () => {
    const start = startApp({ options: { rooms: { history: [{ match: 'chat:*', ack: 'replicated' }] } } });
    await expect(start).rejects.toThrow('"rooms.history[0].ack"');
  });
});
