import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Cluster } from 'ioredis';
import type { RedisSource } from '../../lib/cluster/redis-source.js';
import { keySlot } from '../../lib/cluster/key-slot.js';
import { type RunningApp, startApp } from '../support/app.js';
import { redisBus } from '../support/buses.js';
import { BusRecorder, type RecordedBus } from '../support/bus-recorder.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, moveSlot, startRedisCluster, TestRedis } from '../support/redis.js';
import { type Ends, sideBySide } from '../support/side-by-side.js';
import { PATIENCE_MS, Stopwatch } from '../support/stopwatch.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const buses: RecordedBus[] = [];
const toRoom = (frame: string, name = 'red') => ({ audience: { kind: 'rooms' as const, roomNames: [name] }, frame });
const isReady = ({ states }: RecordedBus) => states.at(-1) === 'ready';

async function begin(source: RedisSource, prefix: string, nodeId: string): Promise<RecordedBus> {
  const recorder = Object.assign(new BusRecorder(), { nodeId, ...redisBus(source, prefix, nodeId) });
  await recorder.bus.start(recorder, []);
  return recorder;
}

async function start(source: RedisSource, prefix: string): Promise<RecordedBus> {
  const recorder = await begin(source, prefix, `n${buses.length + 1}`);
  buses.push(recorder);
  return recorder;
}

/** Resolves when the node says that it is down, with what is away then: some milliseconds later it may be back. */
function goesDown(node: RecordedBus): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const tooLate = setTimeout(() => reject(new Error(`${node.nodeId} noticed nothing.`)), PATIENCE_MS);
    node.stateChanged = (state) => {
      node.states.push(state);
      if (state !== 'down') return;
      clearTimeout(tooLate);
      resolve([...node.bus.away]);
    };
  });
}

/** 7 s are promised. What isn't noticed by then stays so for minutes. */
const NOTICED_MS = 10_000;

/** Publishes from the one to the other until it arrives. @returns the milliseconds it took */
async function reaches(from: RecordedBus, to: RecordedBus, name = 'red'): Promise<number> {
  const watch = new Stopwatch();
  const before = to.deliveries.length;
  await until(() => {
    from.bus.publish(toRoom(String(Date.now()), name)).catch(() => undefined);
    return to.deliveries.length > before;
  });
  return watch.ms;
}

afterEach(() => Promise.all(buses.splice(0).map(({ bus }) => bus.stop())));

interface Pair {
  redis: TestRedis;
  proxy: TcpProxy;
  one: RecordedBus;
  two: RecordedBus;
}

