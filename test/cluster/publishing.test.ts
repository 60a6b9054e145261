import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Delivery } from '../../lib/protocol/delivery.js';
import { redisBus } from '../support/buses.js';
import { BusRecorder, type RecordedBus } from '../support/bus-recorder.js';
import { giveRedisAllTheTime } from '../support/command-timeout.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const toRoom = (name: string, frame: string): Delivery => ({ audience: { kind: 'rooms', roomNames: [name] }, frame });

describeWithRedis('publishing to Redis', () => {
  let redis: TestRedis;
  const started: RecordedBus[] = [];

  beforeAll(async () => void (redis = await TestRedis.start()));
  afterAll(() => redis.stop());
  afterEach(async () => {
    jest.restoreAllMocks();
    await Promise.all(started.splice(0).map(({ bus }) => bus.stop()));
  });

  async function start(nodeId: string, url = redis.url, maxBytes?: number): Promise<RecordedBus> {
    const bus = redisBus(url, 'pxl', nodeId, maxBytes).bus;
    const recorder = Object.assign(new BusRecorder(), { nodeId, bus });
    started.push(recorder);
    await bus.start(recorder, []);
    return recorder;
  }

  const reads = async (): Promise<number> =>
    Number(/total_reads_processed:(\d+)/.exec(String(await redis.run('INFO', 'stats')))?.[1]);

  it('sends nothing before the way out is open, at the start and after a reconnect', async () => {
    const proxy = await TcpProxy.start(redis.port);
    try {
      proxy.delay(100, 'publisher');
      const one = await start('n1', proxy.url);
      expect(one.failures.map(String)).toEqual([]);
      const before = one.states.length;
      proxy.reset();
      await until(() => one.states.slice(before).join() === 'down,ready');
      expect(one.failures.map(String).filter((text) => !/closed|ECONNRESET/.test(text))).toEqual([]);
    } finally {
      await proxy.stop();
    }
  });

  it('hands over all that is published in one turn in one write, in its order', async () => {
    const [one, two] = [await start('n1'), await start('n2')];
    await two.bus.follow({ kind: 'room', name: 'red' });
    const texts = Array.from({ length: 100 }, (_, index) => `${index}`);
    const before = await reads();
    for (const text of texts) void one.bus.publish(toRoom('red', text));
    await until(() => two.frames.length === texts.length);
    expect(two.frames).toEqual(texts);
    expect((await reads()) - before).toBeLessThan(10); // with those of the question itself and of pings
  });

  it('counts exactly what Redis refuses among what it takes', async () => {
    const allowed = ['&pxl:$all', '&pxl:$events', '&pxl:$node:*', '&pxl:$room:red'];
    await redis.run('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '+@all', 'resetchannels', ...allowed);
    const one = await start('n1', redis.url.replace('redis://', 'redis://limited:secret@'));
    const two = await start('n2');
    await two.bus.follow({ kind: 'room', name: 'red' });
    for (const [room, text] of [
      ['red', '1'],
      ['blue', '2'],
      ['red', '3'],
      ['green', '4'],
    ] as const)
      void one.bus.publish(toRoom(room, text));
    await until(() => two.frames.length === 2 && one.bus.counters.unpublished > 0);
    expect(two.frames).toEqual(['1', '3']);
    expect(one.bus.counters.unpublished).toBe(2);
  });

  it('hands over what was published just before it stops', async () => {
    const [one, two] = [await start('n1'), await start('n2')];
    await two.bus.follow({ kind: 'room', name: 'red' });
    void one.bus.publish(toRoom('red', '"last"'));
    await one.bus.stop();
    await until(() => two.frames.includes('"last"'));
  });

  it('loses nothing of a burst that one turn makes, and resolves each promise once Redis has it', async () => {
    giveRedisAllTheTime();
    const [one, two] = [await start('n1'), await start('n2')];
    await two.bus.follow({ kind: 'room', name: 'red' });
    const count = 10_500; // 10,000 were once too much for one turn
    const handed = Array.from({ length: count }, (_, index) => one.bus.publish(toRoom('red', `${index}`)));
    // What waits for the answers to 10,000 others for 5 s is refused, and that is the only reason.
    const refused = (await Promise.allSettled(handed)).filter((one) => one.status === 'rejected');
    expect(
      refused.map(({ reason }) => String(reason)).filter((text) => !text.includes('too slow for 5000 ms')),
    ).toEqual([]);
    await until(() => two.deliveries.length === count - refused.length);
    expect(two.frames.every((frame, index) => frame === `${index}`)).toBe(true);
    expect(one.bus.counters.unpublished).toBe(refused.length);
    expect(two.bus.counters.missing).toBe(0);
  });

  it('refuses and counts what is more than its budget of bytes, and goes on once that has gone', async () => {
    const one = await start('n1', redis.url, 40 * 1_024 * 1_024);
    const frame = JSON.stringify('x'.repeat(100_000));
    const results = await Promise.allSettled(
      Array.from({ length: 1_000 }, () => one.bus.publish(toRoom('red', frame))),
    );
    const rejected = results.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(rejected.length).toBeGreaterThan(500);
    expect(rejected.length).toBeLessThan(700);
    expect(rejected[0]?.reason).toMatchObject({
      code: 'NOT_PUBLISHED',
      message: expect.stringContaining('maxBusBytes'),
    });
    expect(one.bus.counters.unpublished).toBe(rejected.length);
    await one.bus.publish(toRoom('red', frame));
  });

  it('rejects at once while Redis is away, and flushes nothing of a burst afterwards', async () => {
    giveRedisAllTheTime();
    const proxy = await TcpProxy.start(redis.port);
    const [one, two] = [await start('n1', proxy.url), await start('n2')];
    await two.bus.follow({ kind: 'room', name: 'red' });
    const burst = Array.from({ length: 30_000 }, (_, index) => one.bus.publish(toRoom('red', `${index}`)));
    const settled = Promise.allSettled(burst);
    proxy.cut();
    await until(() => one.states.at(-1) === 'down');
    const lost = (await settled).filter(({ status }) => status === 'rejected');
    expect(lost.length).toBeGreaterThanOrEqual(20_000); // what waited for its turn was not handed over
    const ownToo = one.bus.counters.unpublished - lost.length; // on a busy machine, signs of life that could not go out
    expect([ownToo >= 0, ownToo < 10]).toEqual([true, true]);
    await expect(one.bus.publish(toRoom('red', '"away"'))).rejects.toMatchObject({ code: 'NOT_PUBLISHED' });
    proxy.heal();
    await until(() => one.states.at(-1) === 'ready');
    await one.bus.publish(toRoom('red', '"back"'));
    await until(() => two.frames.includes('"back"'));
    expect(two.frames).not.toContain('"away"');
    expect(two.frames.length).toBeLessThanOrEqual(30_000 - lost.length + 1);
    await proxy.stop();
  });

  it('rejects nothing that a process must hear of when nobody awaits it', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    const one = await start('n1', redis.url, 1_000);
    void one.bus.emit('x', 1n);
    for (let index = 0; index < 20_000; index++) void one.bus.publish(toRoom('red', `${index}`));
    await one.bus.stop();
    void one.bus.publish(toRoom('red', '1'));
    void one.bus.order('n2', {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    expect(one.bus.counters.unpublished).toBeGreaterThan(10_000);
  });
});
