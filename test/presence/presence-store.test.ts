import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Redis } from 'ioredis';
import { readAnnouncement } from '../../lib/history/announcement.js';
import { MemoryPresenceStore } from '../../lib/presence/memory-presence-store.js';
import type { PresenceApplied, PresenceChange, PresenceStore, UserChange } from '../../lib/presence/presence-store.js';
import { RedisPresenceStore } from '../../lib/presence/redis-presence-store.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
/** More of them with PRESENCE_RUNS. */
const RUNS = Number(process.env['PRESENCE_RUNS'] ?? 30);

/** One store under test. */
interface Subject {
  store: PresenceStore;
  /** What was announced, in order. */
  announced: { epoch: string; version: number; changes: UserChange[] }[];
  pass(ms: number): Promise<void>;
  stop(): Promise<void>;
}

async function memory(): Promise<Subject> {
  const announced: Subject['announced'] = [];
  let time = 1_000;
  const store = new MemoryPresenceStore({
    newEpoch: randomUUID,
    now: () => time,
    announce: (_room, said) => void announced.push(said),
  });
  return { store, announced, pass: async (ms) => void (time += ms), stop: async () => undefined };
}

let server: TestRedis;

async function redis(): Promise<Subject> {
  const announced: Subject['announced'] = [];
  const [connection, listener] = [new Redis(server.url), new Redis(server.url)];
  const prefix = randomUUID();
  const store = new RedisPresenceStore({
    connection: () => connection,
    prefix,
    channelOf: (room) => `${prefix}:{${room}}:c`,
    newEpoch: randomUUID,
  });
  await until(() => connection.status === 'ready');
  await listener.psubscribe(`${prefix}:*`);
  listener.on('pmessage', (_pattern, _channel, text: string) => {
    const said = readAnnouncement(text, 'U');
    if (said?.kind !== 'stored') throw new Error(`Nobody can read ${text}`);
    announced.push({ epoch: said.epoch, version: said.offset, changes: JSON.parse(said.frame) as UserChange[] });
  });
  return {
    store,
    announced,
    // Redis has a clock of its own.
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms + 5)),
    stop: async () => {
      connection.disconnect();
      listener.disconnect();
    },
  };
}