describeWithRedis('a connection to Redis that says nothing any more', () => {
  const scenario = sideBySide();

  const redisBehindProxy = async (ends: Ends): Promise<{ redis: TestRedis; proxy: TcpProxy }> => {
    const redis = await TestRedis.start();
    ends(() => redis.stop());
    const proxy = await TcpProxy.start(redis.port);
    ends(() => proxy.stop());
    return { redis, proxy };
  };
  /** Two nodes on one Redis, the first behind a proxy. */
  const pair = async (ends: Ends): Promise<Pair> => {
    const { redis, proxy } = await redisBehindProxy(ends);
    const [one, two] = [await begin(proxy.url, 'app', 'n1'), await begin(redis.url, 'app', 'n2')];
    for (const { bus } of [one, two]) {
      ends(() => bus.stop());
      await bus.follow({ kind: 'room', name: 'red' });
    }
    return { redis, proxy, one, two };
  };

  for (const ms of [7_000, 5_600])
    scenario(`heals when the answer to SUBSCRIBE comes ${ms} ms late, just after a reconnect`, async (ends) => {
      const { redis, proxy } = await redisBehindProxy(ends);
      const app = await startApp({ options: { redis: proxy.url } });
      ends(() => app.close());
      const other = await startApp({ options: { redis: redis.url } });
      ends(() => other.close());
      const ada = await app.connect();
      await ada.join('red');
      await until(() => other.rooms.isClientInRoom({ clientId: ada.clientId, roomName: 'red' }));
      const held = new Promise<void>((resolve) => {
        void proxy.resetOn((text, role) => {
          if (role !== 'subscriber' || !/\r\nsubscribe\r\n/i.test(text)) return false;
          proxy.hold('down', 'subscriber');
          resolve();
          return false;
        });
      });
      proxy.reset('subscriber');
      await held;
      void proxy.resetOn(() => false);
      await new Promise((resolve) => setTimeout(resolve, ms));
      proxy.heal();
      await until(() => app.server.status.state === 'ready');
      await until(() => other.rooms.isClientInRoom({ clientId: ada.clientId, roomName: 'red' }));
      await other.service.sendToRooms(['red'], { type: 'news', action: 'flash' });
      await ada.next('news', 'flash');
    });

  /** An app of one node behind a proxy, and another node; `isLate`: the app gave up waiting for an answer of Redis. */
  const appBehindProxy = async (ends: Ends) => {
    const { redis, proxy } = await redisBehindProxy(ends);
    const app = await startApp({ options: { redis: proxy.url } });
    ends(() => app.close());
    const other = await startApp({ options: { redis: redis.url } });
    ends(() => other.close());
    const isLate = (): boolean => app.errors.some(({ message }) => message === 'Command timed out');
    const subscribersOf = async (room: string): Promise<unknown> =>
      ((await redis.run('PUBSUB', 'NUMSUB', `pxl:$room:${room}`)) as unknown[])[1];
    return { redis, proxy, app, other, isLate, subscribersOf };
  };
  const STALLS = [
    ['the way to Redis', ({ proxy }: { proxy: TcpProxy }) => proxy.hold('up', 'subscriber')],
    ['the way from Redis', ({ proxy }: { proxy: TcpProxy }) => proxy.hold('down', 'subscriber')],
    ['Redis itself', ({ redis }: { redis: TestRedis }) => redis.freeze()],
  ] as const;

  for (const [what, stall] of STALLS)
    scenario(`hears a room that was left just before ${what} stood still, and joined meanwhile`, async (ends) => {
      const { redis, proxy, app, other, isLate } = await appBehindProxy(ends);
      const [ada, bob] = [await app.connect(), await app.connect()];
      await ada.join('red');
      stall({ redis, proxy });
      ada.send('system', 'leaveRoom', { roomName: 'red' });
      await until(() => !app.rooms.isClientInRoom({ clientId: ada.clientId, roomName: 'red' }));
      const joining = bob.request('system', 'joinRoom', { roomName: 'red' });
      await until(isLate);
      proxy.heal();
      redis.thaw();
      const { response } = await joining;
      if (!response) await bob.join('red'); // a busy machine: it was refused after 5 s
      await bob.join('blue'); // by then, all that was under way has been carried out
      await until(() => app.server.status.state === 'ready');
      await other.service.sendToRooms(['red'], { type: 'news', action: 'flash' });
      await bob.next('news', 'flash');
    });

  scenario(
    'may have taken a message that it never answered: the error says so, and one that it did not take',
    async (ends) => {
      const { proxy, app, other } = await appBehindProxy(ends);
      const bob = await other.connect();
      await bob.join('red');
      const flash = { type: 'news', action: 'flash' };
      proxy.hold('down', 'publisher');
      const sent = app.service.sendToRooms(['red'], flash);
      await bob.next('news', 'flash');
      await expect(sent).rejects.toMatchObject({
        code: 'NOT_PUBLISHED',
        mayHaveArrived: true,
        message: expect.stringContaining('it may arrive twice'),
      });
      proxy.cut();
      await until(() => app.server.status.state === 'down');
      await expect(app.service.sendToRooms(['red'], flash)).rejects.toMatchObject({ mayHaveArrived: false });
    },
  );

  scenario('is not subscribed to a room that was left while its join stood still', async (ends) => {
    const { proxy, app, isLate, subscribersOf } = await appBehindProxy(ends);
    const ada = await app.connect();
    proxy.hold('up', 'subscriber');
    ada.send('system', 'joinRoom', { roomName: 'red' });
    await until(isLate);
    ada.terminate();
    proxy.heal();
    const bob = await app.connect();
    await bob.join('blue');
    await until(async () => (await subscribersOf('red')) === 0);
  });

  for (const role of ['subscriber', 'publisher'] as const)
    scenario(`is noticed within 7 s, and the node heals: the ${role}`, async (ends) => {
      const { proxy, one, two } = await pair(ends);
      await reaches(one, two);
      const watch = new Stopwatch();
      const down = goesDown(one);
      proxy.deaden(role);
      const away = await down;
      const noticedMs = watch.ms;
      expect(noticedMs).toBeLessThan(NOTICED_MS);
      expect(away).toEqual(['redis']);
      await until(() => isReady(one));
      await Promise.all([reaches(one, two), reaches(two, one)]);
      expect(one.bus.away).toEqual([]);
      console.info(`A dead ${role}: noticed after ${Math.round(noticedMs)} ms`);
    });

  scenario('heals when Redis was frozen for 5.6 s while a node connects again', async (ends) => {
    const { redis, proxy, one, two } = await pair(ends);
    redis.freeze();
    proxy.reset();
    await new Promise((resolve) => setTimeout(resolve, 5_600));
    redis.thaw();
    await until(() => isReady(one) && isReady(two));
    await Promise.all([reaches(one, two), reaches(two, one)]);
  });
});

