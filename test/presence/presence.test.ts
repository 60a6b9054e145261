import { afterEach, describe, expect, it } from '@jest/globals';
import type { PresenceRuleOptions, WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const JOINED = 'WebSocket:UserJoined';
const LEFT = 'WebSocket:UserLeft';

let stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

interface Ground {
  nodes: RunningApp[];
  redis: TestRedis | undefined;
  /** What subscribers heard, by node. */
  heard: { channel: string; message: unknown }[][];
}

/** Users are who `?userId=` says. */
const options = (rule: Partial<PresenceRuleOptions>, more: WebSocketOptions = {}): WebSocketOptions => ({
  auth: {
    required: false,
    authenticate: ({ url = '' }: { url?: string }) => {
      const userId = new URL(url, 'ws://x').searchParams.get('userId');
      return userId === null ? null : { userId, payload: {} };
    },
  },
  presence: [{ match: 'chat:*', graceMs: 300, coalesceMs: 20, ...rule }],
  ...more,
});

async function startGround(
  kind: string,
  rule: Partial<PresenceRuleOptions> = {},
  more: WebSocketOptions = {},
): Promise<Ground> {
  const redis = kind === 'one process' ? undefined : await TestRedis.start();
  if (redis) stops.push(() => redis.stop());
  const ground: Ground = { nodes: [], redis, heard: [] };
  for (let n = 0; n < (redis ? 2 : 1); n++) {
    const heard: Ground['heard'][number] = [];
    const app = await startApp({
      options: options(rule, {
        ...more,
        ...(redis && { redis: redis.url }),
        subscriberEventHandler: ({ channel, message }) =>
          channel === JOINED || channel === LEFT ? heard.push({ channel, message }) : undefined,
      }),
    });
    stops.push(() => app.close());
    ground.nodes.push(app);
    ground.heard.push(heard);
  }
  return ground;
}

const first = ({ nodes }: Ground): RunningApp => nodes[0] as RunningApp;
const last = ({ nodes }: Ground): RunningApp => nodes.at(-1) as RunningApp;

const connectAs = (node: RunningApp, userId: string): Promise<Peer> =>
  node.connectTo(`${node.url}?userId=${encodeURIComponent(userId)}`);

async function join(
  node: RunningApp,
  userId: string,
  more: object = { presence: true },
): Promise<{ peer: Peer; seen: Frame }> {
  const peer = await connectAs(node, userId);
  const reply = await peer.join(ROOM, more);
  return { peer, seen: reply.response.data.presence };
}

const pushes = (peer: Peer): Frame[] =>
  peer.received.filter(({ type, action }) => type === 'system' && action === 'presence').map(({ data }) => data);

/** What a peer was told of users, in order, as `+ada`, `-ada`, `~ada`. */
const told = (peer: Peer): string[] =>
  pushes(peer).flatMap(({ joined = [], updated = [], left = [] }) => [
    ...joined.map(({ userId }: Frame) => `+${userId}`),
    ...updated.map(({ userId }: Frame) => `~${userId}`),
    ...left.map((userId: string) => `-${userId}`),
  ]);

const namesIn = (seen: Frame): string[] => seen.users.map(({ userId }: Frame) => userId).toSorted();
const present = async (node: RunningApp): Promise<string[]> =>
  (await node.service.presence(ROOM)).users.map(({ userId }) => userId).toSorted();
const events = (ground: Ground): string[][] =>
  ground.heard.map((heard) =>
    heard.map(({ channel, message }) => (channel === JOINED ? '+' : '-') + (message as { userId: string }).userId),
  );

describe.each(hasRedis() ? ['one process', 'two nodes on Redis'] : ['one process'])('presence in %s', (kind) => {
  it('P2: names in the reply to a join whoever has the reply to its own, and reads them', async () => {
    const ground = await startGround(kind, { coalesceMs: 10_000 });
    const users = ['ada', 'bob', 'cy', 'dee'];
    for (const [n, userId] of users.entries()) {
      const { seen } = await join(first(ground), userId);
      expect(namesIn(seen)).toEqual(users.slice(0, n + 1));
    }
    await join(first(ground), 'eve', {}); // hears nothing, but is there
    expect(await present(first(ground))).toEqual([...users, 'eve']);
  });

  (kind === 'one process' ? it.skip : it)(
    'P2: names them also while the store is slow, and waits for it only so long',
    async () => {
      const ground = await startGround(kind, { coalesceMs: 10_000 });
      const redis = ground.redis as TestRedis;
      await join(first(ground), 'ada');
      const [bob, cyn, dee] = await Promise.all(
        ['bob', 'cyn', 'dee'].map((userId) => connectAs(first(ground), userId)),
      );
      await present(first(ground)); // ada is stored
      await redis.run('CLIENT', 'PAUSE', '300', 'WRITE');
      await bob?.join(ROOM);
      const reply = await cyn?.join(ROOM, { presence: true });
      expect(namesIn(reply?.response.data.presence)).toEqual(['ada', 'bob', 'cyn']);
      redis.freeze();
      await bob?.request('system', 'leaveRoom', { roomName: ROOM });
      const late = await dee?.join(ROOM, { presence: true });
      redis.thaw();
      expect(namesIn(late?.response.data.presence)).toContain('dee');
    },
  );

  it('P1: tells members of a user once, with its first connection and without its last', async () => {
    const ground = await startGround(kind);
    const { peer: ada, seen } = await join(first(ground), 'ada');
    expect(seen).toEqual({
      epoch: expect.any(String),
      version: expect.any(Number),
      total: 1,
      users: [{ userId: 'ada', data: null, connections: 1 }],
    });
    const { peer: bob, seen: seenByBob } = await join(last(ground), 'bob');
    await until(() => told(ada).includes('+bob'));
    expect(namesIn(seenByBob)).toContain('bob');
    const { peer: again } = await join(first(ground), 'bob', {});
    await until(async () =>
      (await first(ground).service.presence(ROOM)).users.some(({ connections }) => connections === 2),
    );
    await bob.request('system', 'leaveRoom', { roomName: ROOM });
    await until(async () =>
      (await first(ground).service.presence(ROOM)).users.every(({ connections }) => connections === 1),
    );
    expect(told(ada)).toEqual(['+bob']);
    await again.request('system', 'leaveRoom', { roomName: ROOM });
    await until(() => told(ada).includes('-bob'));
    expect(told(ada)).toEqual(['+bob', '-bob']);
    expect(pushes(ada).at(-1)).toMatchObject({ roomName: ROOM, epoch: seen.epoch, total: 1, joined: [], updated: [] });
    expect(await present(last(ground))).toEqual(['ada']);
    for (const node of events(ground)) expect(node).toEqual(['+ada', '+bob', '-bob']);
  });

  it('P1: whoever joins isn’t told of itself', async () => {
    const ground = await startGround(kind);
    const peers = await Promise.all(
      ['ada', 'bob', 'cyn'].map((userId, at) => join(ground.nodes[at % ground.nodes.length] as RunningApp, userId)),
    );
    for (const { seen } of peers) expect(seen.users.length).toBe(new Set(namesIn(seen)).size);
    const all = ['ada', 'bob', 'cyn'];
    for (const [at, { peer, seen }] of peers.entries()) {
      const known = (): string[] => [...namesIn(seen), ...told(peer).map((text) => text.slice(1))].toSorted();
      await until(() => known().length >= 3);
      await peer.settle();
      expect(known()).toEqual(all);
      expect(told(peer)).not.toContain(`+${all[at]}`);
    }
  });

  it('counts the connection of a member once that asks later who is there', async () => {
    const ground = await startGround(kind);
    const { peer: ada } = await join(first(ground), 'ada');
    const { peer: bob } = await join(last(ground), 'bob', {});
    await until(() => told(ada).includes('+bob'));
    for (const presence of [true, false, true]) await bob.join(ROOM, { presence });
    const { response } = await bob.join(ROOM, { presence: true });
    const { users } = response.data.presence;
    expect(users.map(({ userId, connections }: Frame) => [userId, connections]).toSorted()).toEqual([
      ['ada', 1],
      ['bob', 1],
    ]);
  });

  it('P3: a reconnect within the grace is invisible, also to another node', async () => {
    const ground = await startGround(kind, { graceMs: 2_000 });
    const { peer: ada } = await join(first(ground), 'ada');
    const { peer: bob } = await join(first(ground), 'bob', { presenceData: { mood: 'fine' } });
    await until(() => told(ada).includes('+bob'));
    bob.terminate();
    const { peer: back, seen } = await join(last(ground), 'bob', { presence: true, presenceData: { mood: 'fine' } });
    expect(namesIn(seen)).toEqual(['ada', 'bob']);
    // The connection that ended goes after its grace, and nobody hears of it.
    await until(async () =>
      (await first(ground).service.presence(ROOM)).users.every(({ connections }) => connections === 1),
    );
    await ada.settle();
    expect(told(ada)).toEqual(['+bob']);
    back.terminate();
    await until(() => told(ada).includes('-bob'));
    for (const node of events(ground)) expect(node).toEqual(['+ada', '+bob', '-bob']);
  });

  it('P4: an update is an update, for others and for the user itself', async () => {
    const ground = await startGround(kind);
    const { peer: ada } = await join(first(ground), 'ada');
    const { peer: bob } = await join(last(ground), 'bob', { presence: true, presenceData: 1 });
    await until(() => told(ada).includes('+bob'));
    const reply = await bob.request('system', 'updatePresence', { roomName: ROOM, data: { typing: true } });
    expect(reply.response).toEqual({ success: true, data: { roomName: ROOM } });
    await until(() => told(ada).includes('~bob'));
    expect(pushes(ada).at(-1).updated).toEqual([{ userId: 'bob', data: { typing: true }, connections: 1 }]);
    expect(told(ada)).toEqual(['+bob', '~bob']);
    expect(events(ground)[0]).toEqual(['+ada', '+bob']);
  });

  it('forgets what a user said of itself when it leaves, also if it is back in the same moment', async () => {
    const ground = await startGround(kind);
    const { peer: ada } = await join(first(ground), 'ada');
    const { peer: bob } = await join(last(ground), 'bob', { presenceData: 'before' });
    await until(() => told(ada).includes('+bob'));
    for (let round = 0; round < 20; round++) {
      bob.send('system', 'updatePresence', { roomName: ROOM, data: round });
      bob.send('system', 'leaveRoom', { roomName: ROOM });
      await bob.join(ROOM);
      await until(async () => {
        const { users } = await first(ground).service.presence(ROOM);
        return users.find(({ userId }) => userId === 'bob')?.data === null;
      });
    }
  });

  it('P8: nobody hears of a room it isn’t in, or says anything of itself there', async () => {
    const ground = await startGround(
      kind,
      {},
      { rooms: { authorizeJoin: ({ client }) => client.user?.userId !== 'eve' } },
    );
    const { peer: ada } = await join(first(ground), 'ada');
    const eve = await connectAs(last(ground), 'eve');
    const refused = await eve.request('system', 'joinRoom', { roomName: ROOM, presence: true });
    expect(refused.data.code).toBe('ROOM_FORBIDDEN');
    const update = await eve.request('system', 'updatePresence', { roomName: ROOM, data: 1 });
    expect(update.data.code).toBe('NOT_IN_ROOM');
    const { peer: bob } = await join(last(ground), 'bob');
    await until(() => told(ada).includes('+bob'));
    await bob.request('system', 'leaveRoom', { roomName: ROOM });
    await until(() => told(ada).includes('-bob'));
    await ada.request('system', 'updatePresence', { roomName: ROOM, data: 1 });
    await until(() => told(ada).includes('~ada'));
    await bob.settle();
    expect(told(bob)).not.toContain('~ada');
    expect(pushes(eve)).toEqual([]);
  });

  it('refuses data above its limit, and what isn’t JSON stays out of it', async () => {
    const ground = await startGround(kind, { dataBytes: 10 });
    const { peer } = await join(first(ground), 'ada', { presence: true, presenceData: '12345678' });
    const long = await peer.request('system', 'updatePresence', { roomName: ROOM, data: '123456789' });
    expect(long.data.code).toBe('PRESENCE_DATA_TOO_LARGE');
    const other = await connectAs(first(ground), 'bob');
    const refused = await other.request('system', 'joinRoom', { roomName: ROOM, presenceData: 'é'.repeat(5) });
    expect(refused.data.code).toBe('PRESENCE_DATA_TOO_LARGE');
    expect(first(ground).rooms.getRoomClients({ roomName: ROOM })).toHaveLength(1);
  });

  it('tells only how many there are above maxUsers, and who again below it', async () => {
    const ground = await startGround(kind, { maxUsers: 2, graceMs: 0 });
    const { peer: ada } = await join(first(ground), 'ada');
    const { peer: counting, seen: count } = await join(first(ground), 'bob', { presence: 'count' });
    expect(Object.keys(count).toSorted()).toEqual(['epoch', 'total', 'version']);
    await until(() => told(ada).includes('+bob'));
    const { peer: cyn, seen } = await join(last(ground), 'cyn');
    await until(() => pushes(ada).at(-1)?.total === 3 && pushes(counting).at(-1)?.total === 3);
    expect(Object.keys(pushes(ada).at(-1)).toSorted()).toEqual(['epoch', 'roomName', 'total', 'version']);
    expect(seen.total).toBeGreaterThanOrEqual(1);
    cyn.terminate();
    await until(() => pushes(ada).at(-1)?.total === 2);
    expect(
      pushes(ada)
        .at(-1)
        .users.map(({ userId }: Frame) => userId),
    ).toEqual(['ada', 'bob']);
    await until(() => pushes(counting).at(-1)?.total === 2);
    expect(pushes(counting).every((push) => !('users' in push) && !('joined' in push))).toBe(true);
  });

  it('tells whoever only counts how many there are, also when as many came as left since the last push', async () => {
    const ground = await startGround(kind, { coalesceMs: 300 });
    const { peer: ada } = await join(first(ground), 'ada');
    const { peer: bob } = await join(first(ground), 'bob');
    await until(() => told(ada).includes('+bob'));
    const { peer: cyn, seen } = await join(first(ground), 'cyn', { presence: 'count' });
    expect(seen.total).toBe(3);
    await bob.request('system', 'leaveRoom', { roomName: ROOM });
    await until(() => told(ada).includes('-bob') && told(ada).includes('+cyn'));
    await until(() => pushes(cyn).at(-1)?.total === 2);
  });

  it('tells only how many there are above maxBytes, too', async () => {
    const ground = await startGround(kind, { maxBytes: 100, graceMs: 0 });
    const { peer: ada } = await join(first(ground), 'ada');
    const { peer: bob } = await join(last(ground), 'bob', { presence: true, presenceData: 'x'.repeat(100) });
    await until(() => pushes(ada).length > 0);
    expect(Object.keys(pushes(ada).at(-1)).toSorted()).toEqual(['epoch', 'roomName', 'total', 'version']);
    await bob.request('system', 'updatePresence', { roomName: ROOM, data: 'x' });
    await until(() => pushes(ada).at(-1)?.users?.length === 2);
    expect(pushes(ada).at(-1).users).toContainEqual({ userId: 'bob', data: 'x', connections: 1 });
  });

  it('says so where what users say of themselves becomes too much for a list', async () => {
    const ground = await startGround(kind, { maxBytes: 100, graceMs: 0 });
    const { peer: ada } = await join(first(ground), 'ada');
    const { peer: bob } = await join(last(ground), 'bob');
    await until(() => told(ada).includes('+bob'));
    await bob.request('system', 'updatePresence', { roomName: ROOM, data: 'x'.repeat(100) });
    const isCount = (push: Frame): boolean => Object.keys(push).toSorted().join() === 'epoch,roomName,total,version';
    await until(() => [ada, bob].every((peer) => isCount(pushes(peer).at(-1))));
    expect(pushes(ada).at(-1).total).toBe(2);
  });

  it('tells everybody at once only now and then while a room is on the edge of maxUsers', async () => {
    const ground = await startGround(kind, { maxUsers: 2, graceMs: 0 });
    const { peer: ada } = await join(first(ground), 'ada');
    await join(first(ground), 'bob');
    for (let round = 0; round < 3; round++) {
      const { peer: cyn } = await join(last(ground), 'cyn', {});
      await until(() => pushes(ada).at(-1)?.total === 3);
      cyn.terminate();
      await until(() => pushes(ada).at(-1)?.total === 2);
    }
    expect(pushes(ada).filter(({ users }) => users)).toHaveLength(1);
    await until(() => pushes(ada).filter(({ users }) => users).length === 2);
    const again = pushes(ada).at(-1);
    expect(namesIn(again)).toEqual(['ada', 'bob']);
  });

  it('keeps no list of a crowd, and joins it without reading one', async () => {
    const ground = await startGround(kind, { maxUsers: 3, graceMs: 0 });
    const { peer: ada } = await join(first(ground), 'ada');
    const others = await Promise.all(
      Array.from({ length: 6 }, (_, at) => join(at % 2 ? first(ground) : last(ground), `u${at}`)),
    );
    await until(() => [ada, ...others.map(({ peer }) => peer)].every((peer) => pushes(peer).at(-1)?.total === 7));
    const { peer: late, seen } = await join(last(ground), 'late');
    expect(Object.keys(seen).toSorted()).toEqual(['epoch', 'total', 'version']);
    await until(() => pushes(ada).at(-1)?.total === 8);
    for (const { peer } of others.slice(0, 5)) peer.terminate();
    await until(() => pushes(late).at(-1)?.total === 3);
    await until(() => pushes(late).some(({ users }) => users) && pushes(ada).some(({ users }) => users));
    for (const peer of [ada, late])
      expect(
        pushes(peer)
          .findLast(({ users }) => users)
          .users.map(({ userId }: Frame) => userId)
          .toSorted(),
      ).toEqual(['ada', 'late', 'u5']);
  });

  it('ends the grace of a user that is kicked', async () => {
    const ground = await startGround(kind, { graceMs: 60_000 });
    const { peer: ada } = await join(first(ground), 'ada');
    const { peer: bob } = await join(last(ground), 'bob');
    await until(() => told(ada).includes('+bob'));
    bob.terminate();
    await until(() => last(ground).clients.size < 2);
    await first(ground).service.disconnectUser('bob');
    await until(() => told(ada).includes('-bob'));
  });

  it('starts no grace for a kick, a leave and disconnect({ leave: true })', async () => {
    const ground = await startGround(kind, { graceMs: 60_000 });
    const { peer: ada } = await join(first(ground), 'ada');
    const others = await Promise.all(['bob', 'cyn', 'dan', 'eve'].map((userId) => join(last(ground), userId)));
    const [bob, cyn, dan, eve] = others.map(({ peer }) => peer) as [Peer, Peer, Peer, Peer];
    await until(() => told(ada).length === 4);
    await bob.request('system', 'leaveRoom', { roomName: ROOM });
    await first(ground).service.disconnectClient(cyn.clientId, { code: 4500 });
    dan.ws.close(1000, 'leave');
    first(ground).server.leaveRoom({ clientId: eve.clientId, roomName: ROOM });
    await until(() => told(ada).length === 8);
    expect(told(ada).slice(4).toSorted()).toEqual(['-bob', '-cyn', '-dan', '-eve']);
  });

  it('P10: user ids such as __proto__ are names like any other', async () => {
    const ground = await startGround(kind);
    const { peer: ada } = await join(first(ground), 'ada');
    const names = ['__proto__', 'constructor', 'a b', '{}', 'é"\n'];
    for (const name of names) await join(last(ground), name);
    await until(() => told(ada).length === names.length);
    expect(told(ada).toSorted()).toEqual(names.map((name) => `+${name}`).toSorted());
    expect(await present(first(ground))).toEqual(['ada', ...names].toSorted());
  });

  it('an anonymous connection is a user of its own, whatever it claims', async () => {
    const ground = await startGround(kind);
    const { peer: ada } = await join(first(ground), 'ada');
    const somebody = await last(ground).connect();
    await somebody.join(ROOM, { presence: true, userId: 'ada' });
    await until(() => told(ada).length === 1);
    expect(told(ada)).toEqual([`+${somebody.clientId}`]);
  });

  it('joins several rooms with presence in one frame', async () => {
    const ground = await startGround(kind);
    const peer = await connectAs(first(ground), 'ada');
    peer.send(
      'system',
      'joinRooms',
      {
        rooms: [
          { roomName: 'chat:1', presence: true },
          { roomName: 'other', presence: true },
        ],
      },
      'j',
    );
    const parts = [
      await peer.take(({ id, more }) => id === 'j' && more),
      await peer.take(({ id, more }) => id === 'j' && more),
    ];
    await peer.take(({ id, done }) => id === 'j' && done);
    const of = (name: string): Frame => parts.find(({ response }) => response.roomName === name).response.data;
    expect(namesIn(of('chat:1').presence)).toEqual(['ada']);
    expect(of('other')).toEqual({ roomName: 'other', userId: 'ada' });
  });
});
