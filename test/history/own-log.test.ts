import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import type { RoomLog } from '../../lib/index.js';
import { LogUnavailableError, WebSocketService } from '../../lib/index.js';
import { MemoryRoomLog } from '../../lib/history/memory-room-log.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const history = [{ match: 'chat:*', checkMs: 300 }];
const news = (n: number): { type: string; action: string; data: unknown } => ({
  type: 'chat',
  action: 'news',
  data: { n },
});
const seen = (peer: Peer): number[] =>
  peer.received.filter(({ action }) => action === 'news').map(({ at }) => at.offset);

let stops: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

/** As an application would keep it in its database: it tells nobody. */
const ownLog = (): RoomLog =>
  new MemoryRoomLog({
    retentionOf: () => ({
      mode: 'log',
      size: 100,
      ttlMs: 60_000,
      maxBytes: 100_000,
      keyTtlMs: 60_000,
      metaTtlMs: 60_000,
    }),
    newEpoch: randomUUID,
    announce: () => undefined,
    now: () => performance.now(),
    wallMs: Date.now,
  });

async function startNodes(kind: string, log: RoomLog): Promise<{ nodes: RunningApp[]; redis: TestRedis | undefined }> {
  const redis = kind === 'two nodes on Redis' ? await TestRedis.start() : undefined;
  if (redis) stops.push(() => redis.stop());
  const start = async (): Promise<RunningApp> => {
    const node = await startApp({ options: { redis: redis?.url, rooms: { history, log } } });
    stops.push(() => node.close());
    return node;
  };
  return { nodes: redis ? [await start(), await start()] : [await start()], redis };
}

describe.each(hasRedis() ? ['one process', 'two nodes on Redis'] : ['one process'])(
  'a log of the application’s own in %s',
  (kind) => {
    it('H1, H2, H3: gives places; members everywhere get each message once, and what they missed', async () => {
      const { nodes, redis } = await startNodes(kind, ownLog());
      const [first, last] = [nodes[0] as RunningApp, nodes.at(-1) as RunningApp];
      const [ada, bob] = [await first.connect(), await last.connect()];
      const { epoch } = (await ada.join(ROOM)).response.data.history;
      await bob.join(ROOM);
      for (let n = 1; n <= 5; n++)
        expect(await (n % 2 ? first : last).service.publishToRoom(ROOM, news(n))).toEqual({
          epoch,
          offset: n,
          isDuplicate: false,
        });
      await until(() => [ada, bob].every((peer) => seen(peer).length === 5));
      for (const peer of [ada, bob]) expect(seen(peer)).toEqual([1, 2, 3, 4, 5]);
      const back = await last.connect();
      const { response } = await back.join(ROOM, { since: { epoch, offset: 2 } });
      expect(response.data.history).toMatchObject({ recovered: true, missed: 3 });
      await until(() => seen(back).length === 3);
      expect(await redis?.run('KEYS', '*{chat:1}*')).toEqual(redis && []);
      const anew = await first.service.clearHistory(ROOM);
      expect((await bob.next('system', 'roomReset')).data).toMatchObject({ epoch: anew.epoch, reason: 'cleared' });
      expect(nodes.flatMap(({ errors }) => errors.map(({ stack }) => stack))).toEqual([]);
    });

    it('that refuses: the publisher is told, and nobody gets it', async () => {
      const log = ownLog();
      const { nodes } = await startNodes(kind, log);
      const [node] = nodes as [RunningApp];
      const peer = await node.connect();
      await peer.join(ROOM);
      const { append } = log;
      log.append = () => Promise.reject(new LogUnavailableError('the database is away'));
      await expect(node.service.publishToRoom(ROOM, news(1))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      log.append = append;
      expect(await node.service.publishToRoom(ROOM, news(2))).toMatchObject({ offset: 1 });
      await until(() => seen(peer).length === 1);
    });
  },
);

(hasRedis() ? describe : describe.skip)('a log of the application’s own', () => {
  it('is what an emitter publishes to, too', async () => {
    const log = ownLog();
    const { nodes, redis } = await startNodes('two nodes on Redis', log);
    const peer = await (nodes[0] as RunningApp).connect();
    await peer.join(ROOM);
    const connection = new Redis((redis as TestRedis).url);
    stops.push(() => connection.disconnect());
    const emitter = new WebSocketService({ redisInstance: connection, rooms: { history, log } });
    await emitter.publishToRoom(ROOM, news(1));
    await until(() => seen(peer).length === 1);
  });

  it('H9: a message that nobody was told of is found by the check', async () => {
    const log = ownLog();
    const { nodes } = await startNodes('two nodes on Redis', log);
    const peer = await (nodes[0] as RunningApp).connect();
    await peer.join(ROOM);
    await log.append(ROOM, JSON.stringify(news(1)));
    await until(() => seen(peer).length === 1, 3_000);
  });
});

it('must have the methods of one', async () => {
  await expect(
    startApp({ options: { rooms: { history, log: { append: () => undefined } as never } } }),
  ).rejects.toThrow('"rooms.log" must be an object with the methods append(), read(), top() and clear()');
});
