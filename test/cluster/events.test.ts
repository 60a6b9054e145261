import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/index.js';
import { type ClusterNode, Fleet } from '../support/cluster-node.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;

/** What another process, in any language, may publish: plain JSON on a channel of the prefix. */
describeWithRedis('plain JSON of another process', () => {
  let redis: TestRedis;
  let plain: Redis;
  let one: ClusterNode;
  let two: ClusterNode;
  const fleet = new Fleet(() => ({ redis: redis.url, prefix: 'shop' }));
  const both = (): ClusterNode[] => [one, two];

  beforeAll(async () => {
    redis = await TestRedis.start();
    plain = new Redis(redis.port, '127.0.0.1');
    [one, two] = await Promise.all([fleet.start(), fleet.start()]);
  });
  afterAll(async () => {
    await fleet.stop();
    await plain.quit();
    await redis.stop();
  });
  afterEach(async () => {
    for (const peer of both().flatMap((node) => node.peers.splice(0))) peer.terminate();
    await Promise.all(both().map((node) => node.knows([])));
  });
  const publish = (channel: string, message: unknown): Promise<number> =>
    plain.publish(`shop:${channel}`, JSON.stringify(message));
  /** Resolves when both nodes' subscribers heard the message, once. */
  const heardByAll = async (channel: string, message: unknown): Promise<void> => {
    for (const node of both()) {
      await until(async () => (await node.heard(channel)).length > 0);
      expect((await node.heard(channel)).map((event) => event.message)).toContainEqual(message);
    }
  };

  it('SendMessageToAll reaches every client, once', async () => {
    const [ada, bob] = [await one.connect(), await two.connect()];
    const message = { type: 'news', action: 'flash', data: { text: 'hello' } };
    expect(await publish(Event.SendMessageToAll, message)).toBe(2);
    for (const peer of [ada, bob]) {
      expect(await peer.next('news', 'flash')).toEqual(message);
      await peer.settle();
      expect(peer.received).toEqual([]);
    }
    await heardByAll(Event.SendMessageToAll, message);
  });

  it.each([Event.SendMessage, Event.Custom, Event.QueueJobCompleted, Event.QueueJobError])(
    '%s reaches the subscribers of every node, and no client',
    async (channel) => {
      const [ada, bob] = [await one.connect(), await two.connect()];
      const message = { jobId: '1', type: 'news', action: 'flash', data: { ü: [1, null] } };
      await publish(channel, message);
      await heardByAll(channel, message);
      for (const peer of [ada, bob]) {
        await peer.settle();
        expect(peer.received).toEqual([]);
      }
    },
  );

  it('MessageError reaches the one client it names, whichever node it is on', async () => {
    const [ada, bob] = [await one.connect(), await two.connect()];
    await publish(Event.MessageError, { webSocketClientId: bob.clientId, error: 'No stock.' });
    await publish(Event.MessageError, { clientId: ada.clientId, error: 'No money.' });
    expect((await bob.error()).data).toMatchObject({ error: 'No stock.' });
    expect((await ada.error()).data).toMatchObject({ error: 'No money.' });
    for (const peer of [ada, bob]) {
      await peer.settle();
      expect(peer.received).toEqual([]);
    }
  });

  it('DisconnectClient closes the one client it names, with its code and reason', async () => {
    const [ada, bob] = [await one.connect(), await two.connect()];
    await Promise.all(both().map((node) => node.knows([ada, bob])));
    await publish(Event.DisconnectClient, { clientId: bob.clientId, code: 4_123, reason: 'closing time' });
    expect(await bob.closed).toEqual({ code: 4_123, reason: 'closing time' });
    await Promise.all(both().map((node) => node.knows([ada], 1_000)));
  });

  it('D11 a channel that a handler names is subscribed to, on every node', async () => {
    const message = { article: 7 };
    expect(await publish('sale', message)).toBe(0);
    expect(await plain.publish('shop:shop:sale', JSON.stringify(message))).toBe(2);
    for (const node of both()) {
      await until(async () => (await node.call('heard')).some(({ by }) => by === 'method'));
      const heard = (await node.call('heard')).filter(({ by }) => by === 'method');
      expect(heard).toEqual([expect.objectContaining({ channel: 'shop:sale', message })]);
    }
    await one.call('raise', 'shop:sale', { article: 8 });
    for (const node of both()) {
      await until(async () => (await node.call('heard')).filter(({ by }) => by === 'method').length === 2);
    }
  });

  it('junk on any channel is dropped and counted, and breaks nothing', async () => {
    const ada = await one.join('red');
    const bob = await two.join('red');
    const nodeId = await one.nodeId();
    const before = (await one.call('status')).counters.junk;
    const envelope = (header: unknown, frame = '{}'): string => `${JSON.stringify(header)}\n${frame}`;
    const junk = [
      '',
      'not json',
      '{"type":"news"}',
      '[]\n{}',
      envelope([2, 'another', 1, Date.now(), 0, 0, 0]), // of a newer version
      envelope([0, 'another', 1, Date.now(), 0, 0, 0]), // of an older one
      envelope([1, 'another', 'x', Date.now(), 0, 0, 0]),
      envelope([1, 'another', 1, Date.now(), { kind: 'rooms', roomNames: [1] }, 0, 0]),
      envelope([1, 'another', 1, Date.now(), 0, [{}], 0]),
      'x'.repeat(200_000),
    ];
    for (const channel of ['$all', '$room:red', `$node:${nodeId}`]) {
      for (const text of junk) await plain.publish(`shop:${channel}`, text);
    }
    const orders = [null, 1, [], {}, { id: 1 }, { id: 1, op: 'nonsense' }, { id: 1, op: 'answer' }, { id: 'x', op: 1 }];
    for (const [index, order] of orders.entries()) {
      await plain.publish(
        `shop:$node:${nodeId}`,
        envelope([1, 'another', index + 1, Date.now(), 0, 0, 0], JSON.stringify(order)),
      );
    }
    for (const channel of Object.values(Event)) {
      for (const text of [
        '',
        '{',
        'null',
        '1',
        '[]',
        '{"clientId":7}',
        '{"nodeId":{},"clientId":[]}',
        '{"__proto__":1}',
      ])
        await plain.publish(`shop:${channel}`, text);
      await plain.publish(
        `shop:${channel}`,
        JSON.stringify({ nodeId: 'ghost', clientId: 'g.1', version: 'x', client: 1 }),
      );
    }
    await plain.hset(`shop:{${nodeId}}:clients`, 'junk', 'not json');
    await two.call('send', 'rooms', ['red'], 'still here');
    for (const peer of [ada, bob]) await peer.take(({ data }) => data === 'still here');
    const { counters, state } = await one.call('status');
    expect(state).toBe('ready');
    expect(counters.junk - before).toBeGreaterThanOrEqual(3 * junk.length);
    await Promise.all(both().map((node) => node.knows([ada, bob])));
    expect([one.exit, two.exit]).toEqual([undefined, undefined]);
  });

  it('D7 two prefixes on one Redis see nothing of each other', async () => {
    const other = await fleet.start({ prefix: 'shop2' });
    const [ada, bob] = [await one.join('red'), await other.join('red')];
    await Promise.all(both().map((node) => node.knows([ada])));
    await other.knows([bob]);
    await one.call('send', 'all', [], 'to all');
    await one.call('send', 'rooms', ['red'], 'to red');
    await one.call('send', 'clients', [bob.clientId], 'to bob');
    await one.call('raise', 'shop:sale', { secret: true });
    await one.call('kick', bob.clientId, 4010, '');
    await plain.publish('shop:WebSocket:DisconnectClient', JSON.stringify({ clientId: bob.clientId }));
    await ada.take(({ data }) => data === 'to red');
    await other.call('send', 'rooms', ['red'], 'of its own');
    await bob.take(({ data }) => data === 'of its own');
    await bob.settle();
    expect(bob.received.filter(({ type }) => type === 'news')).toEqual([]);
    expect((await other.call('heard')).filter(({ channel }) => channel === 'shop:sale')).toEqual([]);
    const { nodeIds, counters } = await other.call('status');
    expect(nodeIds).toHaveLength(1);
    expect(counters).toEqual({ unpublished: 0, missing: 0, stale: 0, junk: 0 });
    await other.stop();
  });

  it('D7 ready means subscribed: what is sent the moment a node is ready arrives', async () => {
    const late = fleet.spawn();
    await late.ready;
    expect(await late.state()).toBe('ready');
    const joined = await late.connect();
    await joined.join('red');
    await one.call('send', 'rooms', ['red'], 'at once'); // nothing waited for since the join was acknowledged
    await joined.take(({ data }) => data === 'at once');
    await one.call('send', 'clients', [joined.clientId], 'you');
    await joined.take(({ data }) => data === 'you');
    late.kill('SIGTERM');
    await late.exited;
  });

  it('an empty prefix is refused at the start', async () => {
    for (const prefix of ['', ' ']) {
      await expect(fleet.spawn({ prefix }).ready).rejects.toThrow(/prefix/);
    }
  });
});
