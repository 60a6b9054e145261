import { afterEach, describe, expect, it } from '@jest/globals';
import { ForbiddenException, ServiceUnavailableException } from '@nestjs/common';
import { WebSocketClientManager, type WebSocketOptions, WebSocketRoomManager } from '../../lib/index.js';
import { systemClock } from '../../lib/clock.js';
import { resolveOptions } from '../../lib/options/resolve-options.js';
import { Followed } from '../../lib/clients/followed.js';
import { JoinsUnderWay } from '../../lib/clients/joins-under-way.js';
import type { Joining } from '../../lib/clients/clients.js';
import { Membership } from '../../lib/clients/membership.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { until } from '../support/until.js';

type Authorize = NonNullable<NonNullable<WebSocketOptions['rooms']>['authorizeJoin']>;

let running: RunningApp;
afterEach(() => running.close());

const start = async (authorizeJoin?: Authorize, more: WebSocketOptions = {}): Promise<Peer> => {
  running = await startApp({
    options: { ...more, rooms: { ...more.rooms, ...(authorizeJoin && { authorizeJoin }) } },
  });
  return running.connect();
};

const roomsOf = (names: string[]): { roomName: string }[] => names.map((roomName) => ({ roomName }));

const joinAll = async (peer: Peer, rooms: unknown): Promise<Frame[]> => {
  peer.send('system', 'joinRooms', { rooms }, 'all');
  const frames: Frame[] = [];
  do frames.push(await peer.take(({ id }) => id === 'all'));
  while (frames.at(-1).more);
  return frames;
};

const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `room-${n}`);

describe('the greeting', () => {
  it('names the limits that a client must keep, and what the server can do', async () => {
    const peer = await start(undefined, { messages: { maxPayload: 10_000, maxDepth: 40 } });
    expect(peer.connected.data).toMatchObject({
      limits: { maxPayload: 10_000, maxDepth: 40 },
      features: ['joinRooms', 'session', 'keys'],
    });
  });
});

