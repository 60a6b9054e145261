import { WebSocketClient } from '../../lib/index.js';
import { ClusterNode } from '../support/cluster-node.js';
import { TestRedis } from '../support/redis.js';
import { pause } from './scene.js';
import { PREFIX, ROOM } from './grounds.js';

const NODES = 3;
const CLIENTS = 30;
const EVERY_MS = 20;

export interface RollingRestart {
  /** Messages that a client should have got. */
  sent: number;
  /** Of them, those that it didn't, by client. */
  lost: number[];
  /** For how long each was away, each time. */
  awayMs: number[];
}

/**
 * Three nodes are replaced one by one, each by SIGTERM and with the default drain, while a fourth sends to a room. Clients
 * of ours that keep nothing come back by themselves, to any node that listens.
 */
export async function rollingRestart(): Promise<RollingRestart> {
  const redis = await TestRedis.start();
  const start = (): Promise<ClusterNode> => ClusterNode.start({ redis: redis.url, prefix: PREFIX, drain: {} });
  const sender = await start();
  const nodes = await Promise.all(Array.from({ length: NODES }, start));
  const clients: WebSocketClient[] = [];
  const got: Set<number>[] = [];
  const awayMs: number[] = [];
  try {
    for (let index = 0; index < CLIENTS; index++) {
      let turn = index;
      let leftAt = 0;
      const client = new WebSocketClient({
        url: () => `ws://127.0.0.1:${(nodes[turn++ % nodes.length] as ClusterNode).port}/ws`,
        events: {
          onDisconnected: () => void (leftAt ||= Date.now()),
          onConnected: () => {
            if (leftAt) awayMs.push(Date.now() - leftAt); // it is in its room again
            leftAt = 0;
          },
        },
      });
      const mine = new Set<number>();
      client.on('ledger', 'entry', (data: { n: number }) => void mine.add(data.n));
      await client.connectToServer();
      await client.joinRoom(ROOM);
      clients.push(client);
      got.push(mine);
    }
    const publishing = sender.call('publish', { publisher: 'sender', rooms: [ROOM], gapMs: EVERY_MS });
    await pause(500);
    for (const [index, old] of [...nodes].entries()) {
      nodes.splice(index, 1, await start()); // the new one listens before the old one is told
      old.kill('SIGTERM');
      await old.exited;
      await pause(1_000);
    }
    await pause(1_000);
    await sender.call('halt');
    const sent = (await publishing).map(({ n }) => n);
    await pause(500);
    return { sent: sent.length, lost: got.map((mine) => sent.filter((n) => !mine.has(n)).length), awayMs };
  } finally {
    for (const client of clients) client.disconnect();
    await Promise.all([sender, ...nodes].map((node) => node.stop()));
    await redis.stop();
  }
}
