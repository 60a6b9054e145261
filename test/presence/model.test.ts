import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Redis } from 'ioredis';
import { ForeignKeys } from '../../lib/cluster/foreign-keys.js';
import { readEvent } from '../../lib/cluster/bus-input.js';
import { type Announcement, readAnnouncement } from '../../lib/history/announcement.js';
import { MemoryPresenceStore } from '../../lib/presence/memory-presence-store.js';
import { RedisPresenceStore } from '../../lib/presence/redis-presence-store.js';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/protocol/events.js';
import { ManualClock } from '../support/manual-clock.js';
import { type ModelStore, type Operation, PresenceModel } from '../support/presence-model.js';
import { hasRedis, TestRedis } from '../support/redis.js';

/** `PRESENCE_RUNS=3000 npm run jest -- test/presence/model` goes on for longer. */
const RUNS = Number(process.env['PRESENCE_RUNS'] ?? 0);
/** The same each time, but where it goes on for longer. */
const SEED = RUNS ? {} : { seed: 1 };

const LENGTH = { maxLength: 100, size: 'max' } as const;
const node = fc.nat({ max: 2 });
const client = fc.nat({ max: 5 });
const user = fc.nat({ max: 4 });
const operations = (canLose: boolean): fc.Arbitrary<Operation[]> =>
  fc.array(
    fc.oneof<fc.WeightedArbitrary<Operation>[]>(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant('join' as const),
          client,
          node,
          user,
          hears: fc.constantFrom(true, true, false, 'count' as const),
          says: fc.boolean(),
        }),
      },
      { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('leave' as const, 'cut', 'cut', 'update'), client }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('kick' as const, 'swap'), client, user }) },
      {
        weight: 20,
        arbitrary: fc.record({
          kind: fc.constant('work' as const),
          node,
          how: fc.constantFrom('well' as const, 'well', 'well', 'well', 'slow', 'slow', 'unheard', 'refused'),
        }),
      },
      {
        weight: 12,
        arbitrary: fc.record({
          kind: fc.constant('hear' as const),
          node,
          how: fc.constantFrom('pass' as const, 'pass', 'pass', 'lose', 'twice', 'late'),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(10, 60, 150, 1_000, 2_500) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('kill' as const), node }) },
      ...(canLose ? [{ weight: 1, arbitrary: fc.constant({ kind: 'wipe' as const }) }] : []),
    ),
    LENGTH,
  );

async function judge(store: ModelStore, clock: ManualClock, given: Operation[]): Promise<void> {
  const model = new PresenceModel(store, clock);
  await model.run(given);
  expect(model.flaws).toEqual([]);
}

const raisedAs = (event: string, userId: string): string => (event === Event.UserJoined ? '+' : '-') + userId;

describe('P2: what members know equals the truth once all is quiet, in any interleaving of nodes, readers and faults', () => {
  it('in memory', async () => {
    await fc.assert(
      fc.asyncProperty(operations(false), async (given) => {
        const clock = new ManualClock();
        await judge(new InMemory(clock), clock, given);
      }),
      { numRuns: RUNS || 80, ...SEED },
    );
  }, 1_800_000);

  (hasRedis() ? describe : describe.skip)('in Redis', () => {
    let server: TestRedis;
    beforeAll(async () => void (server = await TestRedis.start()));
    afterAll(() => server.stop());

    it.each([
      ['that keeps what it has', false],
      ['that loses everything now and then', true],
    ])(
      '%s',
      async (_, canLose) => {
        await fc.assert(
          fc.asyncProperty(operations(canLose), async (given) => {
            const store = await InRedis.on(server);
            try {
              await judge(store, new ManualClock(), given);
            } finally {
              store.close();
            }
          }),
          { numRuns: RUNS || 8, ...SEED },
        );
      },
      1_800_000,
    );
  });
});

class InMemory implements ModelStore {
  #said: Announcement[] = [];
  readonly raised: string[] = [];
  readonly #store: MemoryPresenceStore;

  constructor(clock: ManualClock) {
    this.#store = new MemoryPresenceStore({
      newEpoch: randomUUID,
      now: () => clock.now(),
      announce: (_room, said) => void this.#said.push(said),
      raise: (event, { userId }) => this.raised.push(raisedAs(event, userId)),
    });
  }

  readonly apply: ModelStore['apply'] = (...given) => this.#store.apply(...given);
  readonly read: ModelStore['read'] = (...given) => this.#store.read(...given);
  readonly top: ModelStore['top'] = (...given) => this.#store.top(...given);
  readonly bury: ModelStore['bury'] = (...given) => this.#store.bury(...given);
  readonly check: ModelStore['check'] = (nodeId, beliefs) => this.#store.check(nodeId, beliefs);
  readonly nodesIn: ModelStore['nodesIn'] = (...given) => this.#store.nodesIn(...given);

  async announced(): Promise<Announcement[]> {
    return this.#said.splice(0);
  }

  async wipe(): Promise<void> {}
  async pass(): Promise<void> {}
}

/** Redis has its own clock, so a hundredth of the time that passes in the model passes there. */
const SLOWER = 100;

/** The scripts, on a real Redis. */
class InRedis implements ModelStore {
  #said: Announcement[] = [];
  readonly raised: string[] = [];
  readonly #store: RedisPresenceStore;

  private constructor(
    private readonly redis: Redis,
    private readonly listener: Redis,
    prefix: string,
  ) {
    this.#store = new RedisPresenceStore({
      connection: () => redis,
      foreign: new ForeignKeys(
        () => redis,
        (error) => {
          throw error;
        },
      ),
      prefix,
      channelOf: () => `${prefix}:said`,
      eventsChannel: () => `${prefix}:raised`,
      newEpoch: randomUUID,
      quietMs: 3_000 / SLOWER,
    });
    listener.on('message', (channel: string, text: string) => {
      if (channel.endsWith(':said')) return this.#said.push(readAnnouncement(text, 'U') as Announcement);
      const { name, message } = readEvent(Buffer.from(text)) as { name: string; message: { userId: string } };
      return this.raised.push(raisedAs(name, message.userId));
    });
  }

  static async on(server: TestRedis): Promise<InRedis> {
    const [redis, listener] = [new Redis(server.port, '127.0.0.1'), new Redis(server.port, '127.0.0.1')];
    const prefix = randomUUID();
    await listener.subscribe(`${prefix}:said`, `${prefix}:raised`);
    await redis.ping();
    return new InRedis(redis, listener, prefix);
  }

  readonly apply: ModelStore['apply'] = (room, { changes, ...batch }) =>
    this.#store.apply(room, {
      ...batch,
      changes: changes.map((change) => ({ ...change, awayMs: change.awayMs / SLOWER })),
    });
  readonly read: ModelStore['read'] = (...given) => this.#store.read(...given);
  readonly top: ModelStore['top'] = (...given) => this.#store.top(...given);
  readonly bury: ModelStore['bury'] = (...given) => this.#store.bury(...given);
  readonly check: ModelStore['check'] = (...given) => this.#store.check(...given);
  readonly nodesIn: ModelStore['nodesIn'] = (...given) => this.#store.nodesIn(...given);

  async announced(): Promise<Announcement[]> {
    await this.listener.ping();
    return this.#said.splice(0);
  }

  async wipe(): Promise<void> {
    await this.redis.flushall();
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms / SLOWER));
  }

  close(): void {
    this.redis.disconnect();
    this.listener.disconnect();
  }
}