describe.each([
  ['in memory', memory, true],
  ['in Redis', redis, hasRedis()],
] as const)('a presence store %s', (name, make, isAvailable) => {
  if (!isAvailable) return it.skip('needs a redis-server', () => undefined);
  let subject: Subject;
  let number = 0;
  beforeAll(async () => {
    if (name === 'in Redis') server = await TestRedis.start();
  });
  afterAll(async () => {
    if (name === 'in Redis') await server.stop();
  });
  beforeEach(async () => void (subject = await make()));
  afterEach(() => subject.stop());

  const change = (kind: PresenceChange['kind'], clientId: string, more: Partial<PresenceChange> = {}) => ({
    kind,
    clientId,
    userId: clientId.replace(/\d$/, ''),
    data: undefined,
    dataAt: 0,
    awayMs: 0,
    ...more,
  });
  const say = (
    nodeId: string,
    changes: PresenceChange[],
    more: { isWhole?: boolean; number?: number; epoch?: string } = {},
  ): Promise<PresenceApplied> =>
    subject.store.apply(ROOM, { nodeId, number: ++number, epoch: undefined, isWhole: false, changes, ...more });
  const users = async (): Promise<Record<string, [number, string]>> => {
    const read = await subject.store.read(ROOM);
    return Object.fromEntries(Array.from(read.users, ([id, { connections, data }]) => [id, [connections, data]]));
  };
  const heard = async (count: number): Promise<UserChange[][]> => {
    await until(() => subject.announced.length >= count);
    return subject.announced.map(({ changes }) => changes);
  };

  it('P1: counts the connections of a user, and says of the first that it joined and of the last that it left', async () => {
    expect(await say('n1', [change('in', 'ada1')])).toMatchObject({ version: 1, own: 1, joined: ['ada'], left: [] });
    expect(await say('n2', [change('in', 'ada2')])).toMatchObject({ version: 2, own: 1, joined: [], left: [] });
    expect(await users()).toEqual({ ada: [2, 'null'] });
    expect(await say('n1', [change('out', 'ada1')])).toMatchObject({ version: 3, own: 0, joined: [], left: [] });
    expect(await say('n2', [change('out', 'ada2')])).toMatchObject({ version: 4, own: 0, joined: [], left: ['ada'] });
    expect(await users()).toEqual({});
    expect(await heard(4)).toEqual([[['ada', 1, null]], [['ada', 2, null]], [['ada', 1, null]], [['ada', 0, null]]]);
    expect(subject.announced.map(({ version }) => version)).toEqual([1, 2, 3, 4]);
  });

  it('P6: two connections that enter together are one user that joined', async () => {
    const both = await Promise.all([say('n1', [change('in', 'ada1')]), say('n2', [change('in', 'ada2')])]);
    expect(both.flatMap(({ joined }) => joined)).toEqual(['ada']);
  });

  it('changes nothing when the same is said again', async () => {
    await say('n1', [change('in', 'ada1', { data: '{"a":1}' })]);
    for (const kind of ['in', 'kept'] as const)
      expect(await say('n1', [change(kind, 'ada1', { data: '{"a":1}' })])).toMatchObject({ version: 1, joined: [] });
    await say('n1', [change('out', 'ada1')]);
    expect(await say('n1', [change('out', 'ada1')])).toMatchObject({ version: 2, left: [] });
    expect(await heard(2)).toHaveLength(2);
  });

  it('P4: new data is a change of the user, and the newest wins', async () => {
    await say('n1', [change('in', 'ada1', { data: '"first"' })]);
    await say('n2', [change('in', 'ada2', { data: '"second"' })]);
    expect(await users()).toEqual({ ada: [2, '"second"'] });
    const { now } = await say('n1', [change('in', 'ada1', { data: '"third"' })]);
    expect(await users()).toEqual({ ada: [2, '"third"'] });
    await say('n2', [change('kept', 'ada2', { data: '"second"', dataAt: now - 1 })]);
    expect(await users()).toEqual({ ada: [2, '"third"'] });
    expect((await heard(3)).at(-1)).toEqual([['ada', 2, 'third']]);
  });

  it('a batch that comes late revives nobody', async () => {
    await say('n1', [change('in', 'ada1'), change('in', 'bob1')]);
    const early = { number: ++number };
    await say('n1', [change('out', 'ada1')]);
    expect(
      await say('n1', [change('kept', 'ada1'), change('kept', 'bob1')], { isWhole: true, ...early }),
    ).toMatchObject({
      version: 2,
      own: 1,
    });
    expect(await users()).toEqual({ bob: [1, 'null'] });
  });

  it('takes a whole share: what is missing in it is out, that of other nodes stays', async () => {
    await say('n1', [change('in', 'ada1'), change('in', 'bob1')]);
    await say('n2', [change('in', 'cyn1')]);
    const whole = await say('n1', [change('kept', 'bob1'), change('kept', 'dan1')], { isWhole: true });
    expect(whole).toMatchObject({ own: 2, joined: ['dan'], left: ['ada'] });
    expect(Object.keys(await users()).toSorted()).toEqual(['bob', 'cyn', 'dan']);
  });

  it('P5: takes out the connections of a dead node, but those whose grace isn’t over', async () => {
    await say('n1', [change('in', 'ada1'), change('in', 'bob1', { awayMs: 200 }), change('in', 'cyn1')]);
    await say('n2', [change('in', 'cyn2')]);
    expect(await subject.store.bury(ROOM, 'n1')).toMatchObject({ own: 1, left: ['ada'] });
    expect(await users()).toEqual({ bob: [1, 'null'], cyn: [1, 'null'] });
    await subject.pass(200);
    expect(await subject.store.bury(ROOM, 'n1')).toMatchObject({ own: 0, left: ['bob'], nodeIds: ['n2'] });
    expect(await subject.store.bury(ROOM, 'n1')).toMatchObject({ own: 0, left: [] });
    expect(await users()).toEqual({ cyn: [1, 'null'] });
  });

  it('P10: any text is a user id, a client id or data', async () => {
    const names = ['__proto__', 'constructor', 'a b', '', 'é\u2028\n"\\', '\ud800', '{}', '0', 'toString'];
    for (const [at, userId] of names.entries())
      await say('n1', [
        change('in', at === 0 ? '__proto__' : `c${at}`, { userId, data: JSON.stringify({ x: userId }) }),
      ]);
    expect((await subject.store.read(ROOM)).users).toEqual(
      new Map(names.map((name) => [name, { connections: 1, data: JSON.stringify({ x: name }) }])),
    );
    await heard(names.length);
    expect(subject.announced.map(({ changes }) => changes[0])).toEqual(names.map((name) => [name, 1, { x: name }]));
    const out = names.map((userId, at) => change('out', at === 0 ? '__proto__' : `c${at}`, { userId }));
    expect((await say('n1', out)).left.toSorted()).toEqual(names.toSorted());
  });

  it('a connection with another user moves to it', async () => {
    await say('n1', [change('in', 'c1', { userId: 'ada' })]);
    expect(await say('n1', [change('in', 'c1', { userId: 'bob' })])).toMatchObject({ joined: ['bob'], left: ['ada'] });
    expect(await users()).toEqual({ bob: [1, 'null'] });
  });

  it('P2: what was read and announced equals the truth at every version, however nodes say what they have', async () => {
    const step = fc.record({
      nodeId: fc.constantFrom('n1', 'n2', 'n3'),
      what: fc.constantFrom('in', 'in', 'data', 'out', 'away', 'whole', 'late', 'bury'),
      at: fc.nat({ max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        await subject.stop();
        subject = await make();
        number = 0;
        /** The connections of each node, and the ends of their graces. */
        const truth = new Map<string, { nodeId: string; userId: string; isAway: boolean }>();
        const data = new Map<string, string>();
        const { epoch } = await subject.store.read(ROOM);
        for (const [turn, { nodeId, what, at }] of steps.entries()) {
          const [clientId, userId] = [`${nodeId}.${at}`, `u${at % 3}`];
          const one = { userId, data: what === 'data' ? `${turn}` : undefined, awayMs: what === 'away' ? 60_000 : 0 };
          const own = [...truth].filter(([, connection]) => connection.nodeId === nodeId);
          if (what === 'bury') {
            await subject.store.bury(ROOM, nodeId);
            for (const [id, { isAway }] of own) if (!isAway) truth.delete(id);
          } else if (what === 'whole') {
            const kept = own.slice(0, at).map(([id, { userId: user }]) => change('kept', id, { userId: user }));
            await say(nodeId, kept, { isWhole: true });
            for (const [id] of own.slice(at)) truth.delete(id);
            for (const [, connection] of own.slice(0, at)) connection.isAway = false;
          } else if (what === 'late') {
            await say(nodeId, [change('in', clientId, one)], { number: 0 });
          } else if (what === 'out') {
            await say(nodeId, [change('out', clientId, one)]);
            truth.delete(clientId);
          } else {
            await say(nodeId, [change(what === 'away' ? 'kept' : 'in', clientId, one)]);
            truth.set(clientId, { nodeId, userId, isAway: what === 'away' });
            if (one.data !== undefined) data.set(userId, one.data);
          }
          const expected: Record<string, [number, string]> = {};
          for (const { userId: user } of truth.values())
            expected[user] = [(expected[user]?.[0] ?? 0) + 1, data.get(user) ?? 'null'];
          for (const user of data.keys()) if (!expected[user]) data.delete(user);
          expect(await users()).toEqual(expected);
          const read = await subject.store.read(ROOM);
          expect(read.epoch).toBe(epoch);
          await until(() => (subject.announced.at(-1)?.version ?? 0) >= read.version);
          const heardOf: Record<string, [number, string]> = {};
          for (const { changes } of subject.announced)
            for (const [user, connections, said] of changes)
              if (connections > 0) heardOf[user] = [connections, JSON.stringify(said)];
              else delete heardOf[user];
          expect(heardOf).toEqual(expected);
          expect(subject.announced.map(({ version }) => version)).toEqual(
            subject.announced.map((_, index) => index + 1),
          );
        }
      }),
      { numRuns: RUNS },
    );
  }, 60_000);

  it('knows rooms apart, and answers for one nobody was in', async () => {
    await say('n1', [change('in', 'ada1')]);
    expect((await subject.store.read('other')).users.size).toBe(0);
    const { epoch, offset } = await subject.store.top(ROOM);
    expect([epoch, offset]).toEqual([(await subject.store.read(ROOM)).epoch, 1]);
  });
});
