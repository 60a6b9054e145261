import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { FieldReader, type FieldWrites } from '../../lib/cluster/client-fields.js';
import { FieldWriter } from '../../lib/cluster/field-writer.js';
import { ALIVE } from '../../lib/cluster/event-groups.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { mostInATurn } from '../support/turn-meter.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const CLIENTS = 8_000;
const ROOMS_EACH = 5;
const BIG = 'big'.padEnd(22, '-');
const FIELDS = CLIENTS * (2 + ROOMS_EACH); // the client, its rooms, and one key of metadata
/** The share of all that may be done in one turn. A turn works for 5 ms: a machine ten times as fast as today's passes, too. */
const MOST_IN_A_TURN = 1 / 2;

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
    expect(writer.count).toBe(FIELDS);
    pipeline.hset(hash, '$', `1 ${FIELDS}`);
    pipeline.set(lease, 'alive', 'PX', 60_000).sadd('pxl:nodes', BIG);
    await pipeline.exec();
  }
  const memberships = ({ server }: RunningApp): number =>
    [...server.rooms.values()].reduce((sum, { size }) => sum + size, 0);

  it('is read, fetched and buried in many turns of the event loop', async () => {
    const app = await startApp({ options: { redis: redis.url } });
    apps.push(app);
    await writeBigNode();
    const read = jest.spyOn(FieldReader.prototype, 'read');
    const fieldsRead = (): number => read.mock.calls.length;
    const known = (): number => app.clients.size;
    const copying = mostInATurn(known, () => until(() => known() === CLIENTS));
    const reading = mostInATurn(fieldsRead, () => until(() => known() === CLIENTS));
    await plain.publish('pxl:$events', JSON.stringify([ALIVE, { nodeId: BIG, version: 1, count: FIELDS }]));
    const shares = { copying: (await copying) / CLIENTS, reading: (await reading) / FIELDS, fetching: 0, burying: 0 };
    expect([fieldsRead(), memberships(app)]).toEqual([FIELDS, CLIENTS * ROOMS_EACH]);

    read.mockClear();
    const fetching = await mostInATurn(fieldsRead, async () => {
      const { clients, missing } = await app.server.fetchClients();
      expect([clients.length, missing]).toEqual([CLIENTS, []]);
    });
    expect(fieldsRead()).toBe(FIELDS);

    const burying = mostInATurn(known, () => until(() => known() === 0));
    await plain.del(lease);
    Object.assign(shares, { fetching: fetching / FIELDS, burying: (await burying) / CLIENTS });
    expect(memberships(app)).toBe(0);
    const tooMuch = Object.entries(shares).filter(([, share]) => share === 0 || share > MOST_IN_A_TURN);
    expect(tooMuch).toEqual([]);
  });
});
