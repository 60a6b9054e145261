import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Redis } from 'ioredis';
import { ForeignKeys } from '../../lib/cluster/foreign-keys.js';
import { type Announcement, readAnnouncement } from '../../lib/history/announcement.js';
import { MemoryPresenceStore } from '../../lib/presence/memory-presence-store.js';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/protocol/events.js';
import { readEvent } from '../../lib/cluster/bus-input.js';
import type {
  AnnouncedChange,
  PresenceApplied,
  PresenceChange,
  PresenceSize,
  PresenceStore,
  UserChange,
} from '../../lib/presence/presence-store.js';
import { CHANGE_PRESENCE } from '../../lib/presence/presence-scripts.js';
import { PresenceUnavailableError } from '../../lib/presence/presence-errors.js';
import { RedisPresenceStore } from '../../lib/presence/redis-presence-store.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
/** More of them with PRESENCE_RUNS. */
const RUNS = Number(process.env['PRESENCE_RUNS'] ?? 30);

type Told = PresenceApplied & { joined: string[]; left: string[] };

/** One store under test. */
interface Subject {
  store: PresenceStore;
  /** What was announced, in order. */
  announced: { epoch: string; version: number; size: PresenceSize; changes: UserChange[] }[];
  /** The events of users, in order: `+ada`, `-ada`. */
  raised: string[];
  /** What was announced and raised before has arrived. */
  arrived(): Promise<unknown>;
  pass(ms: number): Promise<void>;
  stop(): Promise<void>;
}

const raisedAs = (event: string, userId: string): string => (event === Event.UserJoined ? '+' : '-') + userId;

function versionIn(said: Announcement | undefined): Subject['announced'][number] {
  if (said?.kind !== 'stored') throw new Error('Nobody can read what was announced');
  const [size, ...changes] = JSON.parse(said.frame) as AnnouncedChange;
  return { epoch: said.epoch, version: said.offset, size, changes };
}

async function memory(): Promise<Subject> {
  const announced: Subject['announced'] = [];
  const raised: string[] = [];
  let time = 1_000;
  const store = new MemoryPresenceStore({
    newEpoch: randomUUID,
    now: () => time,
    announce: (_room, said) => void announced.push(versionIn(said)),
    raise: (event, { userId }) => void raised.push(raisedAs(event, userId)),
  });
  return {
    store,
    announced,
    raised,
    arrived: async () => undefined,
    pass: async (ms) => void (time += ms),
    stop: async () => undefined,
  };
}

let server: TestRedis;

const foreignKeysOf = (connection: Redis): ForeignKeys =>
  new ForeignKeys(
    () => connection,
    (error) => {
      throw error;
    },
  );

