import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import type { FieldWrites } from '../../lib/cluster/client-fields.js';
import { FieldWriter } from '../../lib/cluster/field-writer.js';
import { ALIVE } from '../../lib/cluster/event-groups.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { longestTurn } from '../support/turn-meter.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const CLIENTS = 8_000;
const ROOMS_EACH = 5;
const BIG = 'big'.padEnd(22, '-');
/** In one step each of it takes 400 ms and more. The rest is what arrives from Redis in one turn, up to 2 MB, and tidying up. */
const LONGEST_TURN_MS = 100;

describeWithRedis('a node with 8,000 clients in 40,000 rooms', () => {
  let redis: TestRedis;
  let plain: Redis;
  const apps: RunningApp[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
    plain = new Redis(redis.url);
  });
  afterAll(async () => {
    plain.disconnect();
    await redis.stop();
  });
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  const [hash, lease] = [`pxl:{${BIG}}:clients`, `pxl:{${BIG}}:lease`];
  async function writeBigNode(): Promise<void> {
    const writer = new FieldWriter(BIG);
    const pipeline = plain.pipeline();
    for (let n = 0; n < CLIENTS; n++) {
      const clientId = `${BIG}.${String(n).padStart(22, '0')}`;
      const user = { userId: n % 4_000, payload: {} };
      const rooms = Array.from({ length: ROOMS_EACH }, (_, k) => `room ${(n + k) % 500}`);
      const record = { clientId, user, metadata: { username: `user ${n}` }, rooms, lastActivity: 1 };
      const fields: FieldWrites = new Map();
      writer.whole(fields, record);
      pipeline.hset(hash, fields as Map<string, string>);
    }
    pipeline.hset(hash, '$', `1 ${writer.count}`);
    pipeline.set(lease, 'alive', 'PX', 60_000).sadd('pxl:nodes', BIG);
    await pipeline.exec();
  }
  const memberships = ({ server }: RunningApp): number =>
    [...server.rooms.values()].reduce((sum, { size }) => sum + size, 0);

  it('is read, fetched and buried without holding up the event loop', async () => {
    await writeBigNode();
    const app = await startApp({ options: { redis: redis.url } });
    apps.push(app);
    expect([app.clients.size, memberships(app)]).toEqual([CLIENTS, CLIENTS * ROOMS_EACH]);
    // Now everything is compiled. One client less, and a sign of life that says so: it is read again.
    const digest = { version: 2, count: CLIENTS * (2 + ROOMS_EACH) - 1 };
    await plain.hdel(hash, `.${'0'.repeat(22)}`);
    await plain.hset(hash, '$', `${digest.version} ${digest.count}`);
    const turns = {
      reading: await longestTurn(async () => {
        await plain.publish('pxl:$events', JSON.stringify([ALIVE, { nodeId: BIG, ...digest }]));
        await until(() => app.clients.size === CLIENTS - 1);
      }),
      fetching: await longestTurn(async () => {
        const { clients, missing } = await app.server.fetchClients();
        expect([clients.length, missing]).toEqual([CLIENTS - 1, []]);
      }),
      burying: await longestTurn(async () => {
        await plain.del(lease);
        await until(() => app.clients.size === 0);
      }),
    };
    expect(memberships(app)).toBe(0);
    console.info(turns);
    for (const [what, ms] of Object.entries(turns))
      expect({ what, isShort: ms < LONGEST_TURN_MS }).toEqual({ what, isShort: true });
  });
});
