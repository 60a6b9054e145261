import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type ClusterNode, Fleet } from '../support/cluster-node.js';
import { complaints, Ledger } from '../support/ledger.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, startRedisCluster, TestRedis } from '../support/redis.js';
import { join, leave, member, publish } from '../support/scribe.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

interface Backend {
  nodes: TestRedis[];
  stop(): Promise<void>;
}

const backends: Record<string, () => Promise<Backend>> = {
  'one Redis': async () => {
    const redis = await TestRedis.start();
    return { nodes: [redis], stop: () => redis.stop() };
  },
  'a Redis Cluster of three masters': startRedisCluster,
};

const news = (peer: Peer): unknown[] => peer.received.filter(({ type }) => type === 'news').map(({ data }) => data);

/** Processes without any worker number, as on hosts that know nothing of each other. */
(hasRedis() ? describe : describe.skip).each(Object.keys(backends))('three processes on %s', (name) => {
  let backend: Backend;
  let one: ClusterNode;
  let two: ClusterNode;
  let three: ClusterNode;
  const isCluster = name.includes('Cluster');
  const fleet = new Fleet(
    () => (isCluster ? {} : { redis: backend.nodes[0]?.url }),
    () => (isCluster ? { clusterPorts: backend.nodes.map(({ port }) => port) } : {}),
  );
  const all = (): ClusterNode[] => [one, two, three];

  beforeAll(async () => {
    backend = await (backends[name] as () => Promise<Backend>)();
    [one, two, three] = await Promise.all([fleet.start(), fleet.start(), fleet.start()]);
  });
  afterAll(async () => {
    await fleet.stop();
    await backend.stop();
  });
  afterEach(async () => {
    for (const peer of all().flatMap((node) => node.peers.splice(0))) peer.terminate();
    await Promise.all(all().map((node) => node.knows([])));
  });

  it('D1 D2 D9 deliver everything both ways, once each and in order', async () => {
    const ledger = new Ledger();
    const members = await Promise.all([
      ...all().map((node) => member(node, ledger, 'red')),
      ...all().map((node) => member(node, ledger, 'red', 'blue')),
    ]);
    const leaver = await member(two, ledger, 'red', 'blue');
    const busy = all().map((node, index) =>
      publish(node, ledger, { publisher: `p${index}`, rooms: ['red', 'blue', 'nobody'], count: 500, gapMs: 1 }),
    );
    await leave(leaver, ledger, 'blue');
    await join(leaver, ledger, 'blue');
    await leave(leaver, ledger, 'red');
    await Promise.all(busy);
    const isComplete = (): boolean => ledger.check().lost.length === 0;
    await until(isComplete).catch(() => undefined);
    for (const node of all()) await node.call('send', 'rooms', ['red', 'blue'], 'end');
    for (const peer of members) {
      for (const _ of all()) await peer.take(({ data }) => data === 'end');
    }
    const report = ledger.check();
    expect(complaints(report)).toEqual({});
    expect(report.expected).toBeGreaterThanOrEqual(3 * 500 * 9);
    for (const node of all()) {
      expect((await node.call('status')).counters).toEqual({ unpublished: 0, missing: 0, stale: 0, junk: 0 });
    }
  });

  it('D8 send to rooms, clients and users: exactly those, one copy each', async () => {
    const ada = [await one.connect('ada'), await two.connect('ada'), await three.connect('ada')];
    const bob = [await one.connect('bob'), await two.connect('bob'), await three.connect('bob')];
    const [ada1, ada2, ada3] = ada as [Peer, Peer, Peer];
    const [bob1, bob2, bob3] = bob as [Peer, Peer, Peer];
    for (const peer of [ada2, ada3]) await peer.join('red');
    for (const peer of [bob1, ada2, ada3]) await peer.join('blue');
    const everybody = [...ada, ...bob];
    await Promise.all(all().map((node) => node.knows(everybody)));
    const got = async (...expected: Peer[]): Promise<void> => {
      // What came before `end`, from the same node to all, has arrived with it.
      await one.call('send', 'all', [], 'end');
      await Promise.all(everybody.map((peer) => peer.take(({ data }) => data === 'end')));
      await until(() => expected.every((peer) => news(peer).length > 0));
      await Promise.all(everybody.map((peer) => peer.settle()));
      expect(everybody.map(news)).toEqual(everybody.map((peer) => (expected.includes(peer) ? ['x'] : [])));
      for (const peer of expected) await peer.next('news', 'flash');
    };
    await one.call('send', 'rooms', ['red', 'blue'], 'x');
    await got(bob1, ada2, ada3);
    await one.call('send', 'rooms', ['red', 'blue', 'red'], 'x', [ada3.clientId]);
    await got(bob1, ada2);
    await one.call('send', 'clients', [ada1.clientId, bob3.clientId, bob3.clientId, 'nobody', 'no.body'], 'x');
    await got(ada1, bob3);
    await one.call('send', 'users', ['ada', 'ada', 'eve'], 'x', [ada2.clientId]);
    await got(ada1, ada3);
    await one.call('send', 'all', [], 'x', [bob2.clientId, ada1.clientId]);
    await got(bob1, bob3, ada2, ada3);
    await one.call('send', 'rooms', ['nobody-here'], 'x');
    await got();
  });

  it('D4 a kick from any node: closed with its code and reason, and gone everywhere within 1 s', async () => {
    const took: number[] = [];
    for (const [index, node] of all().entries()) {
      const stays = await two.join('red');
      const victim = await one.join('red', 'blue');
      await Promise.all(all().map((each) => each.knows([stays, victim])));
      const start = Date.now();
      await node.call('kick', victim.clientId, 4_400 + index, `kicked by ${index}`);
      await Promise.all(all().map((each) => each.knows([stays], 1_000)));
      took.push(Date.now() - start);
      expect(await victim.closed).toEqual({ code: 4_400 + index, reason: `kicked by ${index}` });
      for (const each of all()) {
        // That somebody is there and that somebody joined are two events: the second may come a little later.
        await until(async () => String(await each.call('members', 'red')) === stays.clientId);
        expect(await each.call('members', 'blue')).toEqual([]);
      }
      stays.terminate();
      await Promise.all(all().map((each) => each.knows([])));
    }
    console.info(`D4 on ${name}: a kicked client was gone everywhere after ${took.join(', ')} ms`);
  });

  it('D5 a late node knows everybody before it is ready', async () => {
    const peers: Peer[] = [];
    for (let n = 0; n < 60; n++) peers.push(await (n % 2 ? one : two).connect(`user${n}`));
    await Promise.all(peers.map((peer, n) => peer.join(`room${n % 3}`, { username: `name${n}` })));
    const late = fleet.spawn();
    await late.ready;
    const known = await late.call('clients'); // the first thing it is asked
    expect(known.map(({ clientId }) => clientId).toSorted()).toEqual(peers.map(({ clientId }) => clientId).toSorted());
    for (const [n, { clientId }] of peers.entries()) {
      expect(known.find((client) => client.clientId === clientId)).toMatchObject({
        isHere: false,
        userId: `user${n}`,
        rooms: [`room${n % 3}`],
        metadata: { username: `name${n}` },
      });
    }
    const joined = await late.join('room0');
    await one.call('send', 'rooms', ['room0'], 'welcome');
    await joined.take(({ data }) => data === 'welcome');
    late.kill('SIGTERM');
    await late.exited;
  });

  it('D10 metadata set on any node is read on every node; what belongs to the module is refused', async () => {
    const ada = await one.connect();
    await Promise.all(all().map((node) => node.knows([ada])));
    const mood = async (node: ClusterNode): Promise<unknown> => (await node.call('clients'))[0]?.metadata['mood'];
    for (const [index, node] of all().entries()) {
      const value = { index, deep: ['ä', null, 1.5] };
      await node.call('update', ada.clientId, 'mood', value);
      for (const each of all()) await until(async () => JSON.stringify(await mood(each)) === JSON.stringify(value));
    }
    for (const key of ['ws', 'clientId', 'user', '__proto__', 'constructor', 'prototype', 'then']) {
      for (const node of [one, two]) {
        await node.call('update', ada.clientId, key, 'hacked').catch(() => undefined);
      }
    }
    await two.call('send', 'clients', [ada.clientId], 'still you');
    await ada.take(({ data }) => data === 'still you');
    for (const node of all()) {
      expect(await node.call('clients')).toEqual([
        expect.objectContaining({ clientId: ada.clientId, isHere: node === one, userId: null }),
      ]);
    }
  });

  it('act on clients of other nodes: join, leave, request', async () => {
    const ada = await one.connect();
    await Promise.all(all().map((node) => node.knows([ada])));
    await two.call('join', ada.clientId, 'red');
    await three.call('send', 'rooms', ['red'], 'joined');
    await ada.take(({ data }) => data === 'joined');
    const asked = two.call('ask', ada.clientId, 42);
    const { id, data } = await ada.next('quiz', 'question');
    ada.sendRaw(JSON.stringify({ type: 'quiz', action: 'question', id, response: data + 1 }));
    expect(await asked).toBe(43);
    await three.call('leave', ada.clientId, 'red');
    expect((await ada.next('system', 'leftRoom')).data).toMatchObject({ roomName: 'red' });
    for (const node of all()) await until(async () => (await node.call('members', 'red')).length === 0);
    await three.call('kick', ada.clientId, 4010, '');
    await ada.closed;
    await expect(two.call('ask', ada.clientId, 1)).rejects.toThrow();
  });

  (isCluster ? it.skip : it)(
    'cost follows interest: a node without members receives nothing of 10,000',
    async () => {
      const [redis] = backend.nodes as [TestRedis];
      const proxies = await Promise.all([TcpProxy.start(redis.port), TcpProxy.start(redis.port)]);
      const own = new Fleet(() => ({ prefix: 'cost' }));
      try {
        const [host, idle] = await Promise.all(proxies.map(({ url }) => own.start({ redis: url })));
        const publisher = await own.start({ redis: redis.url });
        const member = await (host as ClusterNode).join('red');
        await (idle as ClusterNode).knows([member]);
        const before = proxies.map(({ received }) => received);
        await publisher.call('publish', { publisher: 'p', rooms: ['red'], count: 10_000 });
        await publisher.call('send', 'rooms', ['red'], 'end');
        await member.take(({ data }) => data === 'end');
        expect(member.received.filter(({ type }) => type === 'ledger')).toHaveLength(10_000);
        const [atMember, atIdle] = proxies.map(({ received }, index) => received - (before[index] ?? 0));
        console.info(`10,000 messages: ${atMember} bytes to the node with a member, ${atIdle} to the one without`);
        expect(atMember).toBeGreaterThan(1_000_000);
        expect(atIdle).toBeLessThan(50_000); // beats and pings, however long it takes
        expect(await redis.run('PUBSUB', 'NUMSUB', 'cost:$room:red')).toEqual(['cost:$room:red', 1]);
        member.terminate();
        const isUnfollowed = async (): Promise<boolean> =>
          ((await redis.run('PUBSUB', 'NUMSUB', 'cost:$room:red')) as unknown[])[1] === 0;
        await until(isUnfollowed);
      } finally {
        await own.stop();
        await Promise.all(proxies.map((proxy) => proxy.stop()));
      }
    },
    30_000,
  );
});
