import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { type ConnectedClient, WebSocketRedisSubscriberEvent as Event } from '../../lib/index.js';
import type { RegisteredClient } from '../../lib/clients/registered-client.js';
import { NEWS } from '../../lib/cluster/event-groups.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';
import { memoryRedis } from '../support/buses.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const fail = (message: string): never => {
  throw new Error(message);
};
const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

/** Two nodes of this process, joined by its memory. */
describe('what enters two nodes', () => {
  let network = memoryRedis();
  const apps: RunningApp[] = [];
  const start = async (options: AppOptions['options'] = {}): Promise<RunningApp> => {
    const app = await startApp({
      options: { redis: network, clientList: { enabled: true, minIntervalMs: 10 }, ...options },
    });
    apps.push(app);
    return app;
  };
  const pair = async (options?: AppOptions['options']): Promise<[RunningApp, RunningApp]> => [
    await start(options),
    await start(options),
  ];
  const known = ({ clients }: RunningApp, { clientId }: Peer) => clients.getClient({ clientId });

  beforeEach(() => void (network = memoryRedis()));
  afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));

  describe('as values', () => {
    it('refuses a value without a JSON form, from whichever node, and goes on', async () => {
      const [one, two] = await pair();
      const ada = await one.connect();
      await until(() => known(two, ada) !== undefined);
      for (const { clients } of [one, two]) {
        for (const data of [1n, { a: [1n] }, () => 1, new Map(), Symbol('x')]) {
          expect(() => clients.updateClient({ clientId: ada.clientId, key: 'username', data })).toThrow(
            expect.objectContaining({ code: 'NOT_SERIALIZABLE', path: expect.stringContaining('username') }),
          );
        }
        await expect(
          one.server.joinRoom({ clientId: ada.clientId, roomName: 'red', username: 1n as never }),
        ).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE' });
        expect(() => clients.setUser({ clientId: ada.clientId, user: { userId: 'a', payload: { id: 1n } } })).toThrow(
          expect.objectContaining({ code: 'NOT_SERIALIZABLE', path: 'payload.id' }),
        );
        expect(known({ clients } as RunningApp, ada)?.user).toBeNull();
      }
      expect(one.rooms.getClientRooms({ clientId: ada.clientId })).toEqual([]);
      one.clients.updateClient({ clientId: ada.clientId, key: 'username', data: 'Ada' });
      await ada.take(({ action, data }) => action === 'clientList' && data.clients?.[0]?.username === 'Ada');
      await until(() => known(two, ada)?.['username'] === 'Ada');
    });

    it('refuses a question to a client of another node that would arrive as something else', async () => {
      const [one, two] = await pair();
      const ada = await one.connect();
      await until(() => known(two, ada) !== undefined);
      for (const data of [new Map(), { picture: new Uint8Array(1) }, [new Set()], new Error('x'), 1n]) {
        const answers = [one, two].map((app) => known(app, ada)?.request('quiz', 'question', data));
        for (const answer of answers) await expect(answer).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE' });
      }
      expect(ada.received.filter(({ type }) => type === 'quiz')).toEqual([]);
    });

    it('keeps the JSON form of a Date and of an instance, the same on both nodes', async () => {
      const [one, two] = await pair();
      const ada = await one.connect();
      class Row {
        readonly born = new Date(0);
        readonly gone = undefined;
      }
      one.clients.updateClient({ clientId: ada.clientId, key: 'row', data: new Row() });
      await until(() => known(two, ada)?.['row'] !== undefined);
      for (const app of [one, two])
        expect(known(app, ada)?.['row']).toStrictEqual({ born: '1970-01-01T00:00:00.000Z' });
    });

    it('removes metadata that is set to undefined, everywhere, from whichever node', async () => {
      const [one, two] = await pair();
      const ada = await one.connect();
      for (const by of [one, two]) {
        one.clients.updateClient({ clientId: ada.clientId, key: 'mood', data: 'glad' });
        await until(() => known(two, ada)?.['mood'] === 'glad');
        by.clients.updateClient({ clientId: ada.clientId, key: 'mood', data: undefined });
        for (const app of [one, two]) await until(() => !Object.hasOwn(known(app, ada) as object, 'mood'));
      }
      expect((await two.server.fetchClients()).clients[0]?.metadata).toEqual({});
    });

    it('refuses a user whose payload has no JSON form at the upgrade, and says so to the application', async () => {
      const [one, two] = await pair({ auth: { authenticate: () => ({ userId: 7, payload: { row: { id: 1n } } }) } });
      await expect(one.connect()).rejects.toThrow('500');
      expect(one.errors).toEqual([
        expect.objectContaining({ code: 'NOT_SERIALIZABLE', path: 'auth.authenticate: payload.row.id' }),
      ]);
      expect(two.server.status.state).toBe('ready');
    });

    it('refuses what users.load returns without a JSON form, and changes nothing', async () => {
      const one = await start({ users: { load: () => Promise.resolve({ id: 1n }) } });
      const ada = await one.connect();
      const reply = await ada.request('system', 'joinRoom', { roomName: 'red', userId: 'u1' });
      expect(reply.data.code).toBe('INTERNAL');
      expect(one.errors).toEqual([expect.objectContaining({ code: 'NOT_SERIALIZABLE' })]);
      expect([known(one, ada)?.user, known(one, ada)?.rooms]).toEqual([null, []]);
    });

    it('says at the send what would arrive as something else', async () => {
      const one = await start();
      const message = (data: unknown) => ({ type: 'news', action: 'flash', data });
      expect(() => one.server.sendMessageToAll({ data: message({ picture: new Uint8Array(3) }) })).toThrow(
        /data\.picture holds bytes.*base64/,
      );
      await expect(one.service.broadcast(message(new Map()))).rejects.toThrow(/data is a Map/);
      await expect(one.service.publish('x', { s: new Set() })).rejects.toThrow(/data\.s is a Set/);
    });
  });

  describeWithRedis('over Redis', () => {
    let redis: TestRedis;
    let plain: Redis;
    beforeAll(async () => {
      redis = await TestRedis.start();
      plain = new Redis(redis.port, '127.0.0.1');
    });
    beforeEach(() => void (network = redis.url));
    afterAll(async () => {
      await plain.quit();
      await redis.stop();
    });

    it('keeps beating, and keeps its node id, when the application makes a kept value unwritable', async () => {
      const [one, two] = await pair();
      const ada = await one.connect();
      const cart: unknown[] = [];
      one.clients.updateClient({ clientId: ada.clientId, key: 'cart', data: { items: cart } });
      cart.push(1n);
      const { nodeId } = one.server.status;
      await redis.run('SET', `pxl:{${nodeId}}:lease`, 'dead'); // taken for dead: it registers anew with all its clients
      await until(() => one.server.status.nodeId !== nodeId);
      const after = one.server.status.nodeId;
      const bob = await two.connect();
      await until(() => known(one, bob) !== undefined);
      await new Promise((resolve) => setTimeout(resolve, 4_500)); // two beats
      expect(one.server.status.nodeId).toBe(after);
      expect(known(two, ada)).toBeDefined();
      expect((await two.server.fetchClients()).clients.map(({ clientId }) => clientId)).toContain(ada.clientId);
      expect(one.errors).toContainEqual(expect.objectContaining({ code: 'NOT_SERIALIZABLE' }));
      const client = known(one, ada) as RegisteredClient;
      expect(client.metadata()).toEqual({ cart: { items: [1n] } });
    });

    it.each<[string, (client: ConnectedClient) => unknown]>([
      ['the time of its last message', (client) => (client.lastActivity = 1n as never)],
      ['a row for a user', (client) => Object.assign(client, { user: { id: 1n } })],
      ['no object for a user', (client) => Object.assign(client, { user: 5 })],
      ['a user that contains itself', (client) => Object.assign(client.user as object, { self: client.user })],
      ['a user whose id throws', (client) => Object.defineProperty(client.user, 'userId', { get: () => fail('x') })],
    ])('tells the others of a client that the application gave %s', async (_what, spoil) => {
      const [one, two] = await pair();
      const ada = await one.connect();
      one.clients.setUser({ clientId: ada.clientId, user: { userId: 'ada', payload: {} } });
      await until(() => known(two, ada)?.user !== null);
      const eve = await one.connect();
      spoil(known(one, ada) as ConnectedClient);
      one.clients.updateClient({ clientId: ada.clientId, key: 'tick', data: 1 });
      const { nodeId } = one.server.status;
      await redis.run('SET', `pxl:{${nodeId}}:lease`, 'dead');
      await until(() => one.server.status.nodeId !== nodeId);
      const after = one.server.status.nodeId;
      const bob = await two.connect();
      await until(() => known(one, bob) !== undefined);
      await until(async () => (await plain.hlen(`pxl:{${after}}:clients`)) >= 3); // with the digest, and perhaps a key
      await until(() => known(two, ada) !== undefined && known(two, eve) !== undefined);
      expect(one.server.status.nodeId).toBe(after);
      expect(one.errors).toContainEqual(expect.objectContaining({ code: 'NOT_SERIALIZABLE' }));
    });

    it.each<[string, string, string, object]>([
      [
        'a message nested 20,000 deep',
        Event.SendMessageToAll,
        `{"type":"news","action":"x","data":${deep(20_000)}}`,
        {},
      ],
      ['an event nested 50,000 deep', Event.Custom, deep(50_000), {}],
      ['a type without a text', Event.SendMessageToAll, '{"type":{"toString":1,"valueOf":1},"action":"x"}', {}],
      [
        'a type without a text where the latest counts',
        Event.SendMessageToAll,
        '{"type":{"toString":1,"valueOf":1},"action":"x"}',
        { backpressure: { policy: 'conflate' } },
      ],
      ['a key __proto__', Event.Custom, '{"__proto__":{"admin":true}}', {}],
    ])('counts and drops %s, and goes on', async (_, channel, payload, options) => {
      const heard: unknown[] = [];
      const [one, two] = await pair({
        ...options,
        subscriberEventHandler: ({ channel: name }) => void (name === channel && heard.push(name)),
      });
      const [ada, bob] = [await one.connect(), await two.connect()];
      await plain.publish(`pxl:${channel}`, payload);
      for (const { server } of [one, two]) await until(() => server.status.counters.junk === 1);
      await plain.publish('pxl:WebSocket:SendMessageToAll', '{"type":"news","action":"good","data":1}');
      for (const peer of [ada, bob]) expect(await peer.next('news', 'good')).toMatchObject({ data: 1 });
      expect(heard.filter((name) => name === Event.Custom)).toEqual([]);
    });

    const record = (more: object = {}): object => ({
      clientId: 'g.1',
      rooms: [],
      metadata: {},
      lastActivity: 0,
      user: null,
      ...more,
    });
    /** As one node tells the others of a client that connected. */
    const news = ({
      version = 1,
      id = '.1',
      user = null,
    }: {
      version?: number;
      id?: unknown;
      user?: unknown;
    }): string => JSON.stringify(['g', version, [], [[id, [], null, { r: [user, {}, [], 0], c: 'connected' }]]]);
    it.each<[string, string]>([
      ['deep metadata', `["g",1,[],[[".1",[],null,{"r":[null,{"username":${deep(20_000)}},[],0],"c":"connected"}]]]`],
      ['a user id without a text', news({ user: { userId: { toString: 1 }, payload: {} } })],
      ['a client without an id', news({ id: 1 })],
      ['the last version there is', news({ version: Number.MAX_SAFE_INTEGER })],
      ['a version that is none', news({ version: 1.5 })],
      ['half a surrogate pair for a user', news({ user: { userId: '\ud800', payload: {} } })],
      ['half a surrogate pair for a client', news({ id: '.\ud800' })],
      ['a room that is none', '["g",1,["red"],[[".1",["red"],null,{"c":"connected"}]]]'],
    ])('takes no presence with %s', async (_, text) => {
      const [one, two] = await pair();
      const ada = await one.connect();
      await plain.publish('pxl:$presence', `["${NEWS}",${text}]`);
      for (const { server } of [one, two]) await until(() => server.status.counters.junk === 1);
      await until(() => known(two, ada) !== undefined);
      for (const { clients } of [one, two])
        expect(clients.getClients().map(({ clientId }) => clientId)).toEqual([ada.clientId]);
    });

    it('takes no junk out of the registry', async () => {
      const one = await start();
      const { nodeId } = one.server.status;
      const ada = await one.connect();
      await plain.hset(
        `pxl:{${nodeId}}:clients`,
        'other',
        JSON.stringify(record({ clientId: 'another' })),
        'deep',
        deep(20_000),
      );
      const two = await start();
      await until(() => known(two, ada) !== undefined);
      expect(two.clients.size).toBe(1);
      expect(two.server.status.counters.junk).toBeGreaterThanOrEqual(2);
    });

    it('refuses an order of a kind that it does not know, with a code', async () => {
      const [one, two] = await pair();
      const ada = await one.connect();
      await until(() => known(two, ada) !== undefined);
      const header = JSON.stringify([1, two.server.status.nodeId, 1, 0, 0, 0, 0, 0]);
      const answers = plain.duplicate();
      const heard: string[] = [];
      answers.on('message', (_channel: string, text: string) => void heard.push(text));
      await answers.subscribe(`pxl:$node:${two.server.status.nodeId}`);
      const order = { id: 999, op: 'promote', clientId: ada.clientId };
      await plain.publish(`pxl:$node:${one.server.status.nodeId}`, `${header}\n${JSON.stringify(order)}`);
      await until(() => heard.some((text) => text.includes('"id":999')));
      const answer = JSON.parse(heard.find((text) => text.includes('"id":999'))?.split('\n')[1] ?? '') as object;
      expect(answer).toMatchObject({ op: 'answer', error: { code: 'UNKNOWN_ORDER' } });
      await answers.quit();
    });
  });
});
