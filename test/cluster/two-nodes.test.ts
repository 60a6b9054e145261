import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { RedisSource } from '../../lib/cluster/redis-source.js';
import { type RunningApp, startApp } from '../support/app.js';
import { memoryRedis } from '../support/buses.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

interface Backend {
  redis: RedisSource;
  stop(): Promise<void>;
}

const backends: Record<string, () => Promise<Backend>> = {
  'one Redis': async () => {
    const redis = await TestRedis.start();
    return { redis: redis.url, stop: () => redis.stop() };
  },
  'the memory of their process': () => Promise.resolve({ redis: memoryRedis(), stop: () => Promise.resolve() }),
};

describe.each(Object.keys(backends).filter((name) => hasRedis() || name !== 'one Redis'))('two nodes on %s', (name) => {
  let backend: Backend;
  const apps: RunningApp[] = [];
  beforeAll(async () => {
    backend = await (backends[name] as () => Promise<Backend>)();
  });
  afterAll(() => backend.stop());
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });
  const start = async (options: object = {}): Promise<RunningApp> => {
    const app = await startApp({ options: { redis: backend.redis, ...options } });
    apps.push(app);
    return app;
  };
  const message = { type: 'news', action: 'flash', data: { n: 1 } };

  it('deliver a room message once to members on both', async () => {
    const [one, two] = [await start(), await start()];
    const [ada, bob, cyd] = [await one.connect(), await two.connect(), await two.connect()];
    await Promise.all([ada.join('red'), bob.join('red'), cyd.join('blue')]);
    await one.service.sendToRooms(['red'], message);
    expect(await bob.next('news', 'flash')).toEqual(message);
    expect(await ada.next('news', 'flash')).toEqual(message);
    await two.service.sendToRooms(['red', 'blue'], message);
    await Promise.all([ada, bob, cyd].map((peer) => peer.next('news', 'flash')));
    await Promise.all([ada, bob, cyd].map((peer) => peer.settle()));
    expect([ada, bob, cyd].map((peer) => peer.received.filter(({ type }) => type === 'news'))).toEqual([[], [], []]);
  });

  it.each(['alice+work@example.org', 'Café', 'two words', '*', 'r?d[a-z]\\', '$all', '部屋 💬', 'x'.repeat(128)])(
    'deliver to a room of any legal name, and to no other: %s',
    async (roomName) => {
      const [one, two] = [await start(), await start()];
      const [ada, bob] = [await one.connect(), await two.connect()];
      await Promise.all([ada.join(roomName), bob.join('red')]);
      await until(() => two.rooms.getRoomClients({ roomName }).includes(ada.clientId));
      await two.service.sendToRooms(['red'], { ...message, data: 'red' });
      await two.service.sendToRooms([roomName], message);
      expect(await ada.next('news', 'flash')).toEqual(message);
      await two.service.sendToRooms(['Cafe\u0301', 'r1d'], { ...message, data: 'another' });
      await two.service.sendToRooms([roomName], { ...message, data: 'last' });
      expect((await ada.next('news', 'flash')).data).toBe('last');
      await bob.settle();
      expect(bob.received.filter(({ type }) => type === 'news')).toEqual([{ ...message, data: 'red' }]);
    },
  );

  it("know each other's clients and rooms, and act on them", async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.connect();
    await ada.join('red', { username: 'Ada' });
    await until(() => two.rooms.isClientInRoom({ clientId: ada.clientId, roomName: 'red' }));
    const client = two.clients.getClient({ clientId: ada.clientId });
    expect(client).toMatchObject({ ws: null, username: 'Ada', roomName: 'red' });
    expect(two.server.status).toMatchObject({
      state: 'ready',
      nodeIds: [expect.any(String), one.server.status.nodeId],
    });

    expect(await two.server.joinRoom({ clientId: ada.clientId, roomName: 'blue' })).toBe(true);
    expect(one.rooms.getClientRooms({ clientId: ada.clientId })).toEqual(['red', 'blue']);
    const asked = client?.request('quiz', 'question', 1);
    const { id } = await ada.next('quiz', 'question');
    ada.sendRaw(JSON.stringify({ type: 'quiz', action: 'question', id, response: 'yes' }));
    expect(await asked).toBe('yes');
    const refused = client?.request('quiz', 'question', 2);
    const second = await ada.next('quiz', 'question');
    ada.sendRaw(`{"type":"quiz","action":"question","id":${second.id},"response":{"__proto__":1}}`);
    await expect(refused).rejects.toMatchObject({ name: 'RemoteError', code: 'BAD_FRAME' });
    two.clients.updateClient({ clientId: ada.clientId, key: 'mood', data: 'good' });
    await until(() => one.clients.getClient({ clientId: ada.clientId })?.['mood'] === 'good');
    two.server.leaveRoom({ clientId: ada.clientId, roomName: 'red' });
    expect((await ada.next('system', 'leftRoom')).data.roomName).toBe('red');
    await two.service.sendToClients([ada.clientId], message);
    await ada.next('news', 'flash');
    two.clients.disconnectClient({ clientId: ada.clientId, code: 4321, reason: 'kicked' });
    expect(await ada.closed).toEqual({ code: 4321, reason: 'kicked' });
    await until(() => one.clients.size + two.clients.size === 0);
  });

  it('broadcastToAllClients() reaches the clients of one node, or of both', async () => {
    const [one, two] = [await start(), await start()];
    const [ada, bob] = [await one.connect(), await two.connect()];
    one.server.broadcastToAllClients({ data: { ...message, data: { scope: 'node' } } });
    one.server.broadcastToAllClients({ data: { ...message, data: { scope: 'cluster' } }, scope: 'cluster' });
    expect((await bob.next('news', 'flash')).data).toEqual({ scope: 'cluster' });
    expect((await ada.next('news', 'flash')).data).toEqual({ scope: 'node' });
    expect((await ada.next('news', 'flash')).data).toEqual({ scope: 'cluster' });
  });

  it('start and stop again and again', async () => {
    const one = await start();
    for (let round = 0; round < 3; round++) {
      await one.server.stop();
      expect(one.server.status.state).toBe('stopped');
      await one.server.start();
      const ada = await one.connect();
      await ada.join('red');
      await one.service.sendToRooms(['red'], message);
      await ada.next('news', 'flash');
    }
    const late = await start();
    expect(late.rooms.getRoomClients({ roomName: 'red' })).toHaveLength(1);
  });

  it('D5: give a late node the whole registry before it is ready', async () => {
    const one = await start();
    const ada = await one.connect();
    await ada.join('red', { username: 'Ada' });
    const late = await start();
    expect(late.rooms.getRoomClients({ roomName: 'red' })).toEqual([ada.clientId]);
    await one.close();
    await until(() => late.clients.size === 0, 2_000);
  });
});
