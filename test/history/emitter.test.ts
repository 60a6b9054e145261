import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import {
  type HistoryRuleOptions,
  PxlWebSocketModule,
  WebSocketService,
  type WebSocketServiceOptions,
} from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const history: HistoryRuleOptions[] = [{ match: 'chat:*', size: 100 }];
const news = (n: number): { type: string; action: string; data: unknown } => ({
  type: 'chat',
  action: 'news',
  data: { n },
});

(hasRedis() ? describe : describe.skip)('an emitter that knows which rooms keep what is published', () => {
  let redis: TestRedis;
  const closing: (() => Promise<unknown> | void)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
    await redis.run('FLUSHALL');
  });
  const startNode = async (): Promise<RunningApp> => {
    const app = await startApp({ options: { redis: redis.url, rooms: { history } } });
    closing.push(() => app.close());
    return app;
  };
  const byHand = (options: Partial<WebSocketServiceOptions> = { rooms: { history } }): WebSocketService => {
    const connection = new Redis(redis.url);
    connection.on('error', () => undefined);
    closing.push(() => connection.disconnect());
    return new WebSocketService({ redisInstance: connection, ...options });
  };
  const inAModule = async (): Promise<WebSocketService> => {
    @Module({ imports: [PxlWebSocketModule.forRoot({ type: 'emitter', redis: redis.url, rooms: { history } })] })
    class WorkerModule {}
    const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: false });
    closing.push(() => worker.close());
    return worker.get(WebSocketService);
  };

  it.each([
    ['a connection', async () => byHand()],
    ['type: emitter', inAModule],
  ] as const)('H1, H2, H10: made of %s publishes as nodes do: stored first, with a place', async (_kind, make) => {
    const node = await startNode();
    const emitter = await make();
    const peer = await node.connect();
    const { epoch } = (await peer.join(ROOM)).response.data.history;
    await peer.join('plain');
    expect(await emitter.publishToRoom(ROOM, news(1), { key: 'k' })).toEqual({ epoch, offset: 1, isDuplicate: false });
    expect(await emitter.publishToRoom(ROOM, news(1), { key: 'k' })).toEqual({ epoch, offset: 1, isDuplicate: true });
    await node.service.publishToRoom(ROOM, news(2));
    await emitter.sendToRooms([ROOM, 'plain'], news(3));
    expect(await emitter.publishToRooms([ROOM, 'chat:2'], news(4))).toEqual({
      [ROOM]: { epoch, offset: 4, isDuplicate: false },
      'chat:2': { epoch: expect.any(String), offset: 1, isDuplicate: false },
    });
    await until(() => peer.received.filter(({ action }) => action === 'news').length === 5);
    const kept = peer.received.filter(({ at }) => at).map(({ data, at }) => [data.n, at.offset]);
    expect(kept).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 4],
    ]);
    expect(await emitter.position(ROOM)).toEqual({ epoch, offset: 4 });
    expect(await emitter.history(ROOM)).toEqual(await node.service.history(ROOM));
    await expect(emitter.sendToRooms([ROOM], news(5), { volatile: true })).rejects.toThrow('"volatile"');
    expect((await emitter.clearHistory(ROOM)).epoch).not.toBe(epoch);
    expect(node.errors).toEqual([]);
  });

  it('is told at once when Redis is away, and publishes when it is back', async () => {
    const away = await TestRedis.reserve();
    closing.push(() => away.stop());
    const connection = new Redis(away.url);
    connection.on('error', () => undefined);
    closing.push(() => connection.disconnect());
    const emitter = new WebSocketService({ redisInstance: connection, rooms: { history } });
    const watch = new Stopwatch();
    await expect(emitter.publishToRoom(ROOM, news(1))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(watch.ms).toBeLessThan(5_000); // where it waits for Redis, 10 s
    await away.start();
    await until(() => connection.status === 'ready');
    expect(await emitter.publishToRoom(ROOM, news(1))).toMatchObject({ offset: 1 });
  });

  it('names what is wrong with its rules', () => {
    expect(() => byHand({ rooms: { history: [{ match: 'chat:*', size: 0 }] } })).toThrow('"rooms.history[0].size"');
  });

  it('without the rules: its message is left out, counted and reported once, and nobody gets it', async () => {
    const node = await startNode();
    const peer = await node.connect();
    await peer.join(ROOM);
    const emitter = byHand({});
    for (let n = 1; n <= 3; n++) await emitter.sendToRooms([ROOM], news(n));
    await until(() => node.server.status.counters.junk === 3);
    await node.service.publishToRoom(ROOM, news(4));
    await until(() => peer.received.some(({ action }) => action === 'news'));
    expect(peer.received.filter(({ action }) => action === 'news').map(({ data }) => data.n)).toEqual([4]);
    expect(node.errors.filter(({ message }) => message.includes('keeps its messages'))).toHaveLength(1);
    await expect(emitter.publishToRoom(ROOM, news(5))).rejects.toThrow('keeps no messages');
  });
});