describeWithRedis('a master of a Redis Cluster', () => {
  let servers: Awaited<ReturnType<typeof startRedisCluster>>;
  let source: Cluster;
  beforeAll(async () => {
    servers = await startRedisCluster({ isProxied: true });
    source = new Cluster(
      servers.proxies.map(({ port }) => ({ host: '127.0.0.1', port })),
      { lazyConnect: true },
    );
  });
  afterAll(async () => {
    source.disconnect();
    await servers.stop();
  });
  /** A room whose channel the first master has. */
  const roomOfFirst = (prefix: string): string =>
    Array.from({ length: 100 }, (_, index) => `room${index}`).find(
      (name) => keySlot(`${prefix}:$room:${name}`) <= 5_460,
    ) as string;

  it('that says nothing any more to one node is noticed within 7 s, and the node hears it again', async () => {
    const [one, two] = [await start(source, 'shard'), await start(source, 'shard')];
    const name = roomOfFirst('shard');
    await Promise.all([one, two].map(({ bus }) => bus.follow({ kind: 'room', name })));
    await reaches(one, two, name);
    const watch = new Stopwatch();
    const [proxy] = servers.proxies as [TcpProxy];
    const down = goesDown(two);
    proxy.deaden('subscriber');
    const away = await down;
    const noticedMs = watch.ms;
    expect(noticedMs).toBeLessThan(NOTICED_MS);
    // The broadcasts may come by way of the same master, and be missed first.
    expect(away).not.toEqual([]);
    for (const name of away) expect([`127.0.0.1:${proxy.port}`, 'broadcasts']).toContain(name);
    await until(() => isReady(one) && isReady(two));
    await Promise.all([reaches(one, two, name), reaches(two, one, name)]);
    console.info(`A dead shard: noticed after ${Math.round(noticedMs)} ms`);
  });

  it.each([
    ['keeps its slot in a change of slots', false],
    ['gives its slot to another master', true],
  ])('that %s ends the subscriptions: the nodes subscribe again', async (_what, isMoved) => {
    const prefix = isMoved ? 'moved' : 'kept';
    const [one, two] = [await start(source, prefix), await start(source, prefix)];
    const name = roomOfFirst(prefix);
    await Promise.all([one, two].map(({ bus }) => bus.follow({ kind: 'room', name })));
    await reaches(one, two, name);
    const channel = `${prefix}:$room:${name}`;
    const [first] = servers.nodes as [TestRedis];
    if (isMoved) await moveSlot(servers.nodes, channel);
    else await first.run('CLUSTER', 'SETSLOT', keySlot(channel), 'NODE', String(await first.run('CLUSTER', 'MYID')));
    const took = await Promise.all([reaches(one, two, name), reaches(two, one, name)]);
    expect(Math.max(...took)).toBeLessThan(7_000); // sooner than silence is noticed
  });

  it('that gave a slot away is not asked again and again to end what it ended itself', async () => {
    const node = await start(source, 'given');
    const names = Array.from({ length: 200 }, (_, index) => `room${index}`);
    const [moved, kept] = names.filter((name) => keySlot(`given:$room:${name}`) <= 5_460) as [string, string];
    await node.bus.follow({ kind: 'room', name: moved });
    await moveSlot(servers.nodes, `given:$room:${moved}`);
    await until(async () => {
      const counts = await Promise.all(
        servers.nodes.map((master) => master.run('PUBSUB', 'SHARDNUMSUB', `given:$room:${moved}`)),
      );
      return counts.some((count) => (count as unknown[])[1] === 1);
    });
    await node.bus.follow({ kind: 'room', name: kept }); // answered after what was sent to that master before
    const commands = node.failures.map((error) => (error as { command?: { name: string } }).command?.name);
    expect(commands).not.toContain('sunsubscribe');
  });

  it('has the slots that Redis says', async () => {
    const [redis] = servers.nodes as [TestRedis];
    for (const key of [
      '',
      'a',
      '{',
      '{}',
      '{}x',
      'a{b}c',
      'a{b}{c}',
      'a{{b}c}',
      '}{',
      'ü',
      '部屋 💬',
      'x'.repeat(500),
      'pxl:$room:red',
    ])
      expect({ key, slot: keySlot(key) }).toEqual({ key, slot: await redis.run('CLUSTER', 'KEYSLOT', key) });
  });
});

describeWithRedis('a user of Redis who may not do what is needed', () => {
  let redis: TestRedis;
  const apps: RunningApp[] = [];
  const peers: Peer[] = [];
  beforeAll(async () => void (redis = await TestRedis.start()));
  afterAll(() => redis.stop());
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.terminate();
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  it.each([
    [['+@all', '-subscribe', 'allchannels', '~*'], '"+subscribe"'],
    [['+@all', '-publish', 'allchannels', '~*'], '"+publish"'],
    [['+@all', '&other:*', '~*'], '"&acl:*"'],
  ])('ends the start with the rule that is missing: %j', async (rules, rule) => {
    await redis.run('ACL', 'SETUSER', 'limited', 'reset', 'on', '>secret', ...rules);
    const url = redis.url.replace('redis://', 'redis://limited:secret@');
    await expect(startApp({ options: { redis: url, prefix: 'acl' } })).rejects.toThrow(rule);
    await until(async () => !String(await redis.run('CLIENT', 'LIST')).includes('pxl-')); // nothing goes on in secret
  });
});
