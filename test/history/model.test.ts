import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { type Announcement, readAnnouncement } from '../../lib/history/announcement.js';
import type { HistoryRule } from '../../lib/history/history-rule.js';
import { MemoryRoomLog } from '../../lib/history/memory-room-log.js';
import { RedisRoomLog } from '../../lib/history/redis-room-log.js';
import { historyComplaints } from '../support/history-ledger.js';
import { HistoryModel } from '../support/history-model.js';
import type { ModelStore, Operation } from '../support/history-model-facts.js';
import { ManualClock } from '../support/manual-clock.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

/** `HISTORY_RUNS=3000 npm run jest -- test/history/model` goes on for longer. */
const RUNS = Number(process.env['HISTORY_RUNS'] ?? 0);
const ROOM = 'chat:1';

const rule = (more: Partial<HistoryRule>): HistoryRule => ({
  mode: 'log',
  size: 8,
  ttlMs: 300_000,
  maxBytes: 1_048_576,
  keyTtlMs: 300_000,
  metaTtlMs: 86_400_000,
  emptyTtlMs: 86_400_000,
  recoverMax: 5,
  recoverMaxBytes: 262_144,
  checkMs: 2_000,
  ack: 'stored',
  onRestart: 'reset',
  ...more,
});

/** Not mostly short ones. */
const LENGTH = { maxLength: 120, size: 'max' } as const;
const small = fc.nat({ max: 3 });
const member = { member: small };
const kinds = (...names: ('away' | 'back' | 'clear' | 'wipe' | 'save' | 'restore')[]) =>
  fc.record({ kind: fc.constantFrom(...names) });
const common: fc.WeightedArbitrary<Operation>[] = [
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      key: fc.option(small, { nil: undefined, freq: 3 }),
      version: fc.nat({ max: 20 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('join' as const), ...member, node: small, tail: small }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('leave' as const, 'cut', 'cut', 'cut'), ...member }) },
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('take' as const), ...member }) },
  { weight: 16, arbitrary: fc.record({ kind: fc.constant('step' as const), pick: fc.nat({ max: 5 }) }) },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant('hear' as const),
      node: small,
      how: fc.constantFrom('pass' as const, 'pass', 'pass', 'lose', 'twice', 'late'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(20, 60, 500, 2_500, 11_000) }),
  },
  { weight: 1, arbitrary: kinds('away', 'back', 'back') },
  { weight: 1, arbitrary: kinds('clear', 'wipe') },
];
const memoryOperations = fc.array(fc.oneof(...common), LENGTH);
const redisOperations = fc.array(fc.oneof(...common, { weight: 2, arbitrary: kinds('save', 'restore') }), LENGTH);

async function judge(
  store: ModelStore,
  given: HistoryRule,
  clock: ManualClock,
  operations: Operation[],
): Promise<void> {
  const model = new HistoryModel(store, given, clock);
  const report = await model.run(operations);
  expect({ ...historyComplaints(report), ...(model.flaws.length > 0 && { flaws: model.flaws }) }).toEqual({});
}

describe('any interleaving of publishers, readers, clients and faults', () => {
  it.each([
    ['a log', rule({})],
    ['a log whose entries age', rule({ ttlMs: 2_000 })],
    ['a log of few bytes', rule({ maxBytes: 60 })],
    ['the newest value', rule({ mode: 'last' })],
  ])(
    'keeps what is promised, in memory: %s',
    async (_, given) => {
      await fc.assert(
        fc.asyncProperty(memoryOperations, async (operations) => {
          const clock = new ManualClock();
          await judge(new InMemory(given, clock), given, clock, operations);
        }),
        { numRuns: RUNS || 300 },
      );
    },
    1_800_000,
  );

  (hasRedis() ? describe : describe.skip)('in Redis', () => {
    let redis: TestRedis;
    let writer: Redis;
    let reader: Redis;
    let heard: Announcement[] = [];
    beforeAll(async () => {
      redis = await TestRedis.start();
      writer = new Redis(redis.port, '127.0.0.1');
      reader = new Redis(redis.port, '127.0.0.1');
      reader.on('message', (_channel, text) => heard.push(readAnnouncement(text) as Announcement));
      await reader.subscribe('channel');
    });
    afterAll(async () => {
      writer.disconnect();
      reader.disconnect();
      await redis.stop();
    });

    it.each([
      ['a log', rule({})],
      ['a log of few bytes', rule({ maxBytes: 60 })],
      ['the newest value', rule({ mode: 'last' })],
    ])(
      'keeps what is promised: %s',
      async (_, given) => {
        await fc.assert(
          fc.asyncProperty(redisOperations, async (operations) => {
            await writer.flushall();
            heard = [];
            const store = new InRedis(given, writer, () => heard);
            await judge(store, given, new ManualClock(), operations);
          }),
          { numRuns: RUNS || 80 },
        );
      },
      1_800_000,
    );
  });
});

