import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { PxlWebSocketModule, WebSocketRedisSubscriberEvent, WebSocketService } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';

const message = { type: 'news', action: 'flash', data: { n: 1 } };

(hasRedis() ? describe : describe.skip)('an emitter in a process without sockets', () => {
  let redis: TestRedis;
  const closing: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });
  const heard: unknown[] = [];
  const start = async (): Promise<RunningApp> => {
    heard.length = 0;
    const app = await startApp({
      options: {
        redis: redis.url,
        prefix: 'emitted',
        subscriberEventHandler: ({ channel, message: told }) => {
          if (channel === WebSocketRedisSubscriberEvent.QueueJobCompleted) heard.push(told);
        },
      },
    });
    closing.push(() => app.close());
    return app;
  };

  it.each(['a connection', 'an object with one as publisherClient', 'type: emitter'])(
    'made of %s reaches the nodes',
    async (kind) => {
      const app = await start();
      const [ada, bob] = [await app.connect(), await app.connect()];
      await ada.join('red', { userId: 'u7' });
      await ada.join('blue');
      let service: WebSocketService;
      if (kind === 'type: emitter') {
        @Module({ imports: [PxlWebSocketModule.forRoot({ type: 'emitter', redis: redis.url, prefix: 'emitted' })] })
        class WorkerModule {}
        const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: false });
        closing.push(() => worker.close());
        service = worker.get(WebSocketService);
      } else {
        const connection = new Redis(redis.url);
        closing.push(() => connection.quit());
        const redisInstance = kind === 'a connection' ? connection : { publisherClient: connection };
        service = new WebSocketService({ redisInstance, workerId: '5', prefix: 'emitted' });
      }
      const flash = (): Promise<unknown> => ada.next('news', 'flash');
      await service.broadcast(message);
      expect(await flash()).toEqual(message);
      await bob.next('news', 'flash');
      await service.sendToRooms(['red', 'blue'], message);
      await flash();
      await service.sendToUsers(['u7'], message);
      await flash();
      await service.sendToClients([ada.clientId, 'unknown'], message);
      await flash();
      await service.publish(WebSocketRedisSubscriberEvent.QueueJobCompleted, { jobId: 1 });
      await service.disconnectClient(ada.clientId, { code: 4321, reason: 'done' });
      expect(await ada.closed).toEqual({ code: 4321, reason: 'done' });
      await bob.settle();
      expect([ada, bob].flatMap((peer) => peer.received.filter(({ type }) => type === 'news'))).toEqual([]);
      expect(heard).toEqual([{ jobId: 1 }]);
    },
  );

  it('rejects what it can not hand over', async () => {
    const connection = new Redis(redis.url, { enableOfflineQueue: false, lazyConnect: true });
    const service = new WebSocketService({ redisInstance: connection });
    await expect(service.broadcast(message)).rejects.toThrow();
    connection.disconnect();
  });
});
