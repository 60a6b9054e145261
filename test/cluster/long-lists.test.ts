import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nodeIdOf } from '../../lib/cluster/channels.js';
import { type RunningApp, startApp } from '../support/app.js';
import { memoryRedis } from '../support/buses.js';
import type { Peer } from '../support/peer.js';
import { until } from '../support/until.js';

const NEWS = { type: 'news', action: 'flash', data: 1 };
const newsOf = (peer: Peer): number => peer.received.filter(({ type }) => type === 'news').length;

/** Two nodes of this process, joined by its memory. */
describe('what nodes send each other', () => {
  let one: RunningApp;
  let two: RunningApp;
  let ada: Peer;
  let bob: Peer;
  let eve: Peer;
  const start = async (redis: ReturnType<typeof memoryRedis>): Promise<RunningApp> => startApp({ options: { redis } });
  /** Ids of clients that aren't there. */
  const others = (count: number): string[] =>
    Array.from({ length: count }, (_, at) => `${nodeIdOf(bob.clientId)}.${String(at).padStart(22, '0')}`);
  /** What came before an answer has come. */
  const counts = async (): Promise<number[]> => {
    await one.service.broadcast({ type: 'the', action: 'end' });
    for (const peer of [ada, bob, eve]) await peer.next('the', 'end');
    return [ada, bob, eve].map(newsOf);
  };

  beforeEach(async () => {
    const redis = memoryRedis();
    [one, two] = await Promise.all([start(redis), start(redis)]);
    [ada, bob, eve] = await Promise.all([one.connect(), two.connect(), two.connect()]);
    await until(() => one.clients.getClient({ clientId: eve.clientId }) !== undefined);
  });
  afterEach(() => Promise.all([one.close(), two.close()]));

  it('is for 150,000 clients of one node, once for each and not for those that are excepted', async () => {
    const clientIds = [bob.clientId, ...others(150_000), bob.clientId, eve.clientId, ada.clientId];
    await one.service.sendToClients(clientIds, NEWS);
    await one.service.sendToClients(clientIds, NEWS, { except: [...others(150_000).slice(0, 60_000), eve.clientId] });
    expect(await counts()).toEqual([2, 2, 1]);
  });

  it('leaves out 60,000 clients; more than 3 MiB of ids are refused before anybody gets it', async () => {
    const few = [...others(60_000), eve.clientId];
    await one.service.broadcast(NEWS, { except: few });
    expect(await counts()).toEqual([1, 1, 0]);
    const many = others(90_000);
    const refusal = { code: 'INVALID_MESSAGE', message: expect.stringContaining('"except" has 90000 ids') };
    await expect(one.service.broadcast(NEWS, { except: many })).rejects.toMatchObject(refusal);
    await expect(one.service.sendToRooms(['red'], NEWS, { except: many })).rejects.toMatchObject(refusal);
    expect(() => one.server.broadcastToAllClients({ data: NEWS, except: many, scope: 'cluster' })).toThrow('90000 ids');
    expect(await counts()).toEqual([1, 1, 0]);
  });

  it('arrives whatever stands among the ids', async () => {
    const odd = [undefined, null, 7, 'x\uD800', `${nodeIdOf(bob.clientId)}.\uD800`] as string[];
    await one.service.broadcast(NEWS, { except: odd });
    await one.service.sendToClients([...odd, bob.clientId], NEWS);
    expect(await counts()).toEqual([1, 2, 1]);
  });

  it('is for the rooms that there are, however long the other names', async () => {
    await bob.join('red');
    await one.service.sendToRooms(['x'.repeat(5 * 1_048_576), 'red'], NEWS);
    expect(await counts()).toEqual([0, 1, 0]);
  });

  it('has a key of 128 characters for slow clients at most', async () => {
    const refusal = { code: 'INVALID_MESSAGE', message: expect.stringContaining('"conflateKey"') };
    await expect(one.service.broadcast(NEWS, { conflateKey: 'k'.repeat(129) })).rejects.toMatchObject(refusal);
    await one.service.broadcast(NEWS, { conflateKey: 'k'.repeat(128) });
    expect(await counts()).toEqual([1, 1, 1]);
  });

  it('says at once that the node of a client could not read a question', async () => {
    const client = one.clients.getClient({ clientId: bob.clientId });
    const deep = JSON.parse('['.repeat(2_000) + ']'.repeat(2_000)) as unknown;
    for (const data of [deep, JSON.parse('{"__proto__":1}')])
      await expect(client?.request('quiz', 'question', data)).rejects.toMatchObject({ code: 'NOT_SERIALIZABLE' });
    expect(two.server.status).toMatchObject({ counters: { junk: 0 } });
  });
});
