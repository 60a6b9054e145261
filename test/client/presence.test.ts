import { afterEach, describe, expect, it } from '@jest/globals';
import type { ClientRoom } from '../../lib/client/client-room.js';
import { WebSocketClient, type WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { Stopwatch } from '../support/stopwatch.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';
import { cleanUp, connect, type Frame, onCleanUp, type Peer, startServer, TestClient } from './support.js';

const ROOM = 'chat:1';

afterEach(cleanUp);

/** What the listeners of a room's presence were told, in order. */
function toldBy({ presence }: ClientRoom): string[] {
  const told: string[] = [];
  presence.on('joined', ({ userId }) => told.push(`+${userId}`));
  presence.on('updated', ({ userId, data }) => told.push(`~${userId} ${JSON.stringify(data)}`));
  presence.on('left', ({ userId }) => told.push(`-${userId}`));
  presence.on('synced', ({ total }) => told.push(`=${total}`));
  return told;
}

const user = (userId: string, data: unknown = null, connections = 1): object => ({ userId, data, connections });

describe('room.presence, of what a server says', () => {
  type Said = Record<string, unknown>;

  async function start(presence: Said | undefined): Promise<{
    client: TestClient;
    room: ClientRoom;
    told: string[];
    push: (said: Said) => Promise<void>;
    peer: () => Peer;
    next: () => Promise<void>;
    asked: Frame[];
    says: (presence: Said | undefined) => void;
    onJoin: (run: () => void) => void;
  }> {
    const server = await startServer();
    const { answer } = server;
    const asked: Frame[] = [];
    let said = presence;
    let beforeAnswer = (): void => undefined;
    server.answer = (frame, to) => {
      asked.push(frame);
      if (frame.action !== 'joinRoom') return answer(frame, to);
      beforeAnswer();
      return to.reply(frame, { success: true, data: { roomName: ROOM, ...(said && { presence: said }) } });
    };
    const { client, peer: first } = await connect(server);
    let peer = first;
    const room = client.room(ROOM, { presence: true, presenceData: { name: 'Me' } });
    const told = toldBy(room);
    return {
      client,
      room,
      told,
      asked,
      peer: () => peer,
      says: (next) => (said = next),
      onJoin: (run) => (beforeAnswer = run),
      async push(data) {
        peer.send({ type: 'system', action: 'presence', data: { roomName: ROOM, ...data } });
        await client.messages.take((message) => message.data.action === 'presence');
      },
      async next() {
        peer.socket.close(1012);
        peer = await server.peers.take();
        await until(() => room.state === 'live');
      },
    };
  }

  const SNAPSHOT = { epoch: 'e', version: 5, total: 2, users: [user('me'), user('ada', { name: 'Ada' })] };
  const push = (
    version: number,
    { joined = [], updated = [], left = [] }: Partial<Record<string, unknown[]>>,
  ): Said => ({
    epoch: 'e',
    version,
    total: 0,
    joined,
    updated,
    left,
  });

  it('asks for it, holds the whole, and follows the differences', async () => {
    const { room, told, push: pushed, asked } = await start(SNAPSHOT);
    expect([room.presence.size, room.presence.total, room.presence.isStale]).toEqual([0, 0, true]);
    await room.join({ username: 'Me' });
    expect(asked[0]?.data).toEqual({ roomName: ROOM, username: 'Me', presence: true, presenceData: { name: 'Me' } });
    expect(told).toEqual(['=2']);
    expect([...room.presence.keys()]).toEqual(['me', 'ada']);
    expect(room.presence.isStale).toBe(false);
    await pushed(push(9, { joined: [user('bob')], updated: [user('ada', { name: 'A.' })] }));
    await pushed(push(10, { left: ['bob', 'nobody'] }));
    expect(told).toEqual(['=2', '~ada {"name":"A."}', '+bob', '-bob']);
    expect([...room.presence.values()]).toEqual([user('me'), user('ada', { name: 'A.' })]);
    expect(room.presence.total).toBe(2);
  });

  it('P4: an entry that only counts other connections is told to nobody', async () => {
    const { room, told, push: pushed } = await start(SNAPSHOT);
    await room.join();
    await pushed(push(6, { updated: [user('ada', { name: 'Ada' }, 3)] }));
    expect(told).toEqual(['=2']);
    expect(room.presence.get('ada')?.connections).toBe(3);
  });

  it('takes nothing older than it has, nothing twice, and every epoch', async () => {
    const { room, told, push: pushed } = await start(SNAPSHOT);
    await room.join();
    await pushed(push(4, { left: ['ada'] }));
    await pushed(push(6, { joined: [user('bob')] }));
    await pushed(push(6, { joined: [user('bob')] }));
    await pushed({ ...push(1, { left: ['bob'] }), epoch: 'f' });
    expect(told).toEqual(['=2', '+bob', '-bob']);
  });

  it('keeps what it knew without a connection, marked stale, and tells the differences of the next', async () => {
    const { room, told, says, next, peer } = await start(SNAPSHOT);
    await room.join();
    says({ epoch: 'other', version: 1, total: 3, users: [user('me'), user('bob'), user('cy')] });
    const during: unknown[] = [];
    room.on('state', ({ state }) => during.push([state, room.presence.size, room.presence.isStale]));
    expect(peer().socket.readyState).toBe(1);
    await next();
    expect(during).toEqual([['suspended', 2, true], ['resuming', 2, true], ['live', 3, false]]); // prettier-ignore
    expect(told).toEqual(['=2', '-ada', '+bob', '+cy', '=3']);
  });

  it('holds only the number where only that is told, and the users again without calling them new', async () => {
    const { room, told, push: pushed } = await start(SNAPSHOT);
    await room.join();
    await pushed({ epoch: 'e', version: 300, total: 250 });
    expect([room.presence.size, room.presence.total]).toEqual([0, 250]);
    await pushed({ epoch: 'e', version: 301, total: 251 });
    await pushed({ epoch: 'e', version: 400, total: 2, users: [user('me'), user('zoe')] });
    await pushed(push(401, { joined: [user('ada')] }));
    expect(told).toEqual(['=2', '=250', '=251', '=2', '+ada']);
    expect(room.presence.total).toBe(3);
  });

  it('P10: takes ids such as __proto__ for names', async () => {
    const { room, told, push: pushed } = await start({ ...SNAPSHOT, users: [user('__proto__'), user('constructor')] });
    await room.join();
    await pushed(push(6, { joined: [user('toString')], left: ['__proto__'] }));
    expect([...room.presence.keys()]).toEqual(['constructor', 'toString']);
    expect(told).toEqual(['=2', '-__proto__', '+toString']);
  });

  it.each<[string, Said]>([
    ['lists that are none', { joined: 'x', updated: 5, left: null, users: {} }],
    ['users that are none', { joined: [null, 5, 'x', {}], updated: [[]], left: [7, null] }],
    ['nothing', {}],
  ])('is not broken by %s', async (_name, data) => {
    const { client, room, push: pushed } = await start(SNAPSHOT);
    await room.join();
    await pushed({ epoch: 'e', version: 6, ...data });
    await pushed(push(7, { joined: [user('bob')] }));
    expect(room.presence.get('bob')).toEqual(user('bob'));
    expect(client.state).toBe('open');
    expect(client.errors.all).toEqual([]);
  });

  it('is empty in a room without presence, and after the room was left', async () => {
    const { room, told, push: pushed, says } = await start(undefined);
    await room.join();
    await pushed(push(9, { joined: [user('bob')] }));
    expect([told, room.presence.size, room.presence.isStale]).toEqual([[], 0, true]);
    says(SNAPSHOT);
    await room.join();
    expect(room.presence.size).toBe(2);
    await room.leave();
    await pushed(push(9, { joined: [user('bob')] }));
    expect([told, room.presence.size, room.presence.total]).toEqual([['=2'], 0, 0]);
  });

  it('says what it says of itself with every join, and what changed meanwhile after it', async () => {
    const { room, asked, next, onJoin, peer } = await start(SNAPSHOT);
    await room.updatePresence({ name: 'early' });
    await room.join({ presenceData: { name: 'I' } });
    const update = room.updatePresence({ name: 'Myself' });
    const frame = await peer().next('system', 'updatePresence');
    expect(frame.data).toEqual({ roomName: ROOM, data: { name: 'Myself' } });
    peer().reply(frame, { success: true });
    await update;
    const refused = room.updatePresence('too long');
    peer().refuse(await peer().next('system', 'updatePresence'), 'PRESENCE_DATA_TOO_LARGE');
    await expect(refused).rejects.toMatchObject({ code: 'PRESENCE_DATA_TOO_LARGE' });
    onJoin(() => void room.updatePresence({ name: 'new' }));
    await next();
    const joins = asked.filter(({ action }) => action === 'joinRoom').map(({ data }) => (data as Said)['presenceData']);
    expect(joins).toEqual([{ name: 'I' }, { name: 'Myself' }]);
    expect((await peer().next('system', 'updatePresence')).data).toEqual({ roomName: ROOM, data: { name: 'new' } });
  });

  it('reports a listener that throws, and goes on', async () => {
    const { client, room, told, push: pushed } = await start(SNAPSHOT);
    const off = room.presence.on('joined', () => {
      throw new Error('Mine.');
    });
    await room.join();
    await pushed(push(6, { joined: [user('bob')] }));
    expect((await client.errors.take()).error.message).toBe('Mine.');
    off();
    await pushed(push(7, { joined: [user('cy')] }));
    expect(told).toEqual(['=2', '+bob', '+cy']);
    expect(client.errors.all).toHaveLength(1);
  });
});

const AUTH: WebSocketOptions['auth'] = {
  authenticate: ({ url = '' }: { url?: string }) => ({
    userId: new URL(url, 'ws://x').searchParams.get('user') ?? '',
    payload: {},
  }),
};

describe('room.presence, of a real server', () => {
  const start = async (options: WebSocketOptions = {}): Promise<RunningApp> => {
    const app = await startApp({
      options: { auth: AUTH, presence: [{ match: 'chat:*', coalesceMs: 5, graceMs: 3_000 }], ...options },
    });
    onCleanUp(() => app.close());
    return app;
  };
  const clientOf = async (port: number, name: string): Promise<WebSocketClient> => {
    const client = new WebSocketClient({
      url: `ws://127.0.0.1:${port}/ws?user=${name}`,
      reconnect: { minDelayMs: 1, maxDelayMs: 4 },
      events: { onError: () => undefined },
    });
    onCleanUp(() => client.disconnect());
    await client.connectToServer();
    return client;
  };
  const join = async (client: WebSocketClient, name: string): Promise<{ room: ClientRoom; told: string[] }> => {
    const room = client.room(ROOM, { presence: true, presenceData: { name } });
    const told = toldBy(room);
    await room.join();
    return { room, told };
  };
  /** Who joins just after another learns of it with its join or with the first push. From here on, `told` is what is new. */
  const knows = async ({ room, told }: { room: ClientRoom; told: string[] }, ...names: string[]): Promise<void> => {
    await until(() => String([...room.presence.keys()].toSorted()) === String(names));
    told.length = 0;
  };

  it('P1: tells of people, whatever tabs they have, and of a leave without the grace', async () => {
    const { port } = await start();
    const ada = await join(await clientOf(port, 'ada'), 'Ada');
    const bob = await clientOf(port, 'bob');
    const seen = await join(bob, 'Bob');
    await until(() => ada.told.includes('+bob'));
    expect(ada.room.presence.get('bob')).toMatchObject({ userId: 'bob', data: { name: 'Bob' } });
    await knows(seen, 'ada', 'bob');
    const second = await clientOf(port, 'bob');
    await join(second, 'Bob');
    await seen.room.updatePresence({ name: 'Bobby' });
    await until(() => ada.told.includes('~bob {"name":"Bobby"}'));
    bob.disconnect({ leave: true });
    const watch = new Stopwatch();
    second.disconnect({ leave: true });
    await until(() => ada.told.includes('-bob'));
    expect(watch.ms).toBeLessThan(2_500); // the grace is 3 s
    expect(ada.told).toEqual(['=1', '+bob', '~bob {"name":"Bobby"}', '-bob']);
    await ada.room.leave();
  });

  it('P3: a connection that breaks is seen by nobody, and sees nothing itself', async () => {
    const { port } = await start();
    const proxy = await TcpProxy.start(port);
    onCleanUp(() => proxy.stop());
    const ada = await join(await clientOf(port, 'ada'), 'Ada');
    const bob = await clientOf(proxy.port, 'bob');
    const seen = await join(bob, 'Bob');
    await until(() => ada.told.includes('+bob'));
    await knows(seen, 'ada', 'bob');
    for (let cut = 0; cut < 3; cut++) {
      const { clientId } = bob;
      proxy.reset();
      await until(() => bob.clientId !== undefined && bob.clientId !== clientId);
      await until(() => seen.room.state === 'live');
    }
    const cy = await clientOf(port, 'cy');
    await join(cy, 'Cy');
    await until(() => ada.told.includes('+cy') && seen.told.includes('+cy'));
    expect(ada.told).toEqual(['=1', '+bob', '+cy']);
    expect(seen.told).toEqual(['=2', '=2', '=2', '+cy']);
  });

  it('counts above the limit of the list, and lists again below it', async () => {
    const { port } = await start({ presence: [{ match: 'chat:*', coalesceMs: 5, maxUsers: 2 }] });
    const ada = await join(await clientOf(port, 'ada'), 'Ada');
    const others = await Promise.all(['bob', 'cy', 'dan'].map((name) => clientOf(port, name)));
    for (const other of others) await other.joinRoom(ROOM);
    await until(() => ada.room.presence.total === 4);
    expect(ada.room.presence.size).toBe(0);
    const late = await join(await clientOf(port, 'eve'), 'Eve');
    await until(() => late.room.presence.total === 5);
    expect(late.room.presence.size).toBe(0);
    for (const other of others) other.disconnect({ leave: true });
    await until(() => ada.room.presence.size === 2 && late.room.presence.size === 2);
    expect([...late.room.presence.keys()].toSorted()).toEqual(['ada', 'eve']);
    expect(ada.told.filter((what) => what.startsWith('-'))).toEqual([]);
  });

  it("tells only how many with presence: 'count'", async () => {
    const { port } = await start();
    const ada = await clientOf(port, 'ada');
    const room = ada.room(ROOM, { presence: 'count' });
    const told = toldBy(room);
    await room.join();
    await join(await clientOf(port, 'bob'), 'Bob');
    await until(() => room.presence.total === 2);
    expect([told.at(-1), room.presence.size]).toEqual(['=2', 0]);
    expect(told.filter((what) => !what.startsWith('='))).toEqual([]);
  });

  it('gives up a room whose server finds the data too long', async () => {
    const { port } = await start();
    const ada = await clientOf(port, 'ada');
    const room = ada.room(ROOM, { presence: true, presenceData: 'x'.repeat(2_000) });
    await expect(room.join()).rejects.toMatchObject({ code: 'PRESENCE_DATA_TOO_LARGE' });
    expect(room.state).toBe('idle');
  });

  (hasRedis() ? it : it.skip)('P3: a client that comes back on another node is seen by nobody', async () => {
    const redis = await TestRedis.start();
    onCleanUp(() => redis.stop());
    const options: WebSocketOptions = {
      redis: redis.url,
      presence: [{ match: 'chat:*', coalesceMs: 5, graceMs: 5_000 }],
    };
    const [one, two] = [await start(options), await start(options)];
    const proxy = await TcpProxy.start(one.port);
    onCleanUp(() => proxy.stop());
    const ada = await join(await clientOf(two.port, 'ada'), 'Ada');
    let port = proxy.port;
    const bob = new WebSocketClient({
      url: () => `ws://127.0.0.1:${port}/ws?user=bob`,
      reconnect: { minDelayMs: 1, maxDelayMs: 4 },
      events: { onError: () => undefined },
    });
    onCleanUp(() => bob.disconnect());
    await bob.connectToServer();
    const seen = await join(bob, 'Bob');
    await until(() => ada.told.includes('+bob'));
    await knows(seen, 'ada', 'bob');
    port = two.port;
    const { clientId } = bob;
    proxy.cut();
    await until(() => bob.clientId !== undefined && bob.clientId !== clientId && seen.room.state === 'live');
    await join(await clientOf(two.port, 'cy'), 'Cy');
    await until(() => ada.told.includes('+cy') && seen.told.includes('+cy'));
    expect(ada.told).toEqual(['=1', '+bob', '+cy']);
    expect(seen.told).toEqual(['=2', '+cy']);
  });
});
