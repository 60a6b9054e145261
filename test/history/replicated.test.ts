import { afterEach, describe, expect, it } from '@jest/globals';
import { startApp } from '../support/app.js';
import { hasRedis, startRedisCluster, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { Cluster } from 'ioredis';
import type { RunningApp } from '../support/app.js';
import type { WebSocketOptions } from '../../lib/index.js';

const ROOM = 'chat:1';
const news = (n: number): { type: string; action: string; data: unknown } => ({
  type: 'chat',
  action: 'news',
  data: { n },
});

let stops: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function startRedis(): Promise<TestRedis> {
  const redis = await TestRedis.start(['--repl-diskless-sync-delay', '0']);
  stops.push(() => redis.stop());
  return redis;
}

async function startNode(redis: WebSocketOptions['redis']): Promise<RunningApp> {
  const rooms = { history: [{ match: 'chat:*', ack: 'replicated' as const }, { match: 'plain:*' }] };
  const node = await startApp({ options: { redis, rooms } });
  stops.push(() => node.close());
  return node;
}

async function startReplica(master: TestRedis): Promise<TestRedis> {
  const replica = await startRedis();
  await replica.run('REPLICAOF', '127.0.0.1', master.port);
  await until(async () => String(await replica.run('INFO', 'replication')).includes('master_link_status:up'));
  return replica;
}

(hasRedis() ? describe : describe.skip)('a room whose publications wait for a replica', () => {
  it('answers once the replica has it, and doesn’t hold up other rooms', async () => {
    const master = await startRedis();
    const replica = await startReplica(master);
    const { service } = await startNode(master.url);
    for (let n = 1; n <= 20; n++) {
      expect(await service.publishToRoom(ROOM, news(n))).toMatchObject({ offset: n });
      expect(await replica.run('XLEN', `pxl:{${ROOM}}:h`)).toBe(n);
    }
    expect(await service.publishToRoom('plain:1', news(1))).toMatchObject({ offset: 1 });
  });

  it('says UNKNOWN_OUTCOME while the replica is paused; with its key it was published once', async () => {
    const master = await startRedis();
    const replica = await startReplica(master);
    const node = await startNode(master.url);
    const peer = await node.connect();
    await peer.join(ROOM);
    await node.service.publishToRoom(ROOM, news(1));
    replica.freeze();
    let hasFailed = false;
    const failed = node.service.publishToRoom(ROOM, news(2), { key: 'k' });
    failed.catch(() => (hasFailed = true));
    expect(await node.service.publishToRoom('plain:1', news(1))).toMatchObject({ offset: 1 });
    expect(hasFailed).toBe(false);
    await expect(failed).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
    // The retry waits, too: that it is known here doesn't mean that a replica has it.
    const again = node.service.publishToRoom(ROOM, news(2), { key: 'k' });
    await expect(again).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
    replica.thaw();
    await until(async () => Number(await replica.run('XLEN', `pxl:{${ROOM}}:h`)) === 2);
    expect(await node.service.publishToRoom(ROOM, news(2), { key: 'k' })).toMatchObject({
      offset: 2,
      isDuplicate: true,
    });
    await node.service.publishToRoom(ROOM, news(3));
    await until(() => peer.received.filter(({ action }) => action === 'news').length === 3);
    expect(peer.received.filter(({ at }) => at).map(({ at }) => at.offset)).toEqual([1, 2, 3]);
  });

  it('says UNKNOWN_OUTCOME where there is no replica', async () => {
    const { service } = await startNode((await startRedis()).url);
    const published = Promise.all([1, 2].map((n) => service.publishToRoom(ROOM, news(n))));
    await expect(published).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
  });

  it('on a Redis Cluster waits on the node that stored it', async () => {
    const { nodes, stop } = await startRedisCluster({ hasReplicas: true });
    stops.push(stop);
    const cluster = new Cluster(nodes.map(({ port }) => ({ host: '127.0.0.1', port })));
    cluster.on('error', () => undefined);
    stops.push(() => cluster.disconnect());
    await until(() => cluster.status === 'ready');
    const { service } = await startNode(cluster);
    for (let room = 1; room <= 6; room++)
      for (let n = 1; n <= 3; n++)
        expect(await service.publishToRoom(`chat:${room}`, news(n))).toMatchObject({ offset: n });
  });
});