describe('system/joinRooms', () => {
  it('joins every room of one frame, a part for each, then done', async () => {
    const peer = await start();
    const frames = await joinAll(peer, [{ roomName: 'a', username: 'Ada' }, { roomName: 'b' }]);
    expect(frames).toEqual([
      { ...base, response: { roomName: 'a', success: true, data: { roomName: 'a', username: 'Ada' } }, more: true },
      { ...base, response: { roomName: 'b', success: true, data: { roomName: 'b' } }, more: true },
      { ...base, done: true },
    ]);
    expect(running.rooms.getClientRooms({ clientId: peer.clientId })).toEqual(['a', 'b']);
  });

  it('refuses single rooms with their codes and joins the others', async () => {
    const peer = await start(({ roomName }) => {
      if (roomName === 'closed') throw new ServiceUnavailableException('Later.');
      if (roomName === 'exclusive') throw new ForbiddenException({ message: 'Not you.', details: { level: 3 } });
      if (roomName === 'broken') throw new Error('the database is down');
      return roomName !== 'private:x';
    });
    const names = ['closed', 'private:x', 'fine', 'exclusive', 'broken'];
    const frames = await joinAll(peer, [...roomsOf(names), { roomName: '' }, null, 'text']);
    const codes = frames.slice(0, -1).map(({ response }) => [response.roomName, response.error?.code ?? true]);
    expect(new Map(codes as [string, unknown][])).toEqual(
      new Map<string | null, unknown>([
        ['closed', 'UNAVAILABLE'],
        ['private:x', 'ROOM_FORBIDDEN'],
        ['fine', true],
        ['exclusive', 'FORBIDDEN'],
        ['broken', 'INTERNAL'],
        ['', 'ROOM_NAME_INVALID'],
        [null, 'ROOM_NAME_INVALID'],
      ]),
    );
    expect(frames.find(({ response }) => response?.roomName === 'exclusive').response.error).toEqual({
      code: 'FORBIDDEN',
      error: 'Not you.',
      details: { level: 3 },
    });
    expect(JSON.stringify(frames)).not.toContain('database');
    expect(running.errors.map(({ message }) => message)).toEqual(['the database is down']);
    expect(running.rooms.getClientRooms({ clientId: peer.clientId })).toEqual(['fine']);
  });

  it('takes 100 rooms as one message of the rate, and no more than 100', async () => {
    const peer = await start(undefined, {
      limits: { messages: { perSecond: 1, burst: 2 } },
      rooms: { maxPerClient: 150 },
    });
    expect(await joinAll(peer, roomsOf(numbered(100)))).toHaveLength(101);
    expect(running.rooms.getClientRooms({ clientId: peer.clientId })).toHaveLength(100);
    const [refusal] = await joinAll(peer, roomsOf(numbered(101)));
    expect(refusal.data.code).toBe('BAD_REQUEST');
  });

  it.each([[undefined], [{}], ['rooms'], [{ length: 1 }]])('refuses %j as a list of rooms', async (rooms) => {
    const peer = await start();
    expect((await joinAll(peer, rooms))[0].data.code).toBe('BAD_REQUEST');
    expect((await joinAll(peer, []))[0].done).toBe(true);
  });

  it('asks authorizeJoin for eight rooms at a time, with the data of each', async () => {
    let open = 0;
    let most = 0;
    const asked: unknown[] = [];
    const peer = await start(async ({ data }) => {
      most = Math.max(most, ++open);
      asked.push(data);
      await new Promise((resolve) => setImmediate(resolve));
      open--;
      return true;
    });
    const rooms = numbered(30).map((roomName, n) => ({ roomName, userType: `t${n}` }));
    await joinAll(peer, rooms);
    expect(most).toBe(8);
    expect(asked).toEqual(rooms);
  });

  it('gives each room its own time and does not join one that was too late', async () => {
    let release!: (isAllowed: boolean) => void;
    const isReleased = new Promise<boolean>((resolve) => (release = resolve));
    const peer = await start(({ roomName }) => (roomName === 'slow' ? isReleased : true), {
      messages: { handlerTimeoutMs: 100 },
    });
    const frames = await joinAll(peer, roomsOf(['slow', 'a', 'b']));
    expect(frames.map(({ response, done }) => response?.error?.code ?? response?.roomName ?? done)).toEqual([
      'a',
      'b',
      'TIMEOUT',
      true,
    ]);
    release(true);
    await isReleased;
    await peer.settle();
    expect(running.rooms.getClientRooms({ clientId: peer.clientId })).toEqual(['a', 'b']);
    expect(running.errors).toEqual([]);
  });

  it('keeps to the limit of rooms though several join at the same time', async () => {
    const peer = await start(() => Promise.resolve(true), { rooms: { maxPerClient: 5 } });
    const frames = await joinAll(peer, roomsOf(numbered(12)));
    const results = frames.slice(0, -1).map(({ response }) => response.error?.code ?? 'joined');
    expect(results.filter((result) => result === 'joined')).toHaveLength(5);
    expect(results.filter((result) => result === 'ROOM_LIMIT')).toHaveLength(7);
    expect(running.rooms.getClientRooms({ clientId: peer.clientId })).toHaveLength(5);
  });

  it.each(['cancel', 'leave'])('stops asking and joining when the client does %s', async (how) => {
    const releases: ((isAllowed: boolean) => void)[] = [];
    const peer = await start(() => new Promise((resolve) => releases.push(resolve)));
    const { clientId } = peer;
    peer.send('system', 'joinRooms', { rooms: roomsOf(numbered(20)) }, 'all');
    await until(() => releases.length === 8);
    if (how === 'leave') {
      peer.terminate();
      await until(() => running.clients.getClient({ clientId }) === undefined);
    } else {
      peer.send('system', 'cancel', undefined, 'all');
      expect((await peer.take(({ id }) => id === 'all')).done).toBe(true);
    }
    for (const release of releases) release(true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(releases).toHaveLength(8);
    expect(running.rooms.rooms.size).toBe(0);
    expect(peer.received).toEqual([]);
    expect(running.errors).toEqual([]);
  });
});

const base = { type: 'system', action: 'joinRooms', id: 'all' };

describe('a join that is refused', () => {
  it('changes nothing of the client', async () => {
    const peer = await start(undefined, { rooms: { maxPerClient: 1 } });
    await peer.join('first', { username: 'Ada', userType: 'guest', userId: 'ada' });
    const { clientId } = peer;
    const before = { ...running.clients.getClient({ clientId }) };
    const request = { roomName: 'second', username: 'Bob', userType: 'admin', userId: 'bob' };
    expect((await peer.request('system', 'joinRoom', request)).data.code).toBe('ROOM_LIMIT');
    await expect(running.server.joinRoom({ clientId, ...request })).rejects.toMatchObject({ code: 'ROOM_LIMIT' });
    expect({ ...running.clients.getClient({ clientId }) }).toEqual({ ...before, lastActivity: expect.anything() });
    expect(running.clients.getUserClients({ userId: 'bob' })).toEqual([]);
    expect(running.rooms.getClientRooms({ clientId })).toEqual(['first']);
  });
});

describe('a join while the cluster can not subscribe to the room', () => {
  it('changes nothing of the client, and lets go of the room', async () => {
    running = await startApp();
    const rooms = new WebSocketRoomManager();
    const clients = new WebSocketClientManager();
    const client = clients.addClient({ clientId: 'c1', ws: null, lastActivity: 0 });
    const unfollowed: unknown[] = [];
    const followed = new Followed(
      {
        follow: () => Promise.reject(new Error('SUBSCRIBE failed')),
        unfollow: (interest) => unfollowed.push(interest),
      },
      systemClock,
      () => undefined,
    );
    const owner = {
      joins: new JoinsUnderWay(),
      checkJoin: (clientId: string, roomName: string) => rooms.checkJoin({ clientId, roomName }),
      join: (clientId: string, { roomName, user, metadata = {} }: Joining) => {
        clients.setUser({ clientId, user: user ?? null });
        for (const [key, data] of Object.entries(metadata)) clients.updateClient({ clientId, key, data });
        rooms.addClientToRoom({ clientId, roomName });
      },
    };
    const membership = new Membership(owner, followed, undefined, undefined, resolveOptions());
    const join = membership.join(client, { roomName: 'a', username: 'Ada', userId: 'ada' });
    await expect(join).rejects.toThrow('SUBSCRIBE failed');
    expect([client.user, client['username'], rooms.rooms.size]).toEqual([null, undefined, 0]);
    expect(unfollowed).toEqual([{ kind: 'room', name: 'a' }]);
  });
});
