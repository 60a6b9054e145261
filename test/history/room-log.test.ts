import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { type Announcement, readAnnouncement } from '../../lib/history/announcement.js';
import { EntryTooLargeError, KeyReusedError } from '../../lib/history/log-errors.js';
import { MemoryRoomLog } from '../../lib/history/memory-room-log.js';
import { RedisRoomLog } from '../../lib/history/redis-room-log.js';
import type { Retention, RoomLog } from '../../lib/history/room-log.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { RETENTION } from '../support/retention.js';
import { until } from '../support/until.js';

/** One store under test. */
interface Subject {
  log: RoomLog;
  retention: Retention;
  /** What was announced, in order. */
  announced: Announcement[];
  /** Lets so much time pass for what is kept. */
  pass(ms: number): Promise<void>;
  /** What is still stored of the room, in whatever form. */
  remains(room: string): Promise<number>;
  stop(): Promise<void>;
}

async function memory(): Promise<Subject> {
  const retention = { ...RETENTION };
  const announced: Announcement[] = [];
  let time = 0;
  const log = new MemoryRoomLog({
    retentionOf: () => retention,
    newEpoch: randomUUID,
    announce: (_room, said) => void announced.push(said),
    now: () => time,
    wallMs: () => 1_800_000_000_000 + time,
  });
  return {
    log,
    retention,
    announced,
    pass: async (ms) => void (time += ms),
    remains: async () => {
      log.sweep();
      return log.size;
    },
    stop: async () => undefined,
  };
}

let server: TestRedis;

async function redis(): Promise<Subject> {
  const retention = { ...RETENTION };
  const announced: Announcement[] = [];
  const [connection, listener] = [new Redis(server.url), new Redis(server.url)];
  const prefix = randomUUID();
  const log = new RedisRoomLog({
    connection: () => connection,
    prefix,
    channelOf: (room) => `${prefix}:{${room}}:c`,
    retentionOf: () => ({ ...retention }), // each test changes it
    isFenced: () => true,
    newId: randomUUID,
    clock: systemClock,
  });
  await until(() => connection.status === 'ready');
  await listener.psubscribe(`${prefix}:*`);
  listener.on('pmessage', (_pattern, _channel, text) => void announced.push(readAnnouncement(text) as Announcement));
  return {
    log,
    retention,
    announced,
    // Redis has a clock of its own.
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms + 5)),
    remains: async (room) => (await connection.keys(`${prefix}:{${room}}:*`)).length,
    stop: async () => {
      connection.disconnect();
      listener.disconnect();
    },
  };
}

const whole = { limit: 1_000, maxBytes: 1_000_000 };

