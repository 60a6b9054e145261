import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../lib/clock.js';
import { OwnEvents } from '../../lib/cluster/own-events.js';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
it('events of a node are raised in order and in steps, those of its subscribers last', () => {
  let now = 0;
  const turns: (() => void)[] = [];
  const raised: string[] = [];
  const errors: string[] = [];
  const clock = { ...systemClock, now: () => now, soon: (task: () => void) => void turns.push(task) };
  const events = new OwnEvents(
    clock,
    (name, message) => {
      now++;
      raised.push(`${name} ${String(message)}`);
      if (message === 3) events.add('more', '0');
      if (message === 4) throw new Error('4');
    },
    (error) => errors.push(error.message),
  );
  for (let n = 1; n <= 12; n++) events.add('n', String(n));
  events.add('junk', '{"__proto__":1}');
  expect(raised).toEqual([]);
  const steps: number[] = [];
  while (turns.length > 0) {
    const before = raised.length;
    turns.shift()?.();
    steps.push(raised.length - before);
  }
  expect(steps).toEqual([5, 5, 3]);
  expect(raised).toEqual([...Array.from({ length: 12 }, (_, n) => `n ${n + 1}`), 'more 0']);
  expect(errors).toEqual(['4', 'The event "junk" can\'t be read.']);
  events.add('n', '13');
  events.raiseAll();
  expect(raised.at(-1)).toBe('n 13');
});

const SHIPPED = 'orders:shipped';

interface Listening extends RunningApp {
  /** What its subscribers heard, in order: `ClientJoinedRoom red`, `orders:shipped 1`. */
  heard: string[];
}

describeWithRedis('events', () => {
  let redis: TestRedis;
  const ending: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    for (const end of ending.splice(0).toReversed()) await end();
    await redis.run('FLUSHALL');
  });
  const proxied = async (): Promise<TcpProxy> => {
    const proxy = await TcpProxy.start(redis.port);
    ending.push(() => proxy.stop());
    return proxy;
  };
  const start = async (url = redis.url): Promise<Listening> => {
    const heard: string[] = [];
    const note = (channel: string, message: unknown): void => {
      const { roomName = '', n = '' } = message as { roomName?: string; n?: number };
      heard.push(`${channel.replace('WebSocket:', '')} ${roomName}${n}`.trim());
    };
    const app = await startApp({
      options: { redis: url, subscriberEventHandler: ({ channel, message }) => note(channel, message) },
    });
    ending.push(() => app.close());
    return Object.assign(app, { heard });
  };
  const isReady = (app: RunningApp) => until(() => app.server.status.state === 'ready');

  it('D13 of a node are heard by its own subscribers while Redis is away', async () => {
    const proxy = await proxied();
    const [one, two] = [await start(proxy.url), await start()];
    const ada = await one.connect();
    await ada.join('red');
    await until(() => one.heard.length === 2 && two.heard.length === 2);
    proxy.cut();
    await until(() => one.server.status.state === 'down');
    const before = one.server.status.counters.unpublished;
    await expect(one.service.publish(SHIPPED, { n: 1 })).rejects.toMatchObject({ code: 'NOT_PUBLISHED' });
    expect(one.server.status.counters.unpublished).toBe(before + 1);
    one.server.publish({ channel: SHIPPED, data: { n: 2 } });
    ada.terminate();
    await until(() => one.heard.includes('ClientDisconnected'));
    const bob = await one.connect();
    await bob.join('blue');
    await until(() => one.heard.includes('ClientJoinedRoom blue'));
    expect(one.heard).toEqual([
      'ClientConnected',
      'ClientJoinedRoom red',
      'orders:shipped 1',
      'orders:shipped 2',
      'ClientLeftRoom red',
      'ClientDisconnected',
      'ClientConnected',
      'ClientJoinedRoom blue',
    ]);
    proxy.heal();
    await isReady(one);
    await one.service.publish(SHIPPED, { n: 3 });
    await until(() => two.heard.includes('orders:shipped 3'));
    await until(() => [...two.rooms.getRoomClients({ roomName: 'blue' })].join() === bob.clientId);
    expect(one.heard.slice(8)).toEqual(['orders:shipped 3']);
    expect(two.heard.filter((event) => event.startsWith(SHIPPED))).toEqual(['orders:shipped 3']);
  });

  it('D13 that get lost on their way to a node are counted there', async () => {
    const proxy = await proxied();
    const [one, two] = [await start(), await start(proxy.url)];
    await one.service.publish(SHIPPED, { n: 0 });
    await until(() => two.heard.length === 1);
    proxy.hold('down', 'subscriber');
    for (let n = 1; n <= 5; n++) await one.service.publish(SHIPPED, { n });
    proxy.reset('subscriber');
    await until(() => two.server.status.state === 'down');
    proxy.heal();
    await isReady(two);
    await one.service.publish(SHIPPED, { n: 6 });
    await until(() => two.heard.includes('orders:shipped 6'));
    expect(two.heard).toEqual(['orders:shipped 0', 'orders:shipped 6']);
    expect(two.server.status.counters.missing).toBe(5);
    expect(one.server.status.counters).toEqual({ unpublished: 0, missing: 0, stale: 0, junk: 0 });
    expect(one.heard).toEqual(Array.from({ length: 7 }, (_, n) => `orders:shipped ${n}`));
  });

  it('D13 of clients that get lost on their way are counted within two beats, though nothing follows them', async () => {
    const proxy = await proxied();
    const [one, two] = [await start(), await start(proxy.url)];
    const ada = await one.connect();
    await until(() => two.heard.length === 1);
    proxy.hold('down', 'subscriber');
    await ada.join('red');
    proxy.reset('subscriber');
    await until(() => two.server.status.state === 'down');
    proxy.heal();
    await until(() => two.server.status.counters.missing === 1, 8_000);
    expect(two.rooms.getRoomClients({ roomName: 'red' })).toEqual([ada.clientId]);
    expect(two.heard).toEqual(['ClientConnected']); // a subscriber that has to know asks again
    one.server.leaveRoom({ clientId: ada.clientId, roomName: 'red' });
    await until(() => two.heard.includes('ClientLeftRoom red'));
    expect(two.server.status.counters).toEqual({ unpublished: 0, missing: 1, stale: 0, junk: 0 });
  });

  it('of a node that gives up its Redis reach its own subscribers before it has stopped', async () => {
    const one = await start();
    one.server.publish({ channel: Event.Custom, data: { n: 1 } });
    await one.app.close();
    expect(one.heard).toContain('Custom 1');
  });
});
