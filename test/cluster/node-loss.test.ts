import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/index.js';
import { type ClusterNode, Fleet } from '../support/cluster-node.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;

/** How often a node's subscribers heard that a client is gone, and why. */
async function goodbyes(node: ClusterNode, clientId: string): Promise<unknown[]> {
  const events = await node.heard(Event.ClientDisconnected);
  return events
    .map(({ message }) => message as Record<string, unknown>)
    .filter((message) => message['clientId'] === clientId)
    .map(({ reason }) => reason);
}

describeWithRedis('a node that goes away', () => {
  let redis: TestRedis;
  let prefix = 0;
  const fleet = new Fleet(() => ({ redis: redis.url, prefix: `loss${prefix}` }));
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    await fleet.stop();
    prefix++;
  });
  const startThree = () => Promise.all([fleet.start(), fleet.start(), fleet.start()]);

  it('D3 by SIGKILL: its clients are gone everywhere within 10 s, said once', async () => {
    const [one, two, three] = await startThree();
    const lost = [await one.join('red'), await one.join('red', 'blue'), await one.connect('7')];
    const stays = await two.join('red');
    await Promise.all([two, three].map((node) => node.knows([...lost, stays])));
    const [ada] = lost as [(typeof lost)[0]];
    one.kill();
    const took = await Promise.all([two, three].map((node) => node.knows([stays], 10_000)));
    console.info(`D3: after SIGKILL its clients were gone after ${Math.max(...took)} ms`);
    expect(await three.call('members', 'red')).toEqual([stays.clientId]);
    expect(await two.call('members', 'blue')).toEqual([]);
    await two.call('raise', 'marker', {}); // whatever was raised before has arrived once this has
    for (const node of [two, three]) {
      await until(async () => (await goodbyes(node, ada.clientId)).length > 0);
      for (const peer of lost) expect(await goodbyes(node, peer.clientId)).toEqual(['node-lost']);
      const left = (await node.heard(Event.ClientLeftRoom)).map(({ message }) => message);
      expect(left).toHaveLength(3);
      expect(left).toContainEqual(
        expect.objectContaining({ clientId: ada.clientId, roomName: 'red', reason: 'node-lost' }),
      );
    }
  });

  it('D3 L4 by SIGTERM: its clients see 1012 and are gone elsewhere within 2 s; the process ends', async () => {
    const [one, two, three] = await startThree();
    const leaving = [await one.join('red'), await one.connect('7'), await one.connect()];
    const stays = await two.join('red');
    await Promise.all([two, three].map((node) => node.knows([...leaving, stays])));
    const watch = new Stopwatch();
    one.kill('SIGTERM');
    const took = await Promise.all([two, three].map((node) => node.knows([stays], 2_000)));
    console.info(`D3: after SIGTERM its clients were gone after ${Math.max(...took)} ms`);
    for (const { code } of await Promise.all(leaving.map(({ closed }) => closed))) expect(code).toBe(1012);
    const { code, signal, stderr } = await one.exited;
    expect({ code, signal, stderr }).toEqual({ code: null, signal: 'SIGTERM', stderr: '' });
    expect(watch.ms).toBeLessThan(1_000 + 2_000); // the drain time of these nodes plus 2 s
    for (const peer of leaving) expect(await goodbyes(two, peer.clientId)).toEqual(['node-stopping']);
    const leases = (await redis.run('KEYS', `loss${prefix}:{*}:lease`)) as string[];
    const marks = (await redis.run('MGET', ...leases)) as string[];
    expect(marks.toSorted()).toEqual(['alive', 'alive', 'dead']);
  });

  it('L4 by SIGTERM with a frozen Redis: ends within its drain time plus 2 s all the same', async () => {
    const own = await TestRedis.start();
    try {
      const one = await fleet.start({ redis: own.url });
      const ada = await one.join('red');
      own.freeze();
      const watch = new Stopwatch();
      one.kill('SIGTERM');
      expect((await ada.closed).code).toBe(1012);
      await one.exited;
      expect(watch.ms).toBeLessThan(1_000 + 2_000);
    } finally {
      await own.stop();
    }
  });

  it('by SIGTERM with Redis gone, and while it still waits for one: ends at once', async () => {
    const own = await TestRedis.start();
    const one = await fleet.start({ redis: own.url });
    const ada = await one.join('red');
    await own.kill();
    await until(async () => (await one.state()) === 'down');
    const waiting = fleet.spawn({ redis: own.url });
    await waiting.created;
    await until(async () => (await waiting.call('status')).errors.length > 0);
    const watch = new Stopwatch();
    one.kill('SIGTERM');
    waiting.kill('SIGTERM');
    expect((await ada.closed).code).toBe(1012);
    await Promise.all([one.exited, waiting.exited]);
    expect(watch.ms).toBeLessThan(3_000);
    await own.stop();
  });

  it('frozen for 15 s: it is reaped, comes back under a new id, and its clients are known again everywhere', async () => {
    const [one, two, three] = await startThree();
    const ada = await one.join('red');
    const bob = await two.join('red');
    await Promise.all([one, two, three].map((node) => node.knows([ada, bob])));
    const before = await one.nodeId();
    await two.call('send', 'rooms', ['red'], 'before'); // how long messages of `two` take is known to `one`
    await ada.take(({ data }) => data === 'before');
    one.freeze();
    await Promise.all([two, three].map((node) => node.knows([bob], 10_000)));
    await two.call('send', 'rooms', ['red'], 'while it slept');
    await new Promise((resolve) => setTimeout(resolve, 7_000)); // asleep for longer than a lease and a stale limit
    await two.call('send', 'all', [], 'late in its sleep');
    one.thaw();
    const took = await Promise.all([one, two, three].map((node) => node.knows([ada, bob], 5_000)));
    console.info(`A frozen node was known again after ${Math.max(...took)} ms`);
    expect(await one.nodeId()).not.toBe(before);
    await until(async () => (await three.call('members', 'red')).length === 2);
    await Promise.all(
      [one, two, three].map((node) => until(async () => (await node.call('status')).nodeIds.length === 3)),
    );
    // It works as before, in both directions, by room, by client id and by order.
    await two.call('send', 'rooms', ['red'], 'again');
    await ada.take(({ data }) => data === 'again');
    await three.call('send', 'clients', [ada.clientId], 'you');
    await ada.take(({ data }) => data === 'you');
    await one.call('send', 'clients', [bob.clientId], 'me');
    await bob.take(({ data }) => data === 'me');
    expect(ada.received.filter(({ data }) => data === 'while it slept')).toEqual([]);
    await two.call('kick', ada.clientId, 4010, 'enough');
    expect(await ada.closed).toEqual({ code: 4010, reason: 'enough' });
    await Promise.all([one, two, three].map((node) => node.knows([bob])));
  });
});
