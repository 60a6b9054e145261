import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.js';
import { memoryRedis } from '../support/buses.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

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

  it('acts through the managers on a client of another node', async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.connect();
    const { clientId } = ada;
    two.clients.updateClient({ clientId, key: 'mood', data: 'good' });
    two.rooms.addClientToRoom({ clientId, roomName: 'red' });
    two.rooms.addClientToRoom({ clientId, roomName: 'blue' });
    await until(() => one.rooms.getClientRooms({ clientId }).length === 2);
    expect(one.clients.getClient({ clientId })?.['mood']).toBe('good');
    two.rooms.removeClientFromRoom({ clientId, roomName: 'red' });
    expect(await ada.next('system', 'leftRoom')).toMatchObject({ data: { roomName: 'red' } });
    expect(one.rooms.getClientRooms({ clientId })).toEqual(['blue']);
    two.rooms.removeClientFromAllRooms({ clientId });
    expect(await ada.next('system', 'leftRoom')).toMatchObject({ data: { roomName: 'blue' } });
    two.clients.updateClient({ clientId, key: 'mood', data: undefined });
    await until(() => one.clients.getClient({ clientId })?.['mood'] === undefined);
    expect([one.errors, two.errors]).toEqual([[], []]);
  });

  it('does nothing for a client that has left', async () => {
    const [one, two] = [await start(), await start()];
    const [ada, bob] = [await one.connect(), await one.connect()];
    const { clientId } = ada;
    ada.ws.close();
    await until(() => one.clients.size === 1);
    two.clients.updateClient({ clientId, key: 'mood', data: 'good' });
    two.rooms.addClientToRoom({ clientId, roomName: 'red' });
    two.rooms.removeClientFromRoom({ clientId, roomName: 'red' });
    two.rooms.removeClientFromAllRooms({ clientId });
    two.clients.disconnectClient(clientId);
    two.clients.disconnectClient(bob.clientId); // behind the others
    await bob.closed;
    await two.server.joinRoom({ clientId, roomName: 'red' }).catch(() => undefined); // its answer is behind theirs
    expect([one.errors, two.errors]).toEqual([[], []]);
    expect(one.rooms.rooms.size).toBe(0);
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
