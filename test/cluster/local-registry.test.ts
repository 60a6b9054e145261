import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.js';
import { memoryRedis } from '../support/buses.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';

describe("registry: 'local'", () => {
  let network = memoryRedis();
  const apps: RunningApp[] = [];
  beforeEach(() => void (network = memoryRedis()));
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });
  const start = async (options: object = {}): Promise<RunningApp> => {
    const app = await startApp({ options: { redis: network, prefix: 'local', registry: 'local', ...options } });
    apps.push(app);
    return app;
  };

  it('answers for this node, delivers to all, and asks Redis for the rest', async () => {
    const [one, two] = [await start(), await start()];
    const [ada, bob] = [await one.connect(), await two.connect()];
    await ada.join('red', { username: 'Ada' });
    await bob.join('red');
    expect(one.clients.size).toBe(1);
    await two.service.sendToRooms(['red'], { type: 'news', action: 'flash' });
    await Promise.all([ada.next('news', 'flash'), bob.next('news', 'flash')]);

    const { clients, missing } = await two.server.fetchRoom({ roomName: 'red' });
    expect(clients.map(({ clientId }) => clientId).toSorted()).toEqual([ada.clientId, bob.clientId].toSorted());
    expect(clients.find(({ clientId }) => clientId === ada.clientId)?.metadata).toEqual({ username: 'Ada' });
    expect(missing).toEqual([]);
    expect((await two.server.fetchNodes()).nodeIds).toEqual([two.server.status.nodeId, one.server.status.nodeId]);
    expect((await two.server.fetchRoom({ roomName: 'none' })).clients).toEqual([]);
  });

  it('acts on a client of another node by its id', async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.connect();
    expect(await two.server.joinRoom({ clientId: ada.clientId, roomName: 'blue' })).toBe(true);
    expect(one.rooms.getRoomClients({ roomName: 'blue' })).toEqual([ada.clientId]);
    two.server.leaveRoom({ clientId: ada.clientId, roomName: 'blue' });
    await ada.next('system', 'leftRoom');
    two.clients.disconnectClient({ clientId: ada.clientId, code: 4321, reason: 'out' });
    expect(await ada.closed).toEqual({ code: 4321, reason: 'out' });
  });

  (hasRedis() ? it : it.skip)('names what it could not ask, and never hangs', async () => {
    const redis = await TestRedis.start();
    const one = await start({ redis: redis.url });
    const ada = await one.connect();
    const frozen = await TestRedis.start();
    try {
      const two = await start({ redis: frozen.url });
      frozen.freeze();
      const watch = new Stopwatch();
      const { clients } = await two.server.fetchClients();
      expect(clients).toEqual([]);
      expect(watch.ms).toBeLessThan(8_000);
    } finally {
      frozen.thaw();
      await Promise.all(apps.splice(1).map((app) => app.close()));
      await frozen.stop();
    }
    await redis.run('SADD', 'local:nodes', 'ghost');
    const { clients, missing } = await one.server.fetchClients();
    expect(clients.map(({ clientId }) => clientId)).toEqual([ada.clientId]);
    expect(missing).toEqual(['ghost']);
    await one.close();
    await redis.stop();
  });
});
