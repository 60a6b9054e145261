import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { memoryRedis } from '../support/buses.js';
import { RawPeer } from '../support/raw-peer.js';
import { until } from '../support/until.js';

describe('connections of a user on two nodes', () => {
  let network = memoryRedis();
  const apps: RunningApp[] = [];
  beforeEach(() => void (network = memoryRedis()));
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });
  const start = async (options: WebSocketOptions = {}): Promise<RunningApp> => {
    const app = await startApp({
      options: {
        redis: network,
        limits: { connectionsPerUser: 2 },
        auth: { authenticate: ({ headers }) => ({ userId: headers.authorization ?? '', payload: {} }) },
        ...options,
      },
    });
    apps.push(app);
    return app;
  };
  const statusOf = async ({ port }: RunningApp, Authorization: string): Promise<number | undefined> => {
    const peer = await RawPeer.handshake(port, { headers: { Authorization } });
    peer.reset();
    return peer.answer?.status;
  };
  const as = (authorization: string): object => ({ headers: { authorization } });
  const known = ({ clients }: RunningApp): number => clients.getUserClients({ userId: 'ada' }).length;

  it('count together, as soon as one knows of the other', async () => {
    const [one, two] = [await start(), await start()];
    const [first] = [await one.connect(as('ada')), await two.connect(as('ada'))];
    await until(() => known(one) === 2 && known(two) === 2);
    expect([await statusOf(one, 'ada'), await statusOf(two, 'ada')]).toEqual([429, 429]);
    expect(await statusOf(two, 'bob')).toBe(101);
    first.terminate();
    await until(() => known(two) === 1);
    expect(await statusOf(two, 'ada')).toBe(101);
  });

  it("count for each node alone with registry: 'local'", async () => {
    const [one, two] = [await start({ registry: 'local' }), await start({ registry: 'local' })];
    await one.connect(as('ada'));
    await one.connect(as('ada'));
    expect(await statusOf(one, 'ada')).toBe(429);
    expect(await statusOf(two, 'ada')).toBe(101);
  });
});
