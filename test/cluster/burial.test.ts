import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.js';
import { type ClusterNode, Fleet } from '../support/cluster-node.js';
import { LogLines } from '../support/log-lines.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { type Role, TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a node's subscribers heard of a client, in order: `ClientJoinedRoom red node-returned`. */
async function storyOf(node: ClusterNode, clientId: string): Promise<string[]> {
  const story: string[] = [];
  for (const { channel, message, by } of await node.call('heard')) {
    const { clientId: whose, roomName, reason } = message as Record<string, string | undefined>;
    if (whose !== clientId || by !== 'option') continue;
    story.push([channel.replace('WebSocket:', ''), roomName, reason].filter(Boolean).join(' '));
  }
  return story;
}

describeWithRedis('a node that is taken for dead', () => {
  let redis: TestRedis;
  const fleet = new Fleet(() => ({ redis: redis.url }));
  const ending: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    await fleet.stop();
    for (const end of ending.splice(0)) await end();
    await redis.run('FLUSHALL');
  });
  const proxied = async (): Promise<TcpProxy> => {
    const proxy = await TcpProxy.start(redis.port);
    ending.push(() => proxy.stop());
    return proxy;
  };

  it.each([
    ['and comes back', () => Promise.resolve()],
    // In Redis, it is known for a minute that a node was taken for dead.
    ['and comes back after more than a minute', (nodeId: string) => redis.run('DEL', `pxl:{${nodeId}}:lease`)],
  ])('%s: the others hear that its clients are back, and in which rooms; it hears neither', async (_, passes) => {
    const [one, two, three] = await Promise.all([fleet.start(), fleet.start(), fleet.start()]);
    const [ada, bob] = [await one.join('red', 'blue'), await two.join('red')];
    await Promise.all([one, two, three].map((node) => node.knows([ada, bob])));
    const nodeId = await one.nodeId();
    for (const node of [two, three]) await until(async () => (await storyOf(node, ada.clientId)).length === 3);
    one.freeze();
    await Promise.all([two, three].map((node) => node.knows([bob], 10_000)));
    await passes(nodeId);
    one.thaw();
    await Promise.all([one, two, three].map((node) => node.knows([ada, bob])));
    const isBack = 'ClientConnected node-returned';
    for (const node of [two, three]) {
      await until(async () => (await storyOf(node, ada.clientId)).length === 9);
      const story = await storyOf(node, ada.clientId);
      expect(story.slice(0, 3)).toEqual(['ClientConnected', 'ClientJoinedRoom red', 'ClientJoinedRoom blue']);
      expect(story.slice(3, 6).toSorted()).toEqual([
        'ClientDisconnected node-lost',
        'ClientLeftRoom blue node-lost',
        'ClientLeftRoom red node-lost',
      ]);
      expect(story.slice(6)).toEqual([
        isBack,
        'ClientJoinedRoom red node-returned',
        'ClientJoinedRoom blue node-returned',
      ]);
      expect((await storyOf(node, bob.clientId)).filter((line) => line.includes('node-'))).toEqual([]);
    }
    expect((await storyOf(one, ada.clientId)).filter((line) => line.includes('node-'))).toEqual([]);
  });

  it('tells nobody once more that a client is gone that went while it was frozen, and all of one that came', async () => {
    const [one, two, three] = await Promise.all([fleet.start(), fleet.start(), fleet.start()]);
    const [ada, bob] = [await one.join('red'), await one.join('red')];
    await Promise.all([two, three].map((node) => node.knows([ada, bob])));
    for (const node of [two, three]) await until(async () => (await storyOf(node, bob.clientId)).length === 2);
    one.freeze();
    await Promise.all([two, three].map((node) => node.knows([], 10_000)));
    const coming = one.join('blue'); // as soon as it runs again
    ada.terminate();
    one.thaw();
    const eve = await coming;
    await Promise.all([one, two, three].map((node) => node.knows([bob, eve])));
    for (const node of [two, three]) {
      await until(async () => (await storyOf(node, bob.clientId)).length === 6);
      await until(async () => (await storyOf(node, eve.clientId)).length > 1);
      expect((await storyOf(node, ada.clientId)).toSorted()).toEqual([
        'ClientConnected',
        'ClientDisconnected node-lost',
        'ClientJoinedRoom red',
        'ClientLeftRoom red node-lost',
      ]);
      const story = (await storyOf(node, eve.clientId)).map((line) => line.replace(' node-returned', ''));
      expect(story).toEqual(['ClientConnected', 'ClientJoinedRoom blue']);
    }
    const toldHere = ['ClientConnected', 'ClientJoinedRoom red', 'ClientLeftRoom red', 'ClientDisconnected'];
    await until(async () => (await storyOf(one, ada.clientId)).length >= toldHere.length);
    expect(await storyOf(one, ada.clientId)).toEqual(toldHere);
    expect(await storyOf(one, bob.clientId)).toEqual(['ClientConnected', 'ClientJoinedRoom red']);
    expect(await storyOf(one, eve.clientId)).toEqual(['ClientConnected', 'ClientJoinedRoom blue']);
  });

  it('says once that its clients are back, with their rooms as they are, though a reset swallows that', async () => {
    const proxy = await proxied();
    const one = await fleet.start({ redis: proxy.url });
    const two = await fleet.start();
    const [ada, bob] = [await one.join('red'), await one.join('red')];
    await two.knows([ada, bob]);
    const nodeId = await one.nodeId();
    const isSwallowed = proxy.resetOn((text, role) => role === 'publisher' && text.includes('"returned"'));
    await redis.run('SET', `pxl:{${nodeId}}:lease`, 'dead', 'PX', 60_000);
    await isSwallowed;
    bob.terminate();
    await until(async () => (await storyOf(two, ada.clientId)).length === 4);
    expect((await storyOf(two, ada.clientId)).slice(2)).toEqual([
      'ClientConnected node-returned',
      'ClientJoinedRoom red node-returned',
    ]);
    await pause(2_500); // a beat later
    expect(await storyOf(two, ada.clientId)).toHaveLength(4);
    expect((await storyOf(two, bob.clientId)).filter((line) => line.includes('returned'))).toEqual([]);
    await two.knows([ada]);
  });

  it('D12 is not, when a reset swallows what renews its lease', async () => {
    const proxy = await proxied();
    const one = await fleet.start({ redis: proxy.url });
    const others = await Promise.all([fleet.start(), fleet.start()]);
    const ada = await one.join('red');
    const before = await one.nodeId();
    await Promise.all(others.map((node) => node.knows([ada])));
    for (let round = 0; round < 2; round++) {
      await proxy.resetOn((text, role) => role === 'publisher' && text.includes(`${before}}:lease`));
      const watch = new Stopwatch();
      await until(async () => (await one.state()) !== 'ready');
      await until(async () => (await one.state()) === 'ready');
      expect(watch.ms).toBeLessThan(3_000);
      await pause(8_500); // whoever would be buried is by then
    }
    expect(await one.nodeId()).toBe(before);
    for (const node of others) {
      expect(await node.clientIds()).toEqual([ada.clientId]);
      expect((await storyOf(node, ada.clientId)).filter((line) => line.includes('node-'))).toEqual([]);
    }
  });

  it('D12 is not, while it is heard, though it can not renew its lease', async () => {
    const [one, two] = await Promise.all([fleet.start(), fleet.start()]);
    const ada = await one.join('red');
    await two.knows([ada]);
    const [before, key] = [await one.nodeId(), `pxl:{${await one.nodeId()}}:lease`];
    for (let n = 0; n < 90; n++) {
      await redis.run('DEL', key);
      await pause(100);
    }
    expect([await one.nodeId(), await two.clientIds()]).toEqual([before, [ada.clientId]]);
    expect((await storyOf(two, ada.clientId)).filter((line) => line.includes('node-'))).toEqual([]);
  });
});

