import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import type { RoomLog } from '../../lib/index.js';
import { LogUnavailableError, WebSocketService } from '../../lib/index.js';
import { AnnouncedRoomLog } from '../../lib/history/announced-room-log.js';
import type { Announcement } from '../../lib/history/announcement.js';
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
      emptyTtlMs: 60_000,
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
    await until(() => seen(peer).length === 1);
  });
});

/** Answers only while `isOpen()`: what was asked before is done then. */
class SilentLog implements RoomLog {
  readonly #own = ownLog();
  #isOpen = false;
  #waiting: (() => void)[] = [];

  append: RoomLog['append'] = (...args) => this.#opened(() => this.#own.append(...args));
  read: RoomLog['read'] = (...args) => this.#opened(() => this.#own.read(...args));
  top: RoomLog['top'] = (...args) => this.#opened(() => this.#own.top(...args));
  clear: RoomLog['clear'] = (...args) => this.#opened(() => this.#own.clear(...args));

  open(isOpen = true): void {
    this.#isOpen = isOpen;
    if (isOpen) for (const done of this.#waiting.splice(0)) done();
  }

  async #opened<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return work();
  }
}

describe('a log of the application’s own that doesn’t answer', () => {
  it('keeps nobody waiting; what it stores late is announced all the same', async () => {
    const announced: Announcement[] = [];
    const silent = new SilentLog();
    const log = new AnnouncedRoomLog(silent, (_room, said) => void announced.push(said), systemClock, 50);
    await Promise.all([
      expect(log.top([ROOM])).rejects.toThrow(LogUnavailableError),
      expect(log.read(ROOM, { limit: 1, maxBytes: 1 })).rejects.toThrow(LogUnavailableError),
      expect(log.append(ROOM, '"x"')).rejects.toMatchObject({
        code: 'UNKNOWN_OUTCOME',
        message: expect.stringContaining("the log didn't answer within 50 ms"),
      }),
      expect(log.clear('chat:2')).rejects.toMatchObject({
        code: 'UNKNOWN_OUTCOME',
        message: expect.stringContaining('Clear the history again'),
      }),
    ]);
    expect(announced).toEqual([]);
    silent.open();
    await until(() => announced.length === 2);
    expect(announced.map(({ kind }) => kind).toSorted()).toEqual(['cleared', 'stored']);
    expect((await log.top([ROOM]))[0]).toMatchObject({ offset: 1 });
  });

  it('is asked for no more than so much at a time', async () => {
    const log = new AnnouncedRoomLog(new SilentLog(), () => undefined, systemClock, 200);
    const frame = 'x'.repeat(1_048_576);
    const errors = await Promise.all(
      Array.from({ length: 70 }, () => log.append(ROOM, frame).catch(({ code }: { code: string }) => code)),
    );
    expect(errors.slice(0, 64)).toEqual(Array.from({ length: 64 }, () => 'UNKNOWN_OUTCOME'));
    expect(errors.slice(-2)).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
    await expect(log.append(ROOM, frame)).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' }); // there is room again
  });

  it('is told of within 5 s to those who join and publish; afterwards the members have everything', async () => {
    const log = new SilentLog();
    const { nodes } = await startNodes('one process', log);
    const [node] = nodes as [RunningApp];
    log.open();
    const member = await node.connect();
    await member.join(ROOM);
    await node.service.publishToRoom(ROOM, news(1));
    log.open(false);
    const newcomer = await node.connect();
    const asked = ['chat:1', 'chat:2'].map((roomName) => ({ roomName, tail: 90 }));
    newcomer.send('system', 'joinRooms', { rooms: asked }, 'many');
    member.send('system', 'history', { roomName: ROOM }, 'page');
    const published = node.service.publishToRoom(ROOM, news(2), { key: 'two' });
    await expect(published).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
    await newcomer.take(({ id, done }) => id === 'many' && done);
    const answers = newcomer.received.filter(({ id, response }) => id === 'many' && response);
    expect(answers.map(({ response }) => [response.roomName, response.error?.code])).toEqual([
      ['chat:1', undefined], // the newest messages are in memory
      ['chat:2', 'UNAVAILABLE'],
    ]);
    expect((await member.take(({ id }) => id === 'page')).data.code).toBe('UNAVAILABLE');
    log.open();
    expect(await node.service.publishToRoom(ROOM, news(2), { key: 'two' })).toMatchObject({ offset: 2 });
    await until(() => seen(member).length === 2);
    await member.settle();
    expect(seen(member)).toEqual([1, 2]);
    expect((await newcomer.join('chat:2')).response.data.history).toMatchObject({ offset: 0 });
  });
});

