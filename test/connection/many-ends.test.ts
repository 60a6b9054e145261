import { afterEach, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { standStill } from '../support/stand-still.js';
import { mostInATurn } from '../support/turn-meter.js';
import { until } from '../support/until.js';

const COUNT = 20;

let running: RunningApp;
afterEach(() => running.close());

/** Their ends take long. */
async function slowPeers(): Promise<Peer[]> {
  const peers = await Promise.all(Array.from({ length: COUNT }, () => running.connect()));
  for (const { clientId } of peers) {
    const client = running.clients.getClient({ clientId });
    // What the end of a connection takes.
    Object.assign(client ?? {}, {
      user: {
        get userId() {
          standStill(6);
          return 'ada';
        },
      },
    });
  }
  return peers;
}

it('ends connections that break in one moment a few a turn, as long as each takes', async () => {
  running = await startApp();
  const peers = await slowPeers();
  const open = (): number => running.server.status.connections;
  const most = await mostInATurn(open, async () => {
    for (const { ws } of peers) ws.terminate();
    await until(() => open() === 0);
  });
  expect(most).toBeLessThanOrEqual(3);
  expect(running.clients.getClients()).toEqual([]);
});

it('says of each how its client closed it, also when the server stops meanwhile', async () => {
  const codes: (number | undefined)[] = [];
  running = await startApp({ options: { events: { onDisconnected: ({ code }) => void codes.push(code) } } });
  const peers = await slowPeers();
  for (const { ws } of peers) ws.close(4001);
  await until(() => codes.length > 0);
  await running.close();
  expect(codes).toEqual(peers.map(() => 4001));
});
