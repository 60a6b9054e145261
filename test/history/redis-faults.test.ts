import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { systemIds } from '../../lib/cluster/ids.js';
import { systemClock } from '../../lib/clock.js';
import { openConnection, type RedisConnection } from '../../lib/cluster/redis-connections.js';
import { LogUnavailableError, UnknownOutcomeError } from '../../lib/history/log-errors.js';
import { RedisRoomLog } from '../../lib/history/redis-room-log.js';
import { hasRedis, moveSlot, startRedisCluster, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

const whole = { limit: 1_000, maxBytes: 1_000_000 };
const ROOM = 'chat:1';

const describeWithRedis = hasRedis() ? describe : describe.skip;

let stops: (() => Promise<unknown> | void)[];
beforeEach(() => void (stops = []));
afterEach(async () => {
  for (const stop of stops.toReversed()) await stop();
});

async function startRedis(...settings: string[]): Promise<TestRedis> {
  const redis = await TestRedis.start(['--repl-diskless-sync-delay', '0', ...settings]);
  stops.push(() => redis.stop());
  return redis;
}

async function connect(source: Parameters<typeof openConnection>[0], options = {}): Promise<RedisConnection> {
  const connection = await openConnection(source, 'log', systemIds);
  Object.assign(connection.options, options);
  connection.on('error', () => undefined);
  stops.push(() => connection.disconnect());
  await connection.connect();
  await until(() => connection.status === 'ready');
  return connection;
}

const logOn = (connection: () => RedisConnection, isFenced = true): RedisRoomLog =>
  new RedisRoomLog({
    connection,
    prefix: 'pxl',
    channelOf: (room) => `pxl:{${room}}:c`,
    retentionOf: () => ({
      mode: 'log',
      size: 500,
      ttlMs: 300_000,
      maxBytes: 1_048_576,
      keyTtlMs: 300_000,
      metaTtlMs: 86_400_000,
      emptyTtlMs: 86_400_000,
    }),
    isFenced: () => isFenced,
    newId: randomUUID,
    clock: systemClock,
  });

async function appendAll(log: RedisRoomLog, from: number, to: number): Promise<string> {
  let epoch = '';
  for (let n = from; n <= to; n++) ({ epoch } = await log.append(ROOM, `"${n}"`));
  return epoch;
}

const offsetsOf = async (log: RedisRoomLog): Promise<number[]> =>
  (await log.read(ROOM, whole)).entries.map(({ offset }) => offset);

async function follow(replica: TestRedis, master: TestRedis): Promise<void> {
  await replica.run('REPLICAOF', '127.0.0.1', master.port);
  await until(async () => String(await replica.run('INFO', 'replication')).includes('master_link_status:up'));
}

/** Ends the connection and waits for the next. */
async function again(connection: RedisConnection, redis: TestRedis): Promise<void> {
  if (connection.status === 'ready') await once(connection, 'close');
  await redis.start();
  await until(() => connection.status === 'ready');
}

describeWithRedis('the log of a room, when Redis', () => {
  it('was restarted empty: another epoch', async () => {
    const redis = await startRedis();
    const connection = await connect(redis.url);
    const log = logOn(() => connection);
    const epoch = await appendAll(log, 1, 3);
    await redis.kill();
    await again(connection, redis);
    expect(await log.read(ROOM, whole)).toMatchObject({ top: 0, entries: [] });
    expect((await log.append(ROOM, '"x"')).epoch).not.toBe(epoch);
  });

  it('H1: was restarted from an older file: another epoch, so no number names two publications', async () => {
    const redis = await startRedis();
    const connection = await connect(redis.url);
    const log = logOn(() => connection);
    const epoch = await appendAll(log, 1, 5);
    await redis.run('SAVE');
    await appendAll(log, 6, 8);
    await redis.kill({ forgets: false });
    await again(connection, redis);
    const read = await log.read(ROOM, { ...whole, since: 7 });
    expect(read.epoch).not.toBe(epoch);
    expect(read).toMatchObject({ top: 0, entries: [] });
    expect(await log.append(ROOM, '"new 6"')).toMatchObject({ offset: 1, epoch: read.epoch });
  });

  it.each([
    ['other epoch, because nobody can prove that the file is whole', true],
    ['same epoch and entries, where that is trusted', false],
  ])('was restarted from a complete file: %s', async (_, isFenced) => {
    const redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always');
    const connection = await connect(redis.url);
    const log = logOn(() => connection, isFenced);
    const epoch = await appendAll(log, 1, 3);
    await redis.kill({ forgets: false });
    await again(connection, redis);
    const read = await log.read(ROOM, whole);
    expect(read.epoch === epoch).toBe(!isFenced);
    expect(read.entries).toHaveLength(isFenced ? 0 : 3);
  });

  it('H1, H3: is a promoted replica that lacks the newest: another epoch, so nobody recovers falsely', async () => {
    const [master, replica, nobody] = [await startRedis(), await startRedis(), await TestRedis.reserve()];
    let connection = await connect(master.url);
    const log = logOn(() => connection);
    await follow(replica, master);
    const epoch = await appendAll(log, 1, 5);
    expect(await connection.call('WAIT', 1, 4_000)).toBe(1);
    await replica.run('REPLICAOF', '127.0.0.1', nobody.port); // it hears no more
    await appendAll(log, 6, 8);
    await master.kill();
    await replica.run('REPLICAOF', 'NO', 'ONE');
    connection = await connect(replica.url);
    for (let n = 6; n <= 9; n++) await log.append(ROOM, `"other ${n}"`);
    const read = await log.read(ROOM, { ...whole, since: 7 });
    expect(read.epoch).not.toBe(epoch);
    expect(read.top).toBe(4);
  });

  it('is a replica that was promoted and had everything: another epoch, too', async () => {
    const [master, replica] = [await startRedis(), await startRedis()];
    let connection = await connect(master.url);
    const log = logOn(() => connection);
    await follow(replica, master);
    const epoch = await appendAll(log, 1, 5);
    expect(await connection.call('WAIT', 1, 4_000)).toBe(1);
    await replica.run('REPLICAOF', 'NO', 'ONE');
    connection = await connect(replica.url);
    expect((await log.read(ROOM, whole)).epoch).not.toBe(epoch);
  });

  it('was flushed under open connections: another epoch', async () => {
    const redis = await startRedis();
    const connection = await connect(redis.url);
    const log = logOn(() => connection);
    const epoch = await appendAll(log, 1, 3);
    await redis.run('FLUSHALL');
    expect((await log.top([ROOM]))[0]).toMatchObject({ offset: 0 });
    expect((await log.append(ROOM, '"x"')).epoch).not.toBe(epoch);
  });

  it('evicted the entries, or what is known of them: never a part for the whole', async () => {
    const redis = await startRedis();
    const connection = await connect(redis.url);
    const log = logOn(() => connection);
    const epoch = await appendAll(log, 1, 3);
    await redis.run('DEL', `pxl:{${ROOM}}:h`);
    expect(await log.read(ROOM, { ...whole, since: 1 })).toMatchObject({ epoch, top: 3, first: 4, isComplete: false });
    await appendAll(log, 4, 5);
    expect(await log.read(ROOM, { ...whole, since: 3 })).toMatchObject({ epoch, top: 5, first: 4, isComplete: true });
    await redis.run('DEL', `pxl:{${ROOM}}:m`);
    const read = await log.read(ROOM, whole);
    expect(read.epoch).not.toBe(epoch);
    expect(read).toMatchObject({ top: 0, entries: [] });
  });

  it('forgot the scripts: nothing is noticed', async () => {
    const redis = await startRedis();
    const connection = await connect(redis.url);
    const log = logOn(() => connection);
    await appendAll(log, 1, 2);
    await redis.run('SCRIPT', 'FLUSH');
    await appendAll(log, 3, 4);
    await redis.run('SCRIPT', 'FLUSH');
    expect(await offsetsOf(log)).toEqual([1, 2, 3, 4]);
  });

  it('forbids INFO: the log works, and is trusted', async () => {
    const redis = await startRedis();
    await redis.run('ACL', 'SETUSER', 'app', 'on', '>secret', '~pxl:*', '&pxl:*', '+@all', '-info');
    const connection = await connect(redis.asApp);
    const log = logOn(() => connection);
    await appendAll(log, 1, 3);
    expect(await offsetsOf(log)).toEqual([1, 2, 3]);
  });

  it('is away: told at once that nothing was stored', async () => {
    const redis = await startRedis();
    const connection = await connect(redis.url);
    const log = logOn(() => connection);
    await appendAll(log, 1, 1);
    const closed = once(connection, 'close');
    await redis.kill();
    await closed;
    const watch = new Stopwatch();
    await expect(log.append(ROOM, '"x"')).rejects.toThrow(LogUnavailableError);
    await expect(log.read(ROOM, whole)).rejects.toThrow(LogUnavailableError);
    expect(watch.ms).toBeLessThan(5_000); // where it waits for Redis, 10 s
  });

  it('takes no writes: told that nothing was stored', async () => {
    const redis = await startRedis();
    const connection = await connect(redis.url);
    const log = logOn(() => connection);
    const epoch = await appendAll(log, 1, 1);
    await redis.run('CONFIG', 'SET', 'maxmemory', '1');
    await expect(log.append(ROOM, '"x"')).rejects.toThrow(LogUnavailableError);
    await redis.run('CONFIG', 'SET', 'maxmemory', '0');
    expect(await log.append(ROOM, '"2"')).toMatchObject({ epoch, offset: 2 });
  });

  it('H8: is too slow to answer: the outcome is unknown, and the same key says what became of it', async () => {
    const redis = await startRedis();
    const connection = await connect({ port: redis.port });
    const log = logOn(() => connection);
    await appendAll(log, 1, 1);
    redis.freeze();
    const asked = [log.append(ROOM, '"x"', { key: 'k' }), log.clear('chat:2'), log.read(ROOM, whole)];
    const [appended, cleared, read] = await Promise.allSettled(asked);
    expect(appended).toMatchObject({ reason: expect.any(UnknownOutcomeError) });
    expect(appended).toMatchObject({ reason: { message: expect.stringContaining('with the same key') } });
    expect(cleared).toMatchObject({ reason: expect.any(UnknownOutcomeError) });
    expect(cleared).toMatchObject({ reason: { message: expect.stringContaining('Clear the history again.') } });
    expect(read).toMatchObject({ reason: expect.any(LogUnavailableError) });
    redis.thaw();
    await until(() => connection.status === 'ready');
    expect(await log.append(ROOM, '"x"', { key: 'k' })).toMatchObject({ offset: 2 });
    expect(await offsetsOf(log)).toEqual([1, 2]);
  });
});

describeWithRedis('the log of rooms on a Redis Cluster', () => {
  it('works for each room where it lies, and never gives a part for the whole when a slot moves', async () => {
    const cluster = await startRedisCluster();
    stops.push(() => cluster.stop());
    const { Cluster } = await import('ioredis');
    const nodes = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
    const own = new Cluster(nodes, { lazyConnect: true });
    stops.push(() => own.disconnect());
    const connection = await connect(own);
    const log = logOn(() => connection);
    for (let n = 0; n < 20; n++) await log.append(`room${n}`, `"${n}"`, { key: 'k' });
    const places = await log.top(Array.from({ length: 20 }, (_, n) => `room${n}`));
    expect(places.map(({ offset }) => offset)).toEqual(Array<number>(20).fill(1));

    const epoch = await appendAll(log, 1, 3);
    await moveSlot(cluster.nodes, `{${ROOM}}`);
    await until(async () => {
      const read = await log.read(ROOM, { ...whole, since: 1 }).catch(() => undefined);
      if (!read) return false;
      // The other master can't vouch for what came from somewhere else.
      if (read.epoch === epoch) expect(read.entries.map(({ offset }) => offset)).toEqual([2, 3]);
      else expect(read).toMatchObject({ top: 0, entries: [] });
      return true;
    });
    expect((await log.append(ROOM, '"x"')).offset).toBeGreaterThan(0);
  });
});
