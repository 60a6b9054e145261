import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { type RunningApp, startApp } from '../support/app.js';
import { ClusterNode } from '../support/cluster-node.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describeWithRedis('a connection of the application that gets numbers as text (stringNumbers)', () => {
  let redis: TestRedis;
  let source: Redis;
  let app: RunningApp | undefined;
  let other: ClusterNode | undefined;
  beforeAll(async () => {
    redis = await TestRedis.start();
    source = new Redis(redis.url, { stringNumbers: true, lazyConnect: true });
  });
  afterAll(async () => {
    await app?.close();
    other?.kill();
    source.disconnect();
    await redis.stop();
  });

  it('loses no event of a node that is killed, and writes nothing anew with each beat', async () => {
    const heard: string[] = [];
    app = await startApp({
      options: {
        redis: source,
        subscriberEventHandler: ({ channel, message }) => {
          const { clientId, roomName, reason } = message as Record<string, string | undefined>;
          if (reason !== undefined) heard.push([channel, clientId, roomName, reason].join(' '));
        },
      },
    });
    const node = (other = await ClusterNode.start({ redis: redis.url }));
    const { clientId } = await node.join('red');
    await until(() => app?.rooms.isClientInRoom({ clientId, roomName: 'red' }) === true);
    await pause(2_100); // whatever the joins were to cost has been paid
    await redis.run('CONFIG', 'RESETSTAT');
    await pause(4_000);
    expect(String(await redis.run('INFO', 'commandstats'))).not.toMatch(/cmdstat_(hset|hgetall)/); // all is as it was
    node.kill();
    await until(() => app?.clients.size === 0);
    await until(() => heard.length === 2);
    expect(heard.toSorted()).toEqual([
      `WebSocket:ClientDisconnected ${clientId}  node-lost`,
      `WebSocket:ClientLeftRoom ${clientId} red node-lost`,
    ]);
    expect(app.errors).toEqual([]);
  });
});