describeWithRedis('an application that starts', () => {
  let redis: TestRedis;
  const ending: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    for (const end of ending.splice(0).toReversed()) await end();
  });
  const start = async (url: string, keepsLogger = false): Promise<RunningApp> => {
    const app = await startApp({ options: { redis: url }, keepsLogger });
    ending.push(() => app.close());
    return app;
  };

  it.each<[string, (text: string, role: Role) => boolean]>([
    ['says who it is', (text) => text.includes('pxl-publisher')],
    ['asks for the time', (text, role) => role === 'publisher' && /\r\ntime\r\n/i.test(text)],
    ['subscribes', (text, role) => role === 'subscriber' && /\r\nsubscribe\r\n/i.test(text)],
    ['registers', (text, role) => role === 'publisher' && text.includes('\r\n$\r\n')],
    ['makes itself known', (text, role) => role === 'publisher' && /\r\nsadd\r\n/i.test(text)],
    ['reads the others', (text, role) => role === 'publisher' && /\r\nsmembers\r\n/i.test(text)],
  ])('comes up though its connection is reset as it %s', async (_, isIt) => {
    const proxy = await TcpProxy.start(redis.port);
    ending.push(() => proxy.stop());
    const hasHappened = proxy.resetOn(isIt);
    const app = await start(proxy.url);
    await hasHappened;
    await until(() => app.server.status.state === 'ready');
    expect(await redis.run('SMEMBERS', 'pxl:nodes')).toContain(app.server.status.nodeId);
  });

  it('waits for a Redis that refuses writes, says so, and comes up when it takes them', async () => {
    const log = new LogLines();
    ending.push(async () => log.stop());
    await redis.run('CONFIG', 'SET', 'maxmemory', '1mb');
    let isUp = false;
    const starting = start(redis.url, true).then((app) => {
      isUp = true;
      return app;
    });
    await until(() => log.of('The start waits for Redis').length === 1);
    expect(isUp).toBe(false);
    await redis.run('CONFIG', 'SET', 'maxmemory', '0');
    expect((await starting).errors.map(String).join()).toMatch(/OOM|EXECABORT/);
  });

  it('ends when it is told to while it waits for such a Redis', async () => {
    const fleet = new Fleet(() => ({ redis: redis.url }));
    await redis.run('CONFIG', 'SET', 'maxmemory', '1mb');
    try {
      const node = fleet.spawn();
      await node.created;
      await until(async () => (await node.call('status')).errors.some((error) => /OOM|EXECABORT/.test(error)));
      node.kill('SIGTERM');
      await node.exited;
    } finally {
      await redis.run('CONFIG', 'SET', 'maxmemory', '0');
      await fleet.stop();
    }
  });

  it('fails at once when Redis says that its user may not', async () => {
    await redis.run('ACL', 'SETUSER', 'guest', 'on', '>secret', '~*', '&*', '+@all', '-hlen', '-exec');
    const url = redis.url.replace('//', '//guest:secret@');
    await expect(start(url)).rejects.toThrow(/NOPERM.*exec.*Add the rule "\+exec"/i);
  });
});
