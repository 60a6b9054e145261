import { Redis } from 'ioredis';
import { type ClientNews, writePiece } from '../../lib/cluster/client-news.js';
import { NEWS } from '../../lib/cluster/event-groups.js';
import { ClusterNode } from '../support/cluster-node.js';
import { TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { pause } from './scene.js';
import { PREFIX } from './grounds.js';

const CLIENTS = 1_000;
const ROOMS = 50;
const ROUNDS = 40;
/** Changes that Redis gets in one write. */
const BATCH = 500;
const NODE = 'another'.padEnd(22, '-');

/**
 * What the joins and leaves of another node cost this one, in µs of processor time each: from the bytes on its
 * connection to its tables. The other node is only played: its changes come as fast as they are taken.
 * @param perEvent how many changes one event has
 */
export async function costOfChanges(perEvent: number): Promise<number> {
  const redis = await TestRedis.start();
  const plain = new Redis(redis.url);
  const node = await ClusterNode.start({ redis: redis.url, prefix: PREFIX });
  try {
    let version = 0;
    const publish = async (news: ClientNews[]): Promise<void> => {
      for (let start = 0; start < news.length; start += BATCH) {
        const pipeline = plain.pipeline();
        for (let at = start; at < Math.min(news.length, start + BATCH); at += perEvent) {
          const piece = writePiece({ nodeId: NODE, version: ++version, news: news.slice(at, at + perEvent) });
          pipeline.publish(`${PREFIX}:$presence`, JSON.stringify([NEWS, piece]));
        }
        await pipeline.exec();
      }
    };
    const clientIds = Array.from({ length: CLIENTS }, (_, n) => `${NODE}.${String(n).padStart(22, '0')}`);
    const roomOf = (n: number): string => `room ${n % ROOMS}`;
    const all = (isIn: boolean): ClientNews[] =>
      clientIds.map((clientId, n) => ({
        clientId,
        userId: n,
        moves: [{ roomName: roomOf(n), isIn }],
        isGone: false,
      }));
    await plain.hset(`${PREFIX}:{${NODE}}:clients`, '$', '0 0');
    await plain.set(`${PREFIX}:{${NODE}}:lease`, 'alive', 'PX', 60_000);
    await plain.sadd(`${PREFIX}:nodes`, NODE);
    await publish(
      all(true).map((news, n) => ({
        ...news,
        came: 'connected',
        record: {
          clientId: news.clientId,
          user: { userId: n, payload: {} },
          metadata: {},
          rooms: [roomOf(n)],
          lastActivity: 1,
        },
      })),
    );
    await until(async () => (await node.call('memberships')) === CLIENTS);
    const round = async (): Promise<void> => {
      await publish(all(false));
      await publish(all(true));
    };
    await round(); // compiled
    await round();
    await pause(500);
    const before = await node.call('cpuMs');
    for (let n = 0; n < ROUNDS; n++) await round();
    await until(async () => (await node.call('memberships')) === CLIENTS);
    const after = await node.call('cpuMs');
    return (1_000 * (after - before)) / (2 * ROUNDS * CLIENTS);
  } finally {
    await node.stop();
    plain.disconnect();
    await redis.stop();
  }
}