describe.each([
  ['in memory', memory, true],
  ['in Redis', redis, hasRedis()],
] as const)('a room log %s', (name, make, isAvailable) => {
  if (!isAvailable) return it.skip('needs a redis-server', () => undefined);
  let subject: Subject;
  beforeAll(async () => {
    if (name === 'in Redis') server = await TestRedis.start();
  });
  afterAll(async () => {
    if (name === 'in Redis') await server.stop();
  });
  beforeEach(async () => void (subject = await make()));
  afterEach(() => subject.stop());

  it('H1: numbers the publications of an epoch 1, 2, 3, for each room by itself', async () => {
    const { log } = subject;
    const places = [await log.append('a', '"1"'), await log.append('a', '"2"'), await log.append('b', '"1"')];
    expect(places.map(({ offset }) => offset)).toEqual([1, 2, 1]);
    expect(places[0]?.epoch).toBe(places[1]?.epoch);
    expect(places[0]?.epoch).not.toBe(places[2]?.epoch);
  });

  it('reads what was stored, in order, with frames as they were', async () => {
    const { log } = subject;
    const frames = ['{"text":"grüße\\n"}', '"\u2028 - 1 2"', '{}'];
    for (const frame of frames) await log.append('a', frame, { session: 's1' });
    const { entries, top, first, isComplete } = await log.read('a', whole);
    expect(entries.map(({ frame }) => frame)).toEqual(frames);
    expect(entries.map(({ offset }) => offset)).toEqual([1, 2, 3]);
    expect(entries.every(({ session }) => session === 's1')).toBe(true);
    expect({ top, first, isComplete }).toEqual({ top: 3, first: 1, isComplete: true });
    for (const { storedAt } of entries) expect(storedAt).toBeGreaterThan(1_700_000_000_000);
  });

  it('H5: has a place for a room in which nothing was published', async () => {
    const { log } = subject;
    const [place] = await log.top(['a']);
    expect(place?.offset).toBe(0);
    expect(await log.read('a', whole)).toMatchObject({
      epoch: place?.epoch,
      top: 0,
      first: 1,
      entries: [],
      isComplete: true,
    });
    expect(await log.append('a', '1')).toMatchObject({ epoch: place?.epoch, offset: 1 });
  });

  it('reads a part: after, before, the newest first, within the limits', async () => {
    const { log } = subject;
    for (let n = 1; n <= 10; n++) await log.append('a', `"${n}"`);
    const offsets = async (options: object) => {
      const { entries, isComplete } = await log.read('a', { ...whole, ...options });
      return [entries.map(({ offset }) => offset), isComplete];
    };
    expect(await offsets({ since: 7 })).toEqual([[8, 9, 10], true]);
    expect(await offsets({ since: 10 })).toEqual([[], true]);
    expect(await offsets({ since: 3, before: 6 })).toEqual([[4, 5], true]);
    expect(await offsets({ since: 5, limit: 3 })).toEqual([[6, 7, 8], false]);
    expect(await offsets({ reverse: true, limit: 3 })).toEqual([[10, 9, 8], false]);
    expect(await offsets({ reverse: true, before: 3 })).toEqual([[2, 1], true]);
    for (const reverse of [false, true])
      expect(await offsets({ since: 9, before: Number.MAX_SAFE_INTEGER, reverse })).toEqual([[10], true]);
    expect(await offsets({ maxBytes: 7 })).toEqual([[1, 2], false]); // 3 bytes each
    expect(await offsets({ maxBytes: 1 })).toEqual([[1], false]); // else a large one would block for ever
  });

  it('H14: keeps no more than its size, and says what is missing', async () => {
    const { log, retention } = subject;
    retention.size = 5;
    for (let n = 1; n <= 20; n++) await log.append('a', `"${n}"`);
    const { entries, first, top } = await log.read('a', whole);
    expect(entries.map(({ offset }) => offset)).toEqual([16, 17, 18, 19, 20]);
    expect({ first, top }).toEqual({ first: 16, top: 20 });
    expect((await log.read('a', { ...whole, since: 15 })).isComplete).toBe(true);
    expect((await log.read('a', { ...whole, since: 14 })).isComplete).toBe(false);
  });

  it('H14: keeps no more than its bytes', async () => {
    const { log, retention } = subject;
    retention.maxBytes = 1_000;
    const frame = JSON.stringify('x'.repeat(298));
    for (let n = 1; n <= 20; n++) await log.append('a', frame);
    expect((await log.read('a', whole)).entries.map(({ offset }) => offset)).toEqual([18, 19, 20]);
    await expect(log.append('a', 'y'.repeat(1_001))).rejects.toThrow(EntryTooLargeError);
    expect((await log.top(['a']))[0]?.offset).toBe(20);
    // It counts the session, too: what is stored must stay.
    const longest = 'y'.repeat(998);
    await expect(log.append('a', longest, { session: 's23' })).rejects.toThrow(EntryTooLargeError);
    await log.append('a', longest, { session: 's2' });
    expect((await log.read('a', whole)).entries.map(({ offset }) => offset)).toEqual([21]);
  });

  it('H14, H6: ages each entry by itself, in a busy room, too', async () => {
    const { log, retention } = subject;
    retention.ttlMs = 800;
    await log.append('a', '"old"');
    await subject.pass(500);
    await log.append('a', '"new"');
    await subject.pass(350);
    const { entries, first } = await log.read('a', whole);
    expect(entries.map(({ frame }) => frame)).toEqual(['"new"']);
    expect(first).toBe(2);
    await subject.pass(800);
    expect(await log.read('a', { ...whole, since: 2 })).toMatchObject({
      top: 2,
      first: 3,
      entries: [],
      isComplete: true,
    });
    expect((await log.read('a', { ...whole, since: 1 })).isComplete).toBe(false);
    expect((await log.append('a', '"3"')).offset).toBe(3);
    expect((await log.read('a', whole)).entries).toHaveLength(1);
  });

  it('serves nothing beyond limits that were made smaller', async () => {
    const { log, retention } = subject;
    for (let n = 1; n <= 40; n++) await log.append('a', `"${n}"`);
    retention.size = 3;
    expect((await log.read('a', whole)).entries.map(({ offset }) => offset)).toEqual([38, 39, 40]);
  });

  it('H8: stores one entry for a key, whatever came between', async () => {
    const { log } = subject;
    const first = await log.append('a', '"x"', { key: 'k1' });
    await log.append('a', '"y"', { key: 'k2' });
    expect(await log.append('a', '"x"', { key: 'k1' })).toEqual({ ...first, isDuplicate: true });
    expect((await log.read('a', whole)).entries).toHaveLength(2);
    await expect(log.append('a', '"z"', { key: 'k1' })).rejects.toThrow(KeyReusedError);
    expect(await log.append('b', '"z"', { key: 'k1' })).toMatchObject({ offset: 1, isDuplicate: false });
  });

  it('knows a key for its time', async () => {
    const { log, retention } = subject;
    retention.keyTtlMs = 100;
    await log.append('a', '"x"', { key: 'k1' });
    await subject.pass(150);
    expect(await log.append('a', '"x"', { key: 'k1' })).toMatchObject({ offset: 2, isDuplicate: false });
  });

  it('stores what comes, whatever its version: only the newest value has one', async () => {
    const { log } = subject;
    await log.append('a', '"v2"', { version: 2 });
    expect(await log.append('a', '"v1"', { version: 1 })).toMatchObject({ offset: 2, isDuplicate: false });
  });

  it('H8: begins another epoch when it is cleared, in which old keys are unknown', async () => {
    const { log } = subject;
    const before = await log.append('a', '"x"', { key: 'k1' });
    const cleared = await log.clear('a');
    expect(cleared.offset).toBe(0);
    expect(cleared.epoch).not.toBe(before.epoch);
    expect(await log.read('a', whole)).toMatchObject({ epoch: cleared.epoch, top: 0, entries: [] });
    expect(await log.append('a', '"x"', { key: 'k1' })).toEqual({
      epoch: cleared.epoch,
      offset: 1,
      isDuplicate: false,
    });
  });

  it('H12: forgets a quiet room wholly, and then begins another epoch', async () => {
    const { log, retention } = subject;
    Object.assign(retention, { ttlMs: 1_000, keyTtlMs: 1_000, metaTtlMs: 1_500, emptyTtlMs: 1_500 });
    const { epoch } = await log.append('a', '"x"', { key: 'k1' });
    expect(await subject.remains('a')).toBeGreaterThan(0);
    await subject.pass(1_600);
    expect(await subject.remains('a')).toBe(0);
    const [place] = await log.top(['a']);
    expect(place?.offset).toBe(0);
    expect(place?.epoch).not.toBe(epoch);
  });

  it('H12: forgets a room without messages sooner, so that nobody fills the store by joining', async () => {
    const { log, retention } = subject;
    retention.emptyTtlMs = 2_000;
    await log.top(['empty', 'cleared', 'used']);
    await log.append('cleared', '"x"');
    await log.clear('cleared');
    const { epoch } = await log.append('used', '"x"');
    await subject.pass(2_100);
    for (const room of ['empty', 'cleared']) expect((await log.top([room]))[0]?.offset).toBe(0);
    expect((await log.top(['used']))[0]).toEqual({ epoch, offset: 1 });
    await log.top(['empty']);
    const followed = (await log.top(['followed']))[0];
    for (let n = 0; n < 3; n++) {
      await subject.pass(700);
      expect((await log.top(['followed']))[0]).toEqual(followed); // H5
    }
    expect(await subject.remains('empty')).toBe(name === 'in Redis' ? 0 : 2);
  });

  it('keeps the epoch of a quiet room that somebody follows', async () => {
    const { log, retention } = subject;
    Object.assign(retention, { ttlMs: 100, metaTtlMs: 3_000 });
    const { epoch } = await log.append('a', '"x"');
    for (let n = 0; n < 2; n++) {
      await subject.pass(1_600);
      expect((await log.top(['a']))[0]).toEqual({ epoch, offset: 1 });
    }
  });

  it('announces each publication once, in order, and a clearing', async () => {
    const { log, announced } = subject;
    const { epoch } = await log.append('a', '{"n":1}', { session: 's1', key: 'k' });
    await log.append('a', '{"n":1}', { session: 's1', key: 'k' });
    await log.append('a', '{"n":2}');
    const cleared = await log.clear('a');
    await until(() => announced.length === 3);
    expect(announced).toEqual([
      expect.objectContaining({ kind: 'stored', epoch, offset: 1, session: 's1', frame: '{"n":1}' }),
      expect.objectContaining({ kind: 'stored', epoch, offset: 2, session: undefined, frame: '{"n":2}' }),
      { kind: 'cleared', epoch: cleared.epoch },
    ]);
  });

  describe('that keeps the newest value alone', () => {
    beforeEach(() => void (subject.retention.mode = 'last'));

    it('reads the newest', async () => {
      const { log } = subject;
      for (let n = 1; n <= 5; n++) await log.append('a', `"${n}"`);
      expect(await log.read('a', { ...whole, since: 1 })).toMatchObject({ top: 5, first: 5, isComplete: true });
      expect((await log.read('a', { ...whole, since: 1 })).entries.map(({ frame }) => frame)).toEqual(['"5"']);
      expect((await log.read('a', { ...whole, since: 5 })).entries).toEqual([]);
    });

    it('keeps the highest version', async () => {
      const { log } = subject;
      await log.append('a', '"v7"', { version: 7 });
      expect(await log.append('a', '"v6"', { version: 6 })).toMatchObject({ offset: 1, isDuplicate: true });
      expect(await log.append('a', '"v7 again"', { version: 7 })).toMatchObject({ offset: 1, isDuplicate: true });
      expect(await log.append('a', '"v8"', { version: 8 })).toMatchObject({ offset: 2, isDuplicate: false });
      expect((await log.read('a', whole)).entries.map(({ frame }) => frame)).toEqual(['"v8"']);
    });

    it('lets the value age', async () => {
      const { log, retention } = subject;
      retention.ttlMs = 100;
      await log.append('a', '"x"');
      await subject.pass(150);
      expect(await log.read('a', whole)).toMatchObject({ top: 1, first: 2, entries: [] });
    });
  });

  it('answers as a list would, whatever is done in whatever order', async () => {
    const step = fc.oneof(
      fc.record({
        op: fc.constant('append' as const),
        key: fc.option(fc.integer({ min: 0, max: 5 })),
        text: fc.nat(3),
      }),
      fc.record({ op: fc.constant('read' as const), since: fc.nat(30), limit: fc.integer({ min: 1, max: 6 }) }),
      fc.record({ op: fc.constant('clear' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const room = randomUUID();
        subject.retention.size = 8;
        let [list, keys]: [string[], Map<number, [number, number]>] = [[], new Map()];
        for (const each of steps) {
          if (each.op === 'clear') {
            await subject.log.clear(room);
            [list, keys] = [[], new Map()];
          } else if (each.op === 'append') {
            const { key, text } = each;
            const frame = `"${text}"`;
            const earlier = key === null ? undefined : keys.get(key);
            const appended = subject.log.append(room, frame, { key: key === null ? undefined : `${key}` });
            if (earlier && earlier[1] !== text) {
              await expect(appended).rejects.toThrow(KeyReusedError);
              continue;
            }
            if (!earlier) list.push(frame);
            const offset = earlier?.[0] ?? list.length;
            expect(await appended).toMatchObject({ offset, isDuplicate: earlier !== undefined });
            if (key !== null) keys.set(key, [offset, text]);
          } else {
            const { since, limit } = each;
            const first = Math.max(1, list.length - 7);
            const wanted = list
              .map((frame, at) => ({ offset: at + 1, frame }))
              .filter(({ offset }) => offset > since && offset >= first);
            const read = await subject.log.read(room, { since, limit, maxBytes: 1_000 });
            expect(read).toMatchObject({ top: list.length, first, entries: wanted.slice(0, limit) });
            expect(read.isComplete).toBe(wanted.length <= limit && (since >= first - 1 || since >= list.length));
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});
