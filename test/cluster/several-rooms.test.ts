import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cluster } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { Channels } from '../../lib/cluster/channels.js';
import { keySlot } from '../../lib/cluster/key-slot.js';
import { Publisher } from '../../lib/cluster/publisher.js';
import { SharedClock } from '../../lib/cluster/shared-clock.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, startRedisCluster, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const NEWS = { type: 'news', action: 'n' };
const roomNames = (count: number): string[] => Array.from({ length: count }, (_, index) => `room-${index}`);
const numbersOf = (peer: Peer): number[] =>
  peer.received.filter(({ type }) => type === 'news').map(({ data }) => data as number);
const inOrder = (numbers: number[]): number[] => numbers.toSorted((a, b) => a - b);

describe('a message to several rooms', () => {
  it('costs as much for each of 800 rooms as for each of 100', () => {
    const bytesFor = (count: number): number => {
      let bytes = 0;
      const outlet = {
        isOpen: true,
        hasOneOrder: true,
        publish: (_channel: string, payload: string | Buffer) => {
          bytes += payload.length;
          return Promise.resolve(1);
        },
        flush: () => undefined,
        time: () => Promise.resolve([1, 0]),
      };
      const options = { clock: systemClock, origin: 'n' };
      const publisher = new Publisher(new Channels('pxl'), outlet, new SharedClock(systemClock), options);
      void publisher.publish({ audience: { kind: 'rooms', roomNames: roomNames(count) }, frame: '{}' }, 'n');
      return bytes / count;
    };
    expect(bytesFor(800)).toBeLessThan(1.2 * bytesFor(100));
  });
});

(hasRedis() ? describe : describe.skip)('a message to several rooms, over Redis', () => {
  const ending: (() => unknown)[] = [];
  afterAll(async () => {
    for (const end of ending.splice(0).toReversed()) await end();
  });

  const startTwo = async (redis: string | Cluster): Promise<[RunningApp, RunningApp]> => {
    const apps = [await startApp({ options: { redis } }), await startApp({ options: { redis } })] as const;
    for (const app of apps) ending.push(() => app.close());
    return [...apps];
  };

  it('comes once to a member of many of them, and to none that is excepted', async () => {
    const redis = await TestRedis.start();
    ending.push(() => redis.stop());
    const [one, two] = await startTwo(redis.url);
    const [ada, bob, eve, joe] = [await two.connect(), await two.connect(), await two.connect(), await one.connect()];
    for (const room of ['room-0', 'room-1', 'room-700', 'room-1999']) {
      await Promise.all([ada.join(room), eve.join(room), joe.join(room)]);
    }
    await bob.join('room-1500');
    for (let n = 0; n < 3; n++)
      await one.service.sendToRooms(roomNames(2_000), { ...NEWS, data: n }, { except: [eve.clientId] });
    await two.service.sendToRooms(roomNames(2_000), { ...NEWS, data: 3 });
    await Promise.all([ada, bob, joe].map((peer) => until(() => numbersOf(peer).length >= 4)));
    await Promise.all([ada, bob, eve, joe].map((peer) => peer.settle()));
    for (const peer of [ada, bob]) expect(inOrder(numbersOf(peer))).toEqual([0, 1, 2, 3]);
    expect(numbersOf(joe)).toEqual([0, 1, 2, 3]);
    expect(numbersOf(eve)).toEqual([3]);
  });

  describe('on a Redis Cluster', () => {
    let servers: Awaited<ReturnType<typeof startRedisCluster>>;
    let one: RunningApp;
    let two: RunningApp;
    beforeAll(async () => {
      servers = await startRedisCluster();
      ending.push(() => servers.stop());
      const seeds = servers.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
      const source = new Cluster(seeds, { lazyConnect: true });
      ending.push(() => source.disconnect());
      [one, two] = await startTwo(source);
    });

    /** A room of the last master, and one of the second. */
    const roomOf = (from: number, to: number): string =>
      roomNames(100).find((room) => {
        const slot = keySlot(`pxl:$room:${room}`);
        return slot >= from && slot <= to;
      }) as string;

    it('overtakes nothing that was published before it to one of them, though their masters differ', async () => {
      const [late, quick] = [roomOf(10_923, 16_383), roomOf(5_461, 10_922)];
      const [ada, bob, eve] = [await two.connect(), await two.connect(), await two.connect()];
      await Promise.all([ada.join(late), bob.join(quick), eve.join(late), eve.join(quick)]);
      const master = servers.nodes[2] as TestRedis;
      master.freeze();
      for (let n = 0; n < 20; n += 2) {
        void one.service.sendToRooms([late], { ...NEWS, data: n });
        void one.service.sendToRooms([quick, late], { ...NEWS, data: n + 1 });
      }
      await until(() => numbersOf(bob).length === 10).finally(() => master.thaw());
      await Promise.all([ada, eve].map((peer) => until(() => numbersOf(peer).length >= 20)));
      await Promise.all([ada, eve].map((peer) => peer.settle()));
      const all = Array.from({ length: 20 }, (_, index) => index);
      expect(numbersOf(ada)).toEqual(all);
      expect(numbersOf(bob)).toEqual(all.filter((n) => n % 2 === 1));
      expect(inOrder(numbersOf(eve))).toEqual(all); // once each
    });
  });
});
