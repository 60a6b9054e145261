import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { LogUnavailableError } from '../../lib/history/log-errors.js';
import { RedisRoomLog } from '../../lib/history/redis-room-log.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { RETENTION } from '../support/retention.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const whole = { limit: 1_000, maxBytes: 1_000_000 };
const KEY = 'once';
const message = (n: number): { type: string; action: string; data: object } => ({
  type: 'chat',
  action: 'news',
  data: { n },
});

type Overwrite = (redis: Redis, key: string) => Promise<unknown>;
const aString: Overwrite = (redis, key) => redis.set(key, 'x');
const aList: Overwrite = (redis, key) => redis.multi().del(key).rpush(key, 'x').exec();

/** What another program may write over which key of the room. */
const OVERWRITTEN: [what: string, name: string, overwrite: Overwrite][] = [
  ['a string over its facts', 'm', aString],
  ['a list over its facts', 'm', aList],
  ['no number into its facts', 'm', (redis, key) => redis.hset(key, 'top', 'x')],
  ['a string over its entries', 'h', aString],
  ['a list over its entries', 'h', aList],
];

const describeWithRedis = hasRedis() ? describe : describe.skip;

describeWithRedis('what another program writes over a room that keeps its messages', () => {
  let redis: TestRedis;
  let plain: Redis;
  let prefix: string;
  let reports: string[];
  const stops: (() => unknown)[] = [];

  beforeAll(async () => {
    redis = await TestRedis.start();
    plain = new Redis(redis.url);
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });
  afterAll(async () => {
    plain.disconnect();
    await redis.stop();
  });

  const keyOf = (name: string, room = ROOM): string => `${prefix}:{${room}}:${name}`;

  async function startLog(): Promise<RedisRoomLog> {
    prefix = randomUUID();
    reports = [];
    const connection = new Redis(redis.url);
    stops.push(() => connection.disconnect());
    await until(() => connection.status === 'ready');
    return new RedisRoomLog({
      connection: () => connection,
      prefix,
      channelOf: (room) => `${prefix}:{${room}}:c`,
      retentionOf: () => RETENTION,
      isFenced: () => true,
      newId: randomUUID,
      clock: systemClock,
      overwritten: (keys) => void reports.push(...keys),
    });
  }

  async function isOurs(): Promise<void> {
    for (const [name, type] of [
      ['m', 'hash'],
      ['h', 'stream'],
    ] as const) {
      expect([type, 'none']).toContain(await plain.type(keyOf(name)));
      expect(await plain.pttl(keyOf(name))).not.toBe(-1);
    }
  }

  describe.each(OVERWRITTEN)('%s', (_, name, overwrite) => {
    it.each(['append', 'read', 'top', 'clear'] as const)(
      'H1: is another epoch, as %s finds, and reported once',
      async (way) => {
        const log = await startLog();
        const { epoch } = await log.append(ROOM, '"1"');
        await log.append(ROOM, '"2"');
        await overwrite(plain, keyOf(name));
        if (way === 'append') expect(await log.append(ROOM, '"3"')).toMatchObject({ offset: 1, isDuplicate: false });
        else if (way === 'read') expect(await log.read(ROOM, whole)).toMatchObject({ top: 0, entries: [] });
        else if (way === 'top') expect(await log.top([ROOM])).toMatchObject([{ offset: 0 }]);
        else expect(await log.clear(ROOM)).toMatchObject({ offset: 0 });
        const read = await log.read(ROOM, whole);
        expect(read.epoch).not.toBe(epoch);
        expect(read.entries.map(({ frame }) => frame)).toEqual(way === 'append' ? ['"3"'] : []);
        expect(reports).toEqual([keyOf(name)]);
        await isOurs();
      },
    );
  });

  it.each([
    ['a list', aList],
    ['another text', aString],
  ])('H8: %s over a key is another epoch: none has it twice', async (_, overwrite) => {
    const log = await startLog();
    const { epoch } = await log.append(ROOM, '"1"', { key: KEY });
    await overwrite(plain, keyOf(`k:${KEY}`));
    const again = await log.append(ROOM, '"1"', { key: KEY });
    expect(again).toMatchObject({ offset: 1, isDuplicate: false });
    expect(again.epoch).not.toBe(epoch);
    expect(reports).toEqual([keyOf(`k:${KEY}`)]);
    expect(await log.append(ROOM, '"1"', { key: KEY })).toEqual({ ...again, isDuplicate: true });
    expect((await log.read(ROOM, whole)).entries).toHaveLength(1);
    await isOurs();
  });

  it('H1: entries above ours are another epoch', async () => {
    const log = await startLog();
    const { epoch } = await log.append(ROOM, '"1"');
    await plain.xadd(keyOf('h'), '*', 'x', 'y');
    const next = await log.append(ROOM, '"2"', { session: 's' });
    expect(next.offset).toBe(1);
    expect(next.epoch).not.toBe(epoch);
    expect((await log.read(ROOM, whole)).entries).toMatchObject([{ offset: 1, frame: '"2"', session: 's' }]);
    expect(reports).toEqual([keyOf('h')]);
    await isOurs();
  });

  it('ends nothing for other rooms whose messages are stored in the same turn', async () => {
    const log = await startLog();
    for (const room of ['chat:a', ROOM, 'chat:b']) await log.append(room, '"1"');
    await aString(plain, keyOf('m'));
    await Promise.all(['chat:a', ROOM, 'chat:b', ROOM].map((room) => log.append(room, '"2"')));
    const framesIn = async (room: string): Promise<string[]> =>
      (await log.read(room, whole)).entries.map(({ frame }) => frame);
    expect(await Promise.all(['chat:a', ROOM, 'chat:b'].map(framesIn))).toEqual([
      ['"1"', '"2"'],
      ['"2"', '"2"'],
      ['"1"', '"2"'],
    ]);
  });

  it('is left as it is while Redis has no memory: nothing is stored', async () => {
    const log = await startLog();
    await log.append(ROOM, '"1"');
    await aString(plain, keyOf('m'));
    await plain.config('SET', 'maxmemory', '1');
    stops.push(() => plain.config('SET', 'maxmemory', '0'));
    await expect(log.append(ROOM, '"2"')).rejects.toThrow(LogUnavailableError);
    expect(await plain.type(keyOf('m'))).toBe('string');
    await plain.config('SET', 'maxmemory', '0');
    expect(await log.append(ROOM, '"2"')).toMatchObject({ offset: 1 });
    expect(reports).toEqual([keyOf('m')]);
  });

  describe('on two nodes', () => {
    let nodes: RunningApp[];
    let members: Peer[];

    async function startNodes(): Promise<{ epoch: string; offset: number }> {
      prefix = randomUUID().slice(0, 8);
      const history = [{ match: 'chat:*', checkMs: 300 }];
      const start = async (): Promise<RunningApp> => {
        const node = await startApp({ options: { redis: redis.url, prefix, rooms: { history } } });
        stops.push(() => node.close());
        return node;
      };
      nodes = [await start(), await start()];
      members = await Promise.all(nodes.map((node) => node.connect()));
      for (const member of members) await member.join(ROOM);
      const place = await publish(1);
      for (const member of members) await member.next('chat', 'news');
      return place;
    }

    const publish = (n: number): Promise<{ epoch: string; offset: number }> =>
      (nodes[0] as RunningApp).service.publishToRoom(ROOM, message(n));
    const reset = ({ action }: Frame): boolean => action === 'roomReset';
    const errors = (): string[] => nodes.flatMap((node) => node.errors.map(String));

    it.each(OVERWRITTEN)('resets the members once, and nobody recovers falsely: %s', async (_, name, overwrite) => {
      const since = await startNodes();
      await overwrite(plain, keyOf(name));
      const { epoch, offset } = await publish(2);
      expect(offset).toBe(1);
      for (const member of members) {
        expect((await member.take(reset)).data).toMatchObject({ roomName: ROOM, epoch, reason: 'restart' });
        await publish(3);
        await member.take(({ action, data }) => action === 'news' && data.n === 3);
      }
      const back = await (nodes[1] as RunningApp).connect();
      expect((await back.join(ROOM, { since })).response.data.history).toMatchObject({
        epoch,
        recovered: false,
        reason: 'other-epoch',
      });
      expect(members.flatMap(({ received }) => received.filter(reset))).toEqual([]);
      expect(errors()).toEqual([
        expect.stringContaining(`overwritten "${keyOf(name)}", which only the nodes may write`),
      ]);
    });

    it('is found without a publication, too', async () => {
      await startNodes();
      await aList(plain, keyOf('m'));
      for (const member of members) expect((await member.take(reset)).data.reason).toBe('restart');
      await publish(2);
      for (const member of members) expect((await member.next('chat', 'news')).at.offset).toBe(1);
      expect(errors()).toHaveLength(1);
    });
  });
});
