import { afterEach, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.js';
import { RawPeer } from '../support/raw-peer.js';

const CLIENTS = 300;
/** The HTTP answer, about 130 bytes, and `system/connected`, about 190. */
const GREETING_BYTES = 400;
/** `ClientList` spends no more than this on its pushes in a second, whatever comes and goes. */
const LIST_BYTES_PER_SECOND = 1_048_576;

describe('R5: N connects cost O(N) bytes', () => {
  let running: RunningApp;
  const peers: RawPeer[] = [];
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.reset();
    await running.close();
  });

  async function connectAll(): Promise<{ bytes: number; seconds: number }> {
    const begin = Date.now();
    for (let done = 0; done < CLIENTS; done += 20) {
      peers.push(...(await Promise.all(Array.from({ length: 20 }, () => RawPeer.open(running.port)))));
    }
    const last = peers.at(-1) as RawPeer;
    last.send({ type: 'system', action: 'ping', id: 'end' });
    await last.until(() => last.messages.some(({ id }) => id === 'end'));
    return { bytes: peers.reduce((sum, { bytes }) => sum + bytes.length, 0), seconds: (Date.now() - begin) / 1_000 };
  }

  it('with the client list off, each hears only its own greeting', async () => {
    running = await startApp();
    const { bytes } = await connectAll();
    expect(bytes).toBeLessThan(CLIENTS * GREETING_BYTES);
  });

  it('with the client list on, its cost depends on the time, not on the number of clients', async () => {
    running = await startApp({ options: { clientList: {} } });
    const { bytes, seconds } = await connectAll();
    // A push may go out just before the end and use the budget of the time after it: at most the longest list to all.
    const longest = 200 * 100 * CLIENTS;
    expect(bytes).toBeLessThan(CLIENTS * GREETING_BYTES + seconds * LIST_BYTES_PER_SECOND + longest);
    const lists = peers.map(({ messages }) => messages.filter(({ action }) => action === 'clientList').length);
    expect(Math.max(...lists)).toBeLessThanOrEqual(1 + Math.ceil((seconds * 1_000) / 250));
  });

  it('many changes of one moment are pushed once', async () => {
    running = await startApp({ options: { clientList: { minIntervalMs: 100 } } });
    const watcher = await running.connect();
    await watcher.next('system', 'clientList');
    for (let count = 0; count < 50; count++) {
      running.clients.updateClient({ clientId: watcher.clientId, key: 'username', data: `name ${count}` });
      running.clients.broadcastClientList();
    }
    const list = await watcher.next('system', 'clientList');
    expect(list.data.clients[0].username).toBe('name 49');
    await watcher.settle();
    expect(watcher.received).toEqual([]);
  });

  it('of a list longer than maxClients only the count is pushed', async () => {
    running = await startApp({ options: { clientList: { maxClients: 1, minIntervalMs: 0 } } });
    const watcher = await running.connect();
    await running.connect();
    const list = await watcher.take(({ action, data }) => action === 'clientList' && data.count === 2);
    expect(list.data).toEqual({ event: 'connected', count: 2 });
  });
});
