import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import * as fc from 'fast-check';
import { Cluster } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import type { ClientRecord } from '../../lib/cluster/client-record.js';
import type { Interest } from '../../lib/cluster/channels.js';
import type { FieldWrites } from '../../lib/cluster/client-fields.js';
import { ALIVE, NEWS } from '../../lib/cluster/event-groups.js';
import { FieldWriter } from '../../lib/cluster/field-writer.js';
import { MemoryNetwork } from '../../lib/cluster/memory-network.js';
import type { RegistryStore } from '../../lib/cluster/store-contract.js';
import { memoryBus, redisBus, type TestBus } from '../support/buses.js';
import { BusRecorder, type RecordedBus, settle } from '../support/bus-recorder.js';
import { giveRedisAllTheTime } from '../support/command-timeout.js';
import { hasRedis, startRedisCluster, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const EVENT = 'WebSocket:Custom';
const EVENTS = [EVENT, 'WebSocket:SendMessage'];
const room = (name: string): Interest => ({ kind: 'room', name });
const user = (name: string): Interest => ({ kind: 'user', name });
const frameOf = (text: string): Buffer => Buffer.from(text);

interface Underground {
  /** Are there other nodes at all? */
  isShared: boolean;
  isSharded: boolean;
  open(): Promise<void>;
  close(): Promise<void>;
  make(prefix: string, nodeId: string): TestBus;
  /** Publishes bytes, as any other program can. */
  publish(channel: string, payload: string | Buffer): Promise<unknown>;
  /** The names of the connections that buses still hold. */
  connections(): Promise<string[]>;
  /** The keys that lie in Redis under this prefix and never go by themselves. */
  lastingKeys(prefix: string): Promise<string[]>;
}

const namesOf = (list: unknown): string[] => String(list).match(/name=\S*pxl-\S+/g) ?? [];

async function lastingKeys(redis: TestRedis, prefix: string): Promise<string[]> {
  const keys = (await redis.run('KEYS', `${prefix}:{*`)) as string[];
  const lives = await Promise.all(keys.map((key) => redis.run('PTTL', key)));
  return keys.filter((_, index) => Number(lives[index]) < 0);
}

const alone = (): Underground => inMemory({ isShared: false });

function inMemory({ isShared }: { isShared: boolean }): Underground {
  const network = new MemoryNetwork(systemClock);
  const done = (): Promise<void> => Promise.resolve();
  return {
    isShared,
    isSharded: false,
    open: done,
    close: done,
    make: (prefix, nodeId) => memoryBus(isShared ? network : undefined, prefix, nodeId),
    publish: async (channel, payload) => {
      const stranger = network.join();
      const nothing = (): void => undefined;
      stranger.connect({
        received: nothing,
        outletChanged: nothing,
        wayChanged: nothing,
        subscriptionsEnded: nothing,
        routesChanged: nothing,
        failed: nothing,
      });
      await stranger.publish(channel, payload);
      await stranger.close();
    },
    connections: () => Promise.resolve(Array.from({ length: network.size }, (_, index) => `member ${index}`)),
    lastingKeys: () => Promise.resolve([]),
  };
}

function onRedis(): Underground {
  let redis: TestRedis;
  return {
    isShared: true,
    isSharded: false,
    open: async () => void (redis = await TestRedis.start()),
    close: () => redis.stop(),
    make: (prefix, nodeId) => redisBus(redis.url, prefix, nodeId),
    publish: (channel, payload) => redis.run('PUBLISH', channel, payload),
    connections: async () => namesOf(await redis.run('CLIENT', 'LIST')),
    lastingKeys: (prefix) => lastingKeys(redis, prefix),
  };
}

function onRedisCluster(): Underground {
  let servers: Awaited<ReturnType<typeof startRedisCluster>>;
  let source: Cluster;
  return {
    isShared: true,
    isSharded: true,
    open: async () => {
      servers = await startRedisCluster();
      source = new Cluster(
        servers.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
        { lazyConnect: true },
      );
    },
    close: async () => {
      source.disconnect();
      await servers.stop();
    },
    make: (prefix, nodeId) => redisBus(source, prefix, nodeId),
    publish: (channel, payload) =>
      channel.includes(':$node:')
        ? source.spublish(channel, payload)
        : (servers.nodes[0] as TestRedis).run('PUBLISH', channel, payload),
    connections: async () => {
      const lists = await Promise.all(servers.nodes.map((node) => node.run('CLIENT', 'LIST')));
      return lists.flatMap(namesOf);
    },
    lastingKeys: async (prefix) => (await Promise.all(servers.nodes.map((node) => lastingKeys(node, prefix)))).flat(),
  };
}

contract('a bus alone', alone(), describe);
contract('a bus between servers of one process', inMemory({ isShared: true }), describe);
contract('a bus on one Redis', onRedis(), hasRedis() ? describe : describe.skip);
contract('a bus on a Redis Cluster of three masters', onRedisCluster(), hasRedis() ? describe : describe.skip);

function contract(name: string, underground: Underground, describeIt: typeof describe.skip): void {
  const { isShared, isSharded } = underground;
  const started: (RecordedBus & { store: RegistryStore | undefined })[] = [];
  let prefix = '';
  let count = 0;

  const start = async (nodeId = `n${started.length + 1}`): Promise<(typeof started)[number]> => {
    const recorder = Object.assign(new BusRecorder(), { nodeId, ...underground.make(prefix, nodeId) });
    const { bus } = recorder;
    started.push(recorder);
    await bus.start(recorder, EVENTS);
    return recorder;
  };
  const quiet = (): Promise<void> => settle(started, EVENT, isSharded);

  describeIt(name, () => {
    beforeAll(() => underground.open(), 30_000);
    afterAll(() => underground.close(), 30_000);
    beforeEach(() => void (prefix = `app${++count}`));
    afterEach(async () => {
      jest.restoreAllMocks();
      await Promise.all(started.splice(0).map(({ bus }) => bus.stop()));
    });

    it('is ready when start() has resolved, and tells it once', async () => {
      const { states } = await start();
      expect(states).toEqual(['ready']);
    });

    it('brings an event to its own node, after the turn of the caller, as JSON carries it', async () => {
      const { bus, events } = await start();
      void bus.emit(EVENT, { at: new Date(0), gone: undefined, list: [1, undefined], deep: { text: 'ü\n' } });
      expect(events).toEqual([]);
      await until(() => events.length > 0);
      expect(events).toEqual([[EVENT, { at: '1970-01-01T00:00:00.000Z', list: [1, null], deep: { text: 'ü\n' } }]]);
    });

    it('brings events in their order, those without content as null, and whatever their names', async () => {
      const { bus, events } = await start();
      for (const message of [1, 'two', null, undefined, [5]]) void bus.emit(EVENT, message);
      void bus.emit('orders:shipped', 6);
      await until(() => events.length >= 6);
      await quiet();
      expect(events.map(([, message]) => message)).toEqual([1, 'two', null, null, [5], 6]);
      expect(events.at(-1)?.[0]).toBe('orders:shipped');
    });

    it('brings no news of who comes and goes where nobody named such an event', async () => {
      const { bus, events } = await start();
      void bus.emit('WebSocket:ClientConnected', { clientId: 'x' });
      await quiet();
      expect(events).toEqual([]);
      await bus.stop();
      const recorder = started[0] as RecordedBus;
      await bus.start(recorder, ['WebSocket:ClientConnected']);
      void bus.emit('WebSocket:ClientConnected', { clientId: 'y' });
      await until(() => events.length > 0);
      expect(events).toEqual([['WebSocket:ClientConnected', { clientId: 'y' }]]);
    });

    it('counts an event that has no JSON form, and throws nothing', async () => {
      const { bus, events } = await start();
      const circular: { self?: unknown } = {};
      circular.self = circular;
      void bus.emit(EVENT, circular);
      void bus.emit(EVENT, 1n);
      await until(() => bus.counters.unpublished === 2);
      await quiet();
      expect(events).toEqual([]);
    });

    it('never brings a delivery back to its own node', async () => {
      const { bus, deliveries } = await start();
      await Promise.all([bus.follow(room('red')), bus.follow(user('7'))]);
      void bus.publish({ audience: { kind: 'all' }, frame: frameOf('1') });
      void bus.publish({ audience: { kind: 'rooms', roomNames: ['red'] }, frame: frameOf('2') });
      void bus.publish({ audience: { kind: 'users', userIds: [7] }, frame: frameOf('3') });
      void bus.publish({ audience: { kind: 'clients', clientIds: ['n1.x'] }, frame: frameOf('4') });
      await quiet();
      expect(deliveries).toEqual([]);
    });

    it('brings nothing after stop(), and ends every connection', async () => {
      const { bus, events, deliveries, states } = await start();
      void bus.emit(EVENT, 'late');
      await bus.stop();
      const seen = events.length;
      void bus.emit(EVENT, 'later');
      void bus.publish({ audience: { kind: 'all' }, frame: frameOf('later') });
      await bus.follow(room('red'));
      bus.unfollow(room('red'));
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(events.length).toBe(seen);
      expect(deliveries).toEqual([]);
      expect(states).toEqual(['ready', 'stopped']);
      await until(async () => (await underground.connections()).length === 0);
      await bus.stop();
    });

    it('can be started again', async () => {
      const one = await start();
      const two = isShared ? await start() : undefined;
      await one.bus.stop();
      await one.bus.start(one, EVENTS);
      expect(one.states).toEqual(['ready', 'stopped', 'ready']);
      void one.bus.emit(EVENT, 'again');
      await until(() => started.every(({ events }) => events.length === 1));
      await one.bus.follow(room('red'));
      void two?.bus.publish({ audience: { kind: 'rooms', roomNames: ['red'] }, frame: frameOf('red') });
      if (two) await until(() => one.deliveries.length === 1);
    });

    if (isShared) betweenNodes();
  });

  function betweenNodes(): void {
    it('brings an event to every node once, the one that raised it too', async () => {
      const [one, two, three] = [await start(), await start(), await start()];
      for (const { bus, nodeId } of started) void bus.emit(EVENT, nodeId);
      await quiet();
      for (const { events } of [one, two, three]) {
        expect(new Set(events.map(([, message]) => message))).toEqual(new Set(['n1', 'n2', 'n3']));
        expect(events).toHaveLength(3);
      }
    });

    it('brings a delivery for everybody to every other node once', async () => {
      const [one, two, three] = [await start(), await start(), await start()];
      void one.bus.publish({ audience: { kind: 'all' }, except: ['n2.a', 'n3.b'], frame: frameOf('hello') });
      await quiet();
      expect(one.deliveries).toEqual([]);
      const delivery = { audience: { kind: 'all' }, except: ['n2.a', 'n3.b'], frame: frameOf('hello') };
      expect([two.deliveries, three.deliveries]).toEqual([[delivery], [delivery]]);
    });

    it('brings the bytes of a frame untouched', async () => {
      const [one, two] = [await start(), await start()];
      await two.bus.follow(room('red'));
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), async (frame) => {
          two.deliveries.length = 0;
          void one.bus.publish({ audience: { kind: 'rooms', roomNames: ['red'] }, frame });
          await until(() => two.deliveries.length > 0);
          expect(Buffer.compare(Buffer.from(two.deliveries[0]?.frame ?? []), Buffer.from(frame))).toBe(0);
        }),
        { numRuns: 40 },
      );
      const large = Buffer.alloc(3_000_000, 10);
      void one.bus.publish({ audience: { kind: 'all' }, frame: large });
      await until(() => two.deliveries.some(({ frame }) => large.equals(frame as Uint8Array)));
    });

    it('brings the text of a frame as UTF-8, several of a turn in their order', async () => {
      const [one, two] = [await start(), await start()];
      await two.bus.follow(room('red'));
      const texts = ['{}', '"ä€😀\\n"', '""', `"${'ü'.repeat(70_000)}"`, '{"a":"\\ud800"}'];
      for (const frame of texts) void one.bus.publish({ audience: { kind: 'rooms', roomNames: ['red'] }, frame });
      await until(() => two.deliveries.length === texts.length);
      expect(two.deliveries.map(({ frame }) => Buffer.from(frame).toString())).toEqual(texts);
    });

    it('brings a delivery for rooms only where one is followed, from the moment follow() has resolved', async () => {
      const [one, two, three] = [await start(), await start(), await start()];
      for (let index = 0; index < 30; index++) {
        const name = `room-${index}`;
        await two.bus.follow(room(name));
        void one.bus.publish({ audience: { kind: 'rooms', roomNames: [name] }, frame: frameOf(name) });
      }
      await quiet();
      expect(two.frames.toSorted()).toEqual(Array.from({ length: 30 }, (_, index) => `room-${index}`).toSorted());
      expect(three.deliveries).toEqual([]);
      expect(two.deliveries[0]?.audience.kind).toBe('rooms');
    });

    it('brings a member of two rooms one copy, and to whoever follows just one', async () => {
      const [one, two, three] = [await start(), await start(), await start()];
      await Promise.all([two.bus.follow(room('red')), two.bus.follow(room('blue')), three.bus.follow(room('blue'))]);
      const roomNames = ['red', 'blue', 'red'];
      for (let index = 0; index < 20; index++) {
        void one.bus.publish({ audience: { kind: 'rooms', roomNames }, except: ['x'], frame: frameOf(`${index}`) });
      }
      await quiet();
      for (const { deliveries, once } of [two, three]) {
        expect(once.toSorted()).toEqual(Array.from({ length: 20 }, (_, index) => `${index}`).toSorted());
        for (const { audience, except } of deliveries) {
          expect(audience.kind === 'rooms' && roomNames.includes(audience.roomNames.at(-1) ?? '')).toBe(true);
          expect(except).toEqual(['x']);
        }
      }
    });

    it('brings a delivery for users only where such a user is followed, numbers and texts alike', async () => {
      const [one, two, three] = [await start(), await start(), await start()];
      await Promise.all([two.bus.follow(user('7')), three.bus.follow(user('ada'))]);
      await three.bus.follow(room('7')); // another thing than the user 7
      void one.bus.publish({ audience: { kind: 'users', userIds: [7, '7', 'bob'] }, frame: frameOf('seven') });
      void one.bus.publish({ audience: { kind: 'users', userIds: ['ada'] }, frame: frameOf('ada') });
      await quiet();
      expect([one.frames, two.frames, three.frames]).toEqual([[], ['seven'], ['ada']]);
      expect(two.deliveries[0]?.audience).toEqual({ kind: 'users', userIds: ['7'] });
    });

    it('brings a delivery for clients to their nodes alone, once each, with those that are there', async () => {
      const [one, two, three] = [await start(), await start(), await start()];
      const clientIds = ['n2.a', 'n1.own', 'n2.b', 'n2.a', 'nobody', 'n9.gone'];
      void one.bus.publish({ audience: { kind: 'clients', clientIds }, frame: frameOf('you') });
      await quiet();
      expect([one.deliveries, three.deliveries]).toEqual([[], []]);
      expect(two.deliveries).toEqual([
        { audience: { kind: 'clients', clientIds: ['n2.a', 'n2.b'] }, except: undefined, frame: frameOf('you') },
      ]);
    });

    it('reaches 4,000 clients of one node', async () => {
      const [one, two] = [await start(), await start('n'.repeat(22))];
      const clientIds = Array.from({ length: 4_000 }, (_, index) => `${two.nodeId}.${String(index).padStart(22, 'x')}`);
      void one.bus.publish({ audience: { kind: 'clients', clientIds }, frame: frameOf('you') });
      await quiet();
      expect(two.deliveries.map(({ audience }) => audience)).toEqual([{ kind: 'clients', clientIds }]);
      expect(two.bus.counters.junk).toBe(0);
    });

    it('keeps the order of one publisher in a room', async () => {
      const [one, two] = [await start(), await start()];
      await two.bus.follow(room('red'));
      for (let index = 0; index < 500; index++) {
        void one.bus.publish({ audience: { kind: 'rooms', roomNames: ['red'] }, frame: frameOf(`${index}`) });
      }
      await until(() => two.deliveries.length >= 500);
      expect(two.frames).toEqual(Array.from({ length: 500 }, (_, index) => `${index}`));
      expect(two.bus.counters).toEqual({ unpublished: 0, missing: 0, stale: 0, junk: 0 });
    });

    it('brings nothing of a room after unfollow(), and counts no gap when it is followed again', async () => {
      const [one, two] = [await start(), await start()];
      const say = (text: string): unknown =>
        one.bus.publish({ audience: { kind: 'rooms', roomNames: ['red'] }, frame: frameOf(text) });
      await two.bus.follow(room('red'));
      for (let round = 0; round < 10; round++) {
        const before = two.deliveries.length;
        say(`heard ${round}`);
        await until(() => two.deliveries.length === before + 1);
        say('on its way');
        two.bus.unfollow(room('red'));
        await two.bus.follow(room(`other ${round}`)); // after it in the same queue of commands
        await quiet();
        for (let index = 0; index < 3; index++) say('unheard');
        await quiet();
        await two.bus.follow(room('red'));
      }
      expect(two.frames).not.toContain('unheard');
      expect(two.bus.counters.missing).toBe(0);
    });

    it('carries an order to one node, which learns who asks', async () => {
      const [one, two, three] = [await start(), await start(), await start()];
      void one.bus.order('n2', { id: 1, op: 'disconnect', text: 'ü\n' });
      void two.bus.order('n1', { id: 1, op: 'answer' });
      void one.bus.order('n9', { nobody: true });
      await quiet();
      expect(two.orders).toEqual([['n1', { id: 1, op: 'disconnect', text: 'ü\n' }]]);
      expect(one.orders).toEqual([['n2', { id: 1, op: 'answer' }]]);
      expect(three.orders).toEqual([]);
      expect([one, two, three].flatMap(({ deliveries }) => deliveries)).toEqual([]);
    });

    it('goes on under a new id, and is found under the old one, too', async () => {
      const [one, two] = [await start(), await start()];
      await two.bus.renameTo('n2-new');
      void one.bus.publish({ audience: { kind: 'clients', clientIds: ['n2.a', 'n2-new.b'] }, frame: frameOf('you') });
      void two.bus.publish({ audience: { kind: 'clients', clientIds: ['n2.a', 'n2-new.b'] }, frame: frameOf('own') });
      void two.bus.order('n1', { id: 2 });
      await quiet();
      expect(two.deliveries.map(({ audience }) => JSON.stringify(audience)).toSorted()).toEqual(
        ['n2-new.b', 'n2.a'].map((clientId) => JSON.stringify({ kind: 'clients', clientIds: [clientId] })),
      );
      expect(one.orders).toEqual([['n2-new', { id: 2 }]]);
    });

    it('counts what is missing though its node took a new id meanwhile, and drops what comes late', async () => {
      const { bus, deliveries } = await start();
      const say = (nodeId: string, sequence: number, origin?: string): Promise<unknown> => {
        const header = [1, nodeId, sequence, 0, 0, 0, 0, 0, ...(origin === undefined ? [] : [origin])];
        return underground.publish(`${prefix}:$all`, `${JSON.stringify(header)}\n${sequence}`);
      };
      await say('old', 1);
      await say('new', 5, 'old');
      await say('new', 4, 'old');
      await say('new', 6, 'old');
      await until(() => deliveries.length === 3 && bus.counters.stale === 1);
      expect(deliveries.map(({ frame }) => Number(frame))).toEqual([1, 5, 6]);
      expect(bus.counters).toEqual({ unpublished: 0, missing: 3, stale: 1, junk: 0 });
    });

    it('counts events that are missing, and drops those that come late', async () => {
      const { bus, events } = await start();
      const raise = (sequence: number, origin = 'another'): Promise<unknown> =>
        underground.publish(`${prefix}:$events`, JSON.stringify([EVENT, sequence, origin, sequence]));
      for (const sequence of [1, 2, 5, 4, 6]) await raise(sequence);
      await raise(9, 'a third');
      await underground.publish(`${prefix}:$events`, JSON.stringify([EVENT, 'without a number']));
      await until(() => events.length === 6);
      expect(events.map(([, message]) => message)).toEqual([1, 2, 5, 6, 9, 'without a number']);
      expect(bus.counters).toEqual({ unpublished: 0, missing: 2, stale: 1, junk: 0 });
      for (const end of ['7', '"another"', '"another","7"', '"another",7.5', '7,"another"', '"another",7,8'])
        await underground.publish(`${prefix}:$events`, `["${EVENT}",7,${end}]`);
      await until(() => bus.counters.junk === 6);
    });

    it('counts changes of a node that never came, where somebody wants to hear of them', async () => {
      const [deaf, bus] = [await start(), await start()];
      await bus.bus.stop();
      await bus.bus.start(bus, [...EVENTS, NEWS]);
      const isAlive = async (version: number): Promise<void> => {
        const message = { nodeId: 'another', version, count: 0 };
        await underground.publish(`${prefix}:$events`, JSON.stringify([ALIVE, message]));
      };
      const change = async (version: number): Promise<void> => {
        await underground.publish(`${prefix}:$presence`, JSON.stringify([NEWS, ['another', version, [], []]]));
      };
      const counts = async (missing: number, stale: number): Promise<void> => {
        await until(() => bus.bus.counters.missing === missing && bus.bus.counters.stale === stale);
      };
      await isAlive(3); // whatever came before
      await change(4);
      await change(7);
      await counts(2, 0);
      await isAlive(7);
      await isAlive(9);
      await counts(4, 0);
      await isAlive(9);
      await change(10);
      await change(10);
      await counts(4, 1);
      await change(2 ** 40); // forged
      await isAlive(10);
      await change(11);
      await until(() => bus.events.filter(([name]) => name === NEWS).length === 5);
      expect(bus.bus.counters.stale).toBe(1);
      expect(deaf.bus.counters).toEqual({ unpublished: 0, missing: 0, stale: 0, junk: 0 });
      expect(deaf.events.some(([name]) => name === NEWS)).toBe(false);
    });

    it('numbers what it publishes on and on, under whichever id', async () => {
      const [one, two] = [await start(), await start()];
      const publish = (): unknown => one.bus.publish({ audience: { kind: 'all' }, frame: frameOf('x') });
      publish();
      await one.bus.renameTo('n1-new');
      publish();
      await one.bus.renameTo('n1-newer');
      publish();
      await until(() => two.deliveries.length === 3);
      expect(two.bus.counters).toEqual({ unpublished: 0, missing: 0, stale: 0, junk: 0 });
    });

    it('hears nothing of another prefix', async () => {
      const one = await start();
      prefix += '-other';
      const other = await start();
      void one.bus.publish({ audience: { kind: 'all' }, frame: frameOf('mine') });
      void one.bus.emit('WebSocket:SendMessage', 'mine');
      await settle([one], EVENT, isSharded);
      await settle([other], EVENT, isSharded);
      expect([other.deliveries, other.events]).toEqual([[], []]);
    });

    it('knows for how long it has heard nothing of a node', async () => {
      const [one, two] = [await start(), await start()];
      expect(two.bus.silentMs('n1')).toBe(Infinity);
      void one.bus.publish({ audience: { kind: 'all' }, frame: frameOf('alive') });
      await until(() => two.deliveries.length === 1);
      expect(two.bus.silentMs('n1')).toBeLessThan(60_000);
      two.bus.forgetNode('n1');
      expect(two.bus.silentMs('n1')).toBe(Infinity);
    });

    it('lets a record written after its node was buried go by itself', async () => {
      const { store } = await start();
      if (!store) throw new Error('There is no store.');
      const fields: FieldWrites = new Map();
      new FieldWriter('n1').whole(fields, { clientId: 'n1.a', user: null, metadata: {}, rooms: [], lastActivity: 0 });
      const digest = (version: number, count: number) => ({ version, count });
      expect(await store.register('n1', digest(1, 0), new Map())).toBe(true);
      expect(await store.register('n1', digest(1, 0), new Map())).toBe(true);
      expect(await store.bury('n1')).toBe(false); // it lives
      expect([await store.bury('n2'), await store.bury('n2')]).toEqual([true, false]);
      await store.leave('n1');
      await store.write('n1', digest(2, 1), fields);
      expect(await underground.lastingKeys(prefix)).toEqual([]);
      await store.write('n1', digest(3, 0), new Map([['.a', undefined]]));
      expect(await underground.lastingKeys(prefix)).toEqual([]);
      expect(await store.renew('n1', digest(3, 0))).toBe('buried');
      expect(await store.register('n1', digest(4, 1), fields)).toBe(false);
      expect(await store.leases([])).toEqual(new Map());
      expect(await store.leases(['n1', 'n2', 'n3'])).toEqual(
        new Map([
          ['n1', 'dead'],
          ['n2', 'dead'],
          ['n3', 'none'],
        ]),
      );
    });

    it('says of a node whether all that it has is written', async () => {
      const { store } = await start();
      if (!store) throw new Error('There is no store.');
      const records = ['n7.a', 'n7.b'].map((clientId) => ({
        clientId,
        user: null,
        metadata: {},
        rooms: [],
        lastActivity: 0,
      }));
      const digest = { version: 2, count: 2 };
      expect(await store.read('n7')).toMatchObject({ records: [] });
      const writer = new FieldWriter('n7');
      const fields: FieldWrites = new Map();
      for (const record of records) writer.whole(fields, record);
      expect(await store.register('n7', digest, fields)).toBe(true);
      expect(await store.read('n7')).toEqual({ digest, records: expect.arrayContaining(records), isComplete: true });
      expect(await store.renew('n7', digest)).toBe('kept');
      expect(await store.renew('n7', { version: 3, count: 2 })).toBe('incomplete');
      await store.write('n7', { version: 3, count: 1 }, new Map([['.b', undefined]]));
      expect(await store.renew('n7', { version: 3, count: 1 })).toBe('kept');
      expect((await store.leases([])).get('n7')).toBe('alive');
    });

    it('writes and removes any number of fields', async () => {
      giveRedisAllTheTime();
      const { store } = await start();
      if (!store) throw new Error('There is no store.');
      const rooms = Array.from({ length: 150_000 }, (_, n) => `room ${n}`);
      const writer = new FieldWriter('n8');
      const write = async (record: ClientRecord): Promise<number | undefined> => {
        const fields: FieldWrites = new Map(rooms.map((roomName) => [`@.a\n${roomName}`, undefined]));
        writer.whole(fields, record);
        await store.write('n8', { version: 1, count: writer.count }, fields);
        const { records, isComplete } = await store.read('n8');
        return isComplete ? records[0]?.rooms.length : undefined;
      };
      const record = { clientId: 'n8.a', user: null, metadata: {}, rooms, lastActivity: 0 };
      expect(await store.register('n8', { version: 0, count: 0 }, new Map())).toBe(true);
      expect(await write(record)).toBe(rooms.length);
      expect(await write({ ...record, rooms: ['red'] })).toBe(1);
    });

    it('drops and counts junk from any other process', async () => {
      const one = await start();
      const junk = ['', '\n', 'hello', '{}\n', '[2,"n",1,1,0,0,0]\n{}', Buffer.from([0xff, 0xfe, 10])];
      for (const payload of junk) await underground.publish(`${prefix}:$all`, payload);
      await underground.publish(`${prefix}:${EVENT}`, '{not json');
      await underground.publish(`${prefix}:$node:n1`, `[1,"other",1,${Date.now()},0,0,0]\nnot json`);
      await underground.publish(`${prefix}:${EVENT}`, '{"plain":"JSON"}');
      await until(() => one.events.length === 1);
      await quiet();
      expect(one.bus.counters.junk).toBe(junk.length + 2);
      expect([one.events, one.deliveries, one.orders]).toEqual([[[EVENT, { plain: 'JSON' }]], [], []]);
    });
  }
}
