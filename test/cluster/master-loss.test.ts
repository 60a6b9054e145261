import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cluster } from 'ioredis';
import { keySlot } from '../../lib/cluster/key-slot.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, startRedisCluster, type TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ROOMS = ['r0', 'r1', 'r2', 'r3', 'r4', 'r5'];

(hasRedis() ? describe : describe.skip)('a master of a Redis Cluster that dies', () => {
  let servers: Awaited<ReturnType<typeof startRedisCluster>> | undefined;
  let source: Cluster | undefined;
  const apps: RunningApp[] = [];
  beforeAll(async () => {
    servers = await startRedisCluster({ hasReplicas: true });
    source = new Cluster(
      servers.nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
      { lazyConnect: true },
    );
    for (let count = 0; count < 2; count++) apps.push(await startApp({ options: { redis: source } }));
  });
  afterAll(async () => {
    await Promise.all(apps.map((app) => app.close()));
    source?.disconnect();
    await servers?.stop();
  });

  it('costs what is counted, puts nothing out of order, and is replaced by its replica', async () => {
    const [one, two] = apps as [RunningApp, RunningApp];
    const ada = await two.connect();
    for (const room of ROOMS) await ada.join(room);
    const sent: Record<string, number> = {};
    let rejected = 0;
    const timer = setInterval(() => {
      for (const room of ROOMS) {
        const n = (sent[room] = (sent[room] ?? 0) + 1);
        one.service.sendToRooms([room], { type: 'news', action: room, data: n }).catch(() => rejected++);
      }
    }, 10);
    await until(() => (sent['r0'] ?? 0) >= 50);
    const [master] = (servers?.nodes ?? []) as [TestRedis];
    const began = Date.now();
    await master.kill();
    await until(() => two.server.status.state === 'down', 10_000);
    const noticed = Date.now();
    await until(() => [one, two].every(({ server }) => server.status.state === 'ready'), 20_000);
    const restored = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 500));
    clearInterval(timer);
    for (const room of ROOMS) await one.service.sendToRooms([room], { type: 'end', action: room });
    for (const room of ROOMS) await ada.next('end', room);
    const got = ada.received.filter(({ type }) => type === 'news');
    for (const room of ROOMS) {
      const numbers = got.filter(({ action }) => action === room).map(({ data }) => data as number);
      expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
      if (keySlot(`pxl:$room:${room}`) > 5_460) expect(numbers).toHaveLength(sent[room] as number);
    }
    const total = Object.values(sent).reduce((sum, count) => sum + count, 0);
    const lost = total - got.length;
    const counted = two.server.status.counters.missing;
    console.info(
      `A dead master: noticed after ${noticed - began} ms, ready after ${restored - began} ms; of ${total} messages ` +
        `${lost} were lost, ${rejected} of them known to the sender, ${counted} counted by the receiver`,
    );
    expect(counted).toBe(lost);
  });
});