class InMemory implements ModelStore {
  #heard: Announcement[] = [];
  #log: MemoryRoomLog;

  constructor(
    private readonly rule: HistoryRule,
    private readonly clock: ManualClock,
  ) {
    this.#log = this.#begin();
  }

  readonly log: ModelStore['log'] = {
    append: (...given) => this.#log.append(...given),
    read: (...given) => this.#log.read(...given),
    top: (...given) => this.#log.top(...given),
    clear: (...given) => this.#log.clear(...given),
  };

  async announced(): Promise<Announcement[]> {
    return this.#heard.splice(0);
  }

  async wipe(): Promise<void> {
    this.#log = this.#begin();
  }

  async save(): Promise<void> {}
  async restore(): Promise<void> {}

  #begin(): MemoryRoomLog {
    return new MemoryRoomLog({
      retentionOf: () => this.rule,
      newEpoch: randomUUID,
      announce: (_room, said) => this.#heard.push(said),
      now: () => this.clock.now(),
      wallMs: () => 1_800_000_000_000 + this.clock.now(),
    });
  }
}

/** The scripts, on a real Redis. Another server is made of this one: what it wrote down as its own replication id is changed. */
class InRedis implements ModelStore {
  readonly #log: RedisRoomLog;
  readonly #keys = [`pxl:{${ROOM}}:m`, `pxl:{${ROOM}}:h`];
  #saved: (Buffer | null)[] = [];
  #expected = 0;
  #taken = 0;

  constructor(
    given: HistoryRule,
    private readonly redis: Redis,
    private readonly heard: () => Announcement[],
  ) {
    this.#log = new RedisRoomLog({
      connection: () => redis,
      prefix: 'pxl',
      channelOf: () => 'channel',
      retentionOf: () => given,
      isFenced: () => true,
      newId: randomUUID,
      clock: systemClock,
    });
  }

  readonly log: ModelStore['log'] = {
    append: async (...given) => {
      const answer = await this.#log.append(...given);
      if (!answer.isDuplicate) this.#expected++;
      return answer;
    },
    read: (...given) => this.#log.read(...given),
    top: (...given) => this.#log.top(...given),
    clear: async (...given) => {
      const answer = await this.#log.clear(...given);
      this.#expected++;
      return answer;
    },
  };

  async announced(): Promise<Announcement[]> {
    if (this.heard().length < this.#expected) await until(() => this.heard().length >= this.#expected);
    const news = this.heard().slice(this.#taken);
    this.#taken += news.length;
    return news;
  }

  async wipe(): Promise<void> {
    await this.redis.flushall();
  }

  async save(): Promise<void> {
    this.#saved = await Promise.all(this.#keys.map((key) => this.redis.dumpBuffer(key)));
  }

  async restore(): Promise<void> {
    await this.redis.flushall();
    for (const [index, saved] of this.#saved.entries())
      if (saved) await this.redis.restore(this.#keys[index] as string, 0, saved);
    if (this.#saved[0]) await this.redis.hset(this.#keys[0] as string, 'replid', 'another');
  }
}