describe('a log of the application’s own that is slow', () => {
  const start = async (): Promise<{ log: SilentLog; node: RunningApp; member: Peer }> => {
    const log = new SilentLog();
    log.open();
    const [node] = (await startNodes('one process', log)).nodes as [RunningApp];
    const member = await node.connect();
    await member.join(ROOM);
    await node.service.publishToRoom(ROOM, news(1));
    await member.next('chat', 'news');
    log.open(false);
    return { log, node, member };
  };
  const throwOut = ({ server, rooms }: RunningApp, { clientId }: Peer): void => {
    server.leaveRoom({ clientId, roomName: ROOM });
    expect(rooms.getRoomClients({ roomName: ROOM })).toEqual([]);
  };

  it('shows no messages to a client that was thrown out before they were read', async () => {
    const { log, node, member } = await start();
    const page = member.request('system', 'history', { roomName: ROOM });
    await member.settle();
    throwOut(node, member);
    log.open();
    expect((await page).data.code).toBe('NOT_IN_ROOM');
  });

  it('H15: lets nobody recover who was thrown out before its place was read', async () => {
    const { log, node, member } = await start();
    const since = { epoch: 'another', offset: 7 };
    const again = member.request('system', 'joinRoom', { roomName: ROOM, since });
    await member.settle();
    throwOut(node, member);
    log.open();
    expect((await again).data.code).toBe('ROOM_FORBIDDEN');
    await node.service.publishToRoom(ROOM, news(2));
    await member.settle();
    expect(seen(member)).toEqual([]);
    expect(node.rooms.getRoomClients({ roomName: ROOM })).toEqual([]);
  });
});

describe('a log of the application’s own that answers wrongly', () => {
  const place = { epoch: 'e', offset: 1 };
  const read = { epoch: 'e', top: 1, first: 1, entries: [], isComplete: true, now: 1 };
  const entry = { offset: 1, storedAt: 1, frame: '1', session: undefined };

  it.each([undefined, null, {}, { ...place, offset: '1' }, { ...place, epoch: 'two words' }, { ...place, epoch: 1 }])(
    'is reported, and nothing of it is used: %j for a place',
    async (wrong) => {
      const announced: Announcement[] = [];
      const log = new AnnouncedRoomLog(
        {
          append: async () => wrong as never,
          top: async () => [wrong] as never,
          clear: async () => wrong as never,
          read: async () => ({ ...read, epoch: undefined, ...wrong, top: Object(wrong).offset }) as never,
        },
        (_room, said) => void announced.push(said),
        systemClock,
      );
      const calls = [
        log.append(ROOM, '1'),
        log.top([ROOM]),
        log.clear(ROOM),
        log.read(ROOM, { limit: 1, maxBytes: 1 }),
      ];
      for (const call of calls) await expect(call).rejects.toThrow('of "rooms.log" returned no place');
      expect(announced).toEqual([]);
    },
  );

  it.each([
    { first: '1' },
    { entries: undefined },
    { now: undefined },
    { entries: [{ ...entry, offset: '1' }] },
    { entries: [{ ...entry, frame: {} }] },
    { entries: [{ ...entry, storedAt: '2026' }] },
  ])('is reported, and nothing of it is used: %j in what was read', async (wrong) => {
    const log = new AnnouncedRoomLog(
      Object.assign(ownLog(), { read: async () => ({ ...read, ...wrong }) as never }),
      () => undefined,
      systemClock,
    );
    await expect(log.read(ROOM, { limit: 1, maxBytes: 1 })).rejects.toThrow('read() of "rooms.log" returned something');
  });

  it('is told of to the application; clients hear nothing but that something went wrong', async () => {
    const log = ownLog();
    log.top = async () => [{ epoch: 'e', offset: '1' as never }];
    const { nodes } = await startNodes('one process', log);
    const [node] = nodes as [RunningApp];
    const peer = await node.connect();
    const { data } = await peer.request('system', 'joinRoom', { roomName: ROOM });
    expect(data).toMatchObject({ code: 'INTERNAL' });
    expect(node.errors[0]?.message).toContain('top() of "rooms.log" returned no place');
  });
});

it('must have the methods of one', async () => {
  await expect(
    startApp({ options: { rooms: { history, log: { append: () => undefined } as never } } }),
  ).rejects.toThrow('"rooms.log" must be an object with the methods append(), read(), top() and clear()');
});