async function redis(): Promise<Subject> {
  const announced: Subject['announced'] = [];
  const raised: string[] = [];
  const [connection, listener] = [new Redis(server.url), new Redis(server.url)];
  const prefix = randomUUID();
  const store = new RedisPresenceStore({
    connection: () => connection,
    foreign: foreignKeysOf(connection),
    prefix,
    channelOf: (room) => `${prefix}:{${room}}:c`,
    eventsChannel: () => `${prefix}:events`,
    newEpoch: randomUUID,
  });
  await until(() => connection.status === 'ready');
  await listener.psubscribe(`${prefix}:*`);
  listener.on('pmessage', (_pattern, channel: string, text: string) => {
    if (channel === `${prefix}:events`) {
      const { name, message } = readEvent(Buffer.from(text)) as { name: string; message: { userId: string } };
      return raised.push(raisedAs(name, message.userId));
    }
    return announced.push(versionIn(readAnnouncement(text, 'U')));
  });
  return {
    store,
    announced,
    raised,
    arrived: () => listener.ping(),
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
  ): Promise<Told> =>
    telling(() =>
      subject.store.apply(ROOM, { nodeId, number: ++number, epoch: undefined, isWhole: false, changes, ...more }),
    );
  const bury = (nodeId: string): Promise<Told> => telling(() => subject.store.bury(ROOM, nodeId));
  /** What was done, and what it raised. */
  const telling = async (work: () => Promise<PresenceApplied>): Promise<Told> => {
    const before = subject.raised.length;
    const applied = await work();
    await subject.arrived();
    const raised = subject.raised.slice(before);
    const of = (sign: string): string[] => raised.filter((one) => one.startsWith(sign)).map((one) => one.slice(1));
    return { ...applied, joined: of('+'), left: of('-') };
  };
  const users = async (): Promise<Record<string, [number, string]>> => {
    const read = await subject.store.read(ROOM);
    return Object.fromEntries(Array.from(read.users ?? [], ([id, { connections, data }]) => [id, [connections, data]]));
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
    await Promise.all([say('n1', [change('in', 'ada1')]), say('n2', [change('in', 'ada2')])]);
    expect(subject.raised).toEqual(['+ada']);
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

  it('whoever left and came back in one batch has said nothing of itself yet', async () => {
    await say('n1', [change('in', 'ada1', { data: '"before"' })]);
    expect(await say('n1', [change('again', 'ada1')])).toMatchObject({ version: 2, own: 1, joined: [], left: [] });
    expect(await users()).toEqual({ ada: [1, 'null'] });
    await say('n2', [change('in', 'ada2', { data: '"of another tab"' })]);
    await say('n1', [change('again', 'ada1')]);
    expect(await users()).toEqual({ ada: [2, '"of another tab"'] });
    await say('n1', [change('out', 'ada1'), change('in', 'ada3')]);
    await say('n2', [change('out', 'ada2'), change('again', 'bob1', { data: '1' })]);
    expect(await users()).toEqual({ ada: [1, '"of another tab"'], bob: [1, '1'] });
    expect((await heard(3)).slice(0, 2)).toEqual([[['ada', 1, 'before']], [['ada', 1, null]]]);
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
    await say('n1', [change('in', 'ada1'), change('in', 'bob1', { awayMs: 1_500 }), change('in', 'cyn1')]);
    await say('n2', [change('in', 'cyn2')]);
    expect(await bury('n1')).toMatchObject({ own: 1, left: ['ada'] });
    expect(await users()).toEqual({ bob: [1, 'null'], cyn: [1, 'null'] });
    await subject.pass(1_500);
    expect(await bury('n1')).toMatchObject({ own: 0, left: ['bob'] });
    expect(await subject.store.nodesIn(ROOM)).toEqual(['n2']);
    expect(await bury('n1')).toMatchObject({ own: 0, left: [] });
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
  });

  it('says how many users there are with each change, and leaves them out of what is read when they are too many', async () => {
    await say('n1', [change('in', 'ada1', { data: '"x"' }), change('in', 'bob1')]);
    await say('n1', [change('in', 'ada2')]);
    const { size } = await subject.store.read(ROOM);
    expect(size).toEqual({ users: 2, bytes: '"ada""x"'.length + '"bob"null'.length });
    expect((await subject.store.read(ROOM, size)).users?.size).toBe(2);
    expect(await subject.store.read(ROOM, { ...size, users: 1 })).toMatchObject({ size, users: undefined });
    expect(await subject.store.read(ROOM, { ...size, bytes: size.bytes - 1 })).toMatchObject({
      size,
      users: undefined,
    });
    await say('n1', [change('in', 'ada1', { data: '"longer"' }), change('out', 'ada2'), change('out', 'bob1')]);
    await say('n1', [change('out', 'ada1')]);
    await subject.arrived();
    expect(subject.announced.map((said) => said.size)).toEqual([
      size,
      size,
      { users: 1, bytes: '"ada""longer"'.length },
      { users: 0, bytes: 0 },
    ]);
  });

  it('finds the rooms in which a node has something else than it believes', async () => {
    const { epoch } = await say('n1', [change('in', 'ada1')]);
    await say('n2', [change('in', 'bob1')]);
    const believes = { room: ROOM, epoch, own: 1 };
    expect(await subject.store.check('n1', [believes], true)).toEqual({ doubtful: [], nodeIds: new Set(['n2']) });
    const others = [
      { ...believes, own: 2 },
      { ...believes, epoch: 'other' },
      { ...believes, room: 'other' },
    ];
    for (const other of others)
      expect((await subject.store.check('n1', [believes, other], false)).doubtful).toEqual([other.room]);
    const many = Array.from({ length: 300 }, () => believes);
    expect((await subject.store.check('n1', [...many, ...others], false)).doubtful).toHaveLength(3);
  });

  it('knows rooms apart, and answers for one nobody was in', async () => {
    await say('n1', [change('in', 'ada1')]);
    expect((await subject.store.read('other')).size).toEqual({ users: 0, bytes: 0 });
    const { epoch, offset } = await subject.store.top(ROOM);
    expect([epoch, offset]).toEqual([(await subject.store.read(ROOM)).epoch, 1]);
  });
});

(hasRedis() ? describe : describe.skip)('a presence store whose Redis', () => {
  it('doesn’t get an answer through raises its events all the same, once', async () => {
    server = await TestRedis.start();
    const proxy = await TcpProxy.start(server.port);
    const [connection, listener] = [new Redis(proxy.port, { maxRetriesPerRequest: 0 }), new Redis(server.port)];
    connection.on('error', () => undefined);
    try {
      const raised: string[] = [];
      listener.on('message', (_channel, text: string) => raised.push(text));
      await listener.subscribe('events');
      await until(() => connection.status === 'ready');
      const store = new RedisPresenceStore({
        connection: () => connection,
        foreign: foreignKeysOf(connection),
        prefix: 'lost',
        channelOf: () => 'channel',
        eventsChannel: () => 'events',
        newEpoch: randomUUID,
      });
      await store.read(ROOM); // Redis knows the script of the beginning, at least
      const enters = (number: number): Promise<PresenceApplied> =>
        store.apply(ROOM, {
          nodeId: 'n1',
          number,
          epoch: undefined,
          isWhole: false,
          changes: [{ kind: 'in', clientId: 'c1', userId: 'ada', data: undefined, dataAt: 0, awayMs: 0 }],
        });
      await connection.script('LOAD', CHANGE_PRESENCE.text);
      proxy.hold('down');
      const asked = enters(1);
      await until(() => raised.length === 1);
      proxy.reset();
      proxy.heal();
      await expect(asked).rejects.toThrow(PresenceUnavailableError);
      await until(() => connection.status === 'ready');
      await enters(2);
      await listener.ping();
      expect(raised).toEqual([`["${Event.UserJoined}",{"roomName":"${ROOM}","userId":"ada"}]`]);
    } finally {
      connection.disconnect();
      listener.disconnect();
      await proxy.stop();
      await server.stop();
    }
  });
});
