import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;

describeWithRedis('a change that server code makes to a client of another node', () => {
  let redis: TestRedis;
  const ending: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    for (const end of ending.splice(0).toReversed()) await end();
  });
  const start = async (url: string, rooms: object = {}): Promise<RunningApp> => {
    const app = await startApp({ options: { redis: url, rooms } });
    ending.push(() => app.close());
    return app;
  };
  const proxied = async (): Promise<TcpProxy> => {
    const proxy = await TcpProxy.start(redis.port);
    ending.push(() => proxy.stop());
    return proxy;
  };
  const shown = ({ clients, rooms }: RunningApp, clientId: string): unknown => [
    clients.getClient({ clientId })?.['mood'],
    rooms.getClientRooms({ clientId }).toSorted(),
  ];

  it('is taken back where it was made, when that node refuses it', async () => {
    const [one, two] = [await start(redis.url), await start(redis.url, { maxPerClient: 1 })];
    const peer = await two.connect();
    const { clientId } = peer;
    await peer.join('red');
    await until(() => String(shown(one, clientId)) === ',red');
    one.rooms.addClientToRoom({ clientId, roomName: 'blue' });
    expect(shown(one, clientId)).toEqual([undefined, ['blue', 'red']]);
    await until(() => String(shown(one, clientId)) === ',red');
    expect(one.errors.map(({ message }) => message)).toEqual([expect.stringContaining('rooms')]);
  });

  it('is taken back where it was made, when that node never gets it', async () => {
    const proxy = await proxied();
    const [one, two] = [await start(redis.url), await start(proxy.url)];
    const peer = await two.connect();
    await peer.join('red');
    await until(() => String(shown(one, peer.clientId)) === ',red');
    proxy.hold('down', 'subscriber');
    one.clients.updateClient({ clientId: peer.clientId, key: 'mood', data: 'good' });
    one.rooms.addClientToRoom({ clientId: peer.clientId, roomName: 'blue' });
    expect(shown(one, peer.clientId)).toEqual(['good', ['blue', 'red']]);
    await one.service.broadcast({ type: 'news', action: 'flash' }); // behind the orders
    proxy.reset('subscriber'); // with all that was on its way
    proxy.heal();
    await until(() => String(shown(one, peer.clientId)) === ',red');
    expect(shown(two, peer.clientId)).toEqual([undefined, ['red']]);
  });

  it('reaches rooms that the client has joined without the knowledge of the node where it was made', async () => {
    const proxy = await proxied();
    const [one, two] = [await start(proxy.url), await start(redis.url)];
    const peer = await two.connect();
    const { clientId } = peer;
    await peer.join('red');
    await until(() => String(shown(one, clientId)) === ',red');
    proxy.hold('down', 'subscriber');
    await peer.join('blue');
    await peer.join('green');
    expect(shown(one, clientId)).toEqual([undefined, ['red']]);
    one.rooms.removeClientFromAllRooms({ clientId });
    expect(shown(one, clientId)).toEqual([undefined, []]);
    await until(() => two.rooms.getClientRooms({ clientId }).length === 0);
    const left = [await peer.next('system', 'leftRoom'), await peer.next('system', 'leftRoom')];
    left.push(await peer.next('system', 'leftRoom'));
    expect(left.map(({ data }) => (data as { roomName: string }).roomName).toSorted()).toEqual([
      'blue',
      'green',
      'red',
    ]);
    proxy.heal();
    await until(() => String(shown(one, clientId)) === ',');
  });

  it('is taken back where it was made, when Redis can not be reached', async () => {
    const proxy = await proxied();
    const [one, two] = [await start(proxy.url), await start(redis.url)];
    const { clientId } = await two.connect();
    await until(() => one.clients.getClient({ clientId }) !== undefined);
    proxy.cut();
    await until(() => one.server.status.state === 'down');
    one.clients.updateClient({ clientId, key: 'mood', data: 'good' });
    await until(() => String(shown(one, clientId)) === ',');
    proxy.heal();
    await until(() => one.server.status.state === 'ready');
    one.clients.updateClient({ clientId, key: 'mood', data: 'better' });
    await until(() => String(shown(two, clientId)) === 'better,');
    expect(shown(one, clientId)).toEqual(['better', []]);
  });
});
