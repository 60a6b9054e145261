import { afterEach, describe, expect, it } from '@jest/globals';
import { startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const news = (n: number): { type: string; action: string; data: unknown } => ({
  type: 'chat',
  action: 'news',
  data: { n },
});

let stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

(hasRedis() ? describe : describe.skip)('a publication', () => {
  it('H10: reaches nobody when it isn’t stored, not even on the publisher’s node', async () => {
    const redis = await TestRedis.start(['--appendonly', 'yes', '--appendfsync', 'always']);
    stops.push(() => redis.stop());
    const node = await startApp({
      options: { redis: redis.url, rooms: { history: [{ match: 'chat:*', onRestart: 'trust' }] } },
    });
    stops.push(() => node.close());
    const peer = await node.connect();
    await peer.join(ROOM);
    await node.service.publishToRoom(ROOM, news(1));
    await redis.kill({ forgets: false });
    const watch = new Stopwatch();
    await expect(node.service.publishToRoom(ROOM, news(2))).rejects.toMatchObject({
      code: expect.stringMatching(/^(UNAVAILABLE|UNKNOWN_OUTCOME)$/),
    });
    await expect(node.service.sendToRooms([ROOM], news(3))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    node.server.broadcastToRoom({ roomName: ROOM, data: news(4) });
    expect(watch.ms).toBeLessThan(5_000); // where it waits for Redis, 10 s
    await peer.settle();
    await redis.start();
    await until(() =>
      node.service.publishToRoom(ROOM, news(5)).then(
        () => true,
        () => false,
      ),
    );
    await until(() => peer.received.some(({ data }) => data?.n === 5));
    const got = peer.received.filter(({ at }) => at).map(({ data, at }) => [data.n, at.offset]);
    expect(got).toEqual([
      [1, 1],
      [5, 2],
    ]);
  });

  it('is of unknown outcome within 10 s while Redis doesn’t answer; joins are refused, and it is stored once', async () => {
    const redis = await TestRedis.start();
    stops.push(() => redis.stop());
    const node = await startApp({ options: { redis: redis.url, rooms: { history: [{ match: 'chat:*' }] } } });
    stops.push(() => node.close());
    const peer = await node.connect();
    await peer.join(ROOM);
    redis.freeze();
    const watch = new Stopwatch();
    peer.send('system', 'joinRoom', { roomName: 'chat:2' }, 'join');
    const published = node.service.publishToRoom(ROOM, news(1), { key: 'k' });
    await expect(published).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
    const { data } = await peer.take(({ id }) => id === 'join');
    expect(data).toMatchObject({ code: 'UNAVAILABLE', type: 'system', action: 'joinRoom' });
    expect(watch.ms).toBeLessThan(10_000);
    expect(peer.received).toEqual([]);
    redis.thaw();
    await until(() =>
      node.service.publishToRoom(ROOM, news(1), { key: 'k' }).then(
        ({ offset }) => offset === 1,
        () => false,
      ),
    );
    await peer.next('chat', 'news');
    await peer.settle();
    expect(peer.received).toEqual([]);
    expect((await peer.join('chat:2')).response.data.history).toMatchObject({ offset: 0 });
  });
});
