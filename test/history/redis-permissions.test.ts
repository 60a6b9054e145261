import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { NestFactory } from '@nestjs/core';
import { Module } from '@nestjs/common';
import { PxlWebSocketModule, type WebSocketOptions } from '../../lib/index.js';
import { forNodes, rulesBesides } from '../support/acl-rules.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';

const forHistory = rulesBesides('history-operations');
const rules = [{ match: 'chat:*' }];
const message = { type: 'chat', action: 'news' };

(hasRedis() ? describe : describe.skip)('a user of Redis with the permissions that the pages give', () => {
  let redis: TestRedis;
  const stops: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });
  afterAll(() => redis.stop());

  async function startWith(without: string[], history: object[] = rules): Promise<RunningApp> {
    await redis.run('ACL', 'SETUSER', ...forNodes, ...forHistory, ...without);
    const app = await startApp({ options: { redis: redis.asApp, rooms: { history } as WebSocketOptions['rooms'] } });
    stops.push(() => app.close());
    return app;
  }

  it('has all that rooms with history need', async () => {
    const app = await startWith([]);
    const peer = await app.connect();
    await peer.join('chat:1');
    await app.service.publishToRoom('chat:1', message, { key: 'k' });
    await peer.next('chat', 'news');
    expect((await app.service.history('chat:1')).entries).toHaveLength(1);
    await app.service.clearHistory('chat:1');
    expect(app.errors).toEqual([]);
  });

  it('but INFO is told at the start that losses go unnoticed, and how to mend it; the rooms work', async () => {
    const app = await startWith(['-info']);
    expect(app.errors.map(({ message: text }) => text)).toEqual([
      expect.stringMatching(
        /^Redis refuses INFO to this user, .* Add the rule "\+info" to its ACL, or set "onRestart"/,
      ),
    ]);
    const peer = await app.connect();
    await peer.join('chat:1');
    await app.service.publishToRoom('chat:1', message);
    await peer.next('chat', 'news');
  });

  it('but WAIT doesn’t say that nothing was stored where a replica is waited for', async () => {
    const app = await startWith([], [{ match: 'chat:*', ack: 'replicated' }]);
    const peer = await app.connect();
    await peer.join('chat:2');
    const published = app.service.publishToRoom('chat:2', message);
    await expect(published).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
    await peer.next('chat', 'news');
  });

  it('of which one goes later: the client hears no more of it than its name', async () => {
    const app = await startWith([]);
    const peer = await app.connect();
    await redis.run('ACL', 'SETUSER', 'app', '-hmget');
    const { data } = await peer.request('system', 'joinRoom', { roomName: 'chat:3' });
    expect(data).toMatchObject({ code: 'UNAVAILABLE', error: expect.stringMatching(/\(Redis answered [A-Z]+\)/) });
    await expect(app.service.position('chat:3')).rejects.toMatchObject({
      cause: { message: expect.stringContaining('script') },
    });
  });

  it('but INFO is told nothing where Redis is trusted', async () => {
    expect((await startWith(['-info'], [{ match: 'chat:*', onRestart: 'trust' }])).errors).toEqual([]);
  });

  it('but EVAL ends the start, and names the rule: the registry needs it, too', async () => {
    await expect(startWith(['-eval', '-evalsha'])).rejects.toThrow('Add the rule "+eval"');
  });

  it('but INFO is told so in an emitter, too', async () => {
    await startWith(['-info'], []);
    const errors: string[] = [];
    @Module({
      imports: [
        PxlWebSocketModule.forRoot({
          type: 'emitter',
          redis: redis.asApp,
          rooms: { history: rules },
          events: { onError: ({ error }) => errors.push(error.message) },
        }),
      ],
    })
    class WorkerModule {}
    const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: false });
    stops.push(() => worker.close());
    expect(errors).toEqual([expect.stringContaining('"+info"')]);
  });
});
