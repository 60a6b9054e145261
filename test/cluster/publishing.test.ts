import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { RedisBus } from '../../lib/cluster/redis.bus.js';
import type { Delivery } from '../../lib/protocol/delivery.js';
import { BusRecorder, type RecordedBus } from '../support/bus-recorder.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const toRoom = (name: string, frame: string): Delivery => ({ audience: { kind: 'rooms', roomNames: [name] }, frame });

describeWithRedis('publishing to Redis', () => {
  let redis: TestRedis;
  const started: RecordedBus[] = [];

  beforeAll(async () => void (redis = await TestRedis.start()));
  afterAll(() => redis.stop());
  afterEach(() => Promise.all(started.splice(0).map(({ bus }) => bus.stop())));

  async function start(nodeId: string, url = redis.url): Promise<RecordedBus> {
    const bus = new RedisBus(url, 'pxl', nodeId);
    const recorder = Object.assign(new BusRecorder(), { nodeId, bus });
    started.push(recorder);
    await bus.start(recorder, []);
    return recorder;
  }

  const reads = async (): Promise<number> =>
    Number(/total_reads_processed:(\d+)/.exec(String(await redis.run('INFO', 'stats')))?.[1]);

  it('hands over all that is published in one turn in one write, in its order', async () => {
    const [one, two] = [await start('n1'), await start('n2')];
    await two.bus.follow({ kind: 'room', name: 'red' });
    const texts = Array.from({ length: 100 }, (_, index) => `${index}`);
    const before = await reads();
    for (const text of texts) one.bus.publish(toRoom('red', text));
    await until(() => two.frames.length === texts.length);
    expect(two.frames).toEqual(texts);
    expect((await reads()) - before).toBeLessThan(10); // with those of the question itself and of pings
  });

  it('counts exactly what Redis refuses among what it takes', async () => {
    const allowed = ['&pxl:$all', '&pxl:$node:*', '&pxl:$room:red'];
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
      one.bus.publish(toRoom(room, text));
    await until(() => two.frames.length === 2 && one.bus.counters.unpublished > 0);
    expect(two.frames).toEqual(['1', '3']);
    expect(one.bus.counters.unpublished).toBe(2);
  });

  it('hands over what was published just before it stops', async () => {
    const [one, two] = [await start('n1'), await start('n2')];
    await two.bus.follow({ kind: 'room', name: 'red' });
    one.bus.publish(toRoom('red', '"last"'));
    await one.bus.stop();
    await until(() => two.frames.includes('"last"'));
  });
});
