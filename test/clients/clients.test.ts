import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { WebSocket } from 'ws';
import { RemoteError, TimeoutError, WebSocketClientManager, WebSocketRoomManager } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';

describe('clients', () => {
  let running: RunningApp;
  let peer: Peer;
  beforeEach(async () => {
    running = await startApp({ options: { clientList: { enabled: true, minIntervalMs: 10 } } });
    peer = await running.connect();
  });
  afterEach(() => running.close());
  const socketOf = ({ clientId }: Peer): WebSocket => running.clients.getClient({ clientId })?.ws as WebSocket;

  it('finds a client by id and by socket', () => {
    const { clientId } = peer;
    const ws = socketOf(peer);
    expect(running.clients.getClientId({ ws })).toBe(clientId);
    expect(running.clients.getClient({ clientId })).toMatchObject({ clientId, user: null, roomName: null, rooms: [] });
    expect(running.clients.getClient({ clientId: 'nobody' })).toBeUndefined();
    running.clients.addClient({ clientId: 'remote', ws: null, lastActivity: 0 });
    expect(running.clients.getClient({ clientId: 'remote' })).toBeDefined();
    expect(running.clients.getClient({ clientId: 'remote', requireWs: true })).toBeUndefined();
  });

  it('filters clients by the type of their user', async () => {
    const admin = await running.connect();
    await admin.join('lobby', { userType: 'admin', username: 'Ada' });
    expect(running.server.getClients({ userType: 'admin' }).map(({ clientId }) => clientId)).toEqual([admin.clientId]);
    expect(running.server.getClients({ userType: 'ghost' })).toEqual([]);
    expect(running.server.getClients()).toHaveLength(2);
  });

  it('disconnects with code and reason, and forgets the client at once', async () => {
    const { clientId } = peer;
    await peer.join('lobby');
    running.clients.disconnectClient({ clientId, code: 4321, reason: 'because' });
    expect(running.clients.getClient({ clientId })).toBeUndefined();
    expect(running.server.rooms.size).toBe(0);
    expect(await peer.closed).toEqual({ code: 4321, reason: 'because' });
  });

  it('disconnects by id, with code and reason or the usual ones', async () => {
    running.clients.disconnectClient(peer.clientId, { code: 4321, reason: 'because' });
    expect(await peer.closed).toEqual({ code: 4321, reason: 'because' });
    const other = await running.connect();
    running.clients.disconnectClient(other.clientId);
    expect(await other.closed).toEqual({ code: 4010, reason: 'kicked' });
  });

  it('kicks with 4010 where no code that can be sent is given', async () => {
    running.clients.disconnectClient({ clientId: peer.clientId, code: 1006, reason: 'ü'.repeat(200) });
    const { code, reason } = await peer.closed;
    expect(code).toBe(4010);
    expect(reason).toBe('ü'.repeat(61));
  });

  it('asks a client and gets its answer, its error, or a timeout', async () => {
    const client = running.clients.getClient({ clientId: peer.clientId });
    if (!client) throw new Error('no client');
    const asked = client.request('quiz', 'question', { q: 1 });
    const { id, ...frame } = await peer.next('quiz', 'question');
    expect(frame).toEqual({ type: 'quiz', action: 'question', data: { q: 1 } });
    peer.sendRaw(JSON.stringify({ type: 'quiz', action: 'question', id, response: { a: 2 } }));
    expect(await asked).toEqual({ a: 2 });

    const refused = client.request('quiz', 'question');
    const second = await peer.next('quiz', 'question');
    const data = { error: 'No idea.', code: 'NOT_FOUND' };
    peer.sendRaw(JSON.stringify({ type: 'error', action: 'message', id: second.id, data }));
    await expect(refused).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'No idea.' });
    await expect(refused).rejects.toBeInstanceOf(RemoteError);

    await expect(client.request('quiz', 'question', 1, { timeoutMs: 20 })).rejects.toBeInstanceOf(TimeoutError);
    const lost = client.request('quiz', 'question');
    await peer.next('quiz', 'question');
    peer.terminate();
    await expect(lost).rejects.toMatchObject({ code: 'CONNECTION' });
    await expect(client.request('quiz', 'question')).rejects.toMatchObject({ code: 'CONNECTION' });
  });

  it('pushes the public client list when it changes, several changes at once', async () => {
    await peer.join('lobby', { username: 'Ada' });
    const list = await peer.take((frame) => frame.action === 'clientList' && frame.data.clients[0].username === 'Ada');
    expect(list.data).toEqual({
      event: expect.any(String),
      count: 1,
      clients: [{ clientId: peer.clientId, username: 'Ada', rooms: ['lobby'] }],
    });
    running.clients.broadcastClientList('custom');
    expect((await peer.take((frame) => frame.data?.event === 'custom')).action).toBe('clientList');
  });

  it('tells a client that the server took it out of a room', async () => {
    await peer.join('lobby');
    running.server.leaveRoom({ ws: socketOf(peer), roomName: 'lobby' });
    expect((await peer.next('system', 'leftRoom')).data).toEqual({ roomName: 'lobby', reason: 'removed' });
    await peer.join('lobby');
    const left = await peer.request('system', 'leaveRoom', { roomName: 'lobby' });
    expect(left.response).toEqual({ success: true, data: { roomName: 'lobby' } });
    await peer.settle();
    expect(peer.received.filter(({ action }) => action === 'leftRoom')).toEqual([]);
  });

  it('joins for server code, with the user that users.load finds', async () => {
    const loading = await startApp({
      options: {
        users: { load: async (userId) => Promise.resolve(userId === 5 ? { name: 'Five', role: 'x' } : null) },
      },
    });
    try {
      const five = await loading.connect();
      const ws = loading.clients.getClient({ clientId: five.clientId })?.ws as WebSocket;
      const joined = await loading.server.joinRoom({ ws, userId: 5, roomName: 'private:five', username: 'Fünf' });
      expect(joined).toBe(true);
      const client = loading.clients.getClient({ clientId: five.clientId });
      expect(client?.user).toEqual({ userId: 5, payload: { name: 'Five', role: 'x' } });
      expect(client?.roomName).toBe('private:five');
      await expect(loading.server.joinRoom({ ws, userId: 6, roomName: 'x' })).rejects.toMatchObject({
        code: 'NOT_FOUND',
      });
      five.terminate();
    } finally {
      await loading.close();
    }
  });
});

describe('rooms', () => {
  it('mirror each other, appear with their first and disappear with their last member', () => {
    const rooms = new WebSocketRoomManager();
    rooms.addClientToRoom({ clientId: 'a', roomName: 'red' });
    rooms.addClientToRoom({ clientId: 'a', roomName: 'blue' });
    rooms.addClientToRoom({ clientId: 'b', roomName: 'red' });
    expect(rooms.getRoomClients({ roomName: 'red' })).toEqual(['a', 'b']);
    expect(rooms.getClientRooms({ clientId: 'a' })).toEqual(['red', 'blue']);
    expect(rooms.isClientInRoom({ clientId: 'b', roomName: 'blue' })).toBe(false);
    rooms.removeClientFromRoom({ clientId: 'a', roomName: 'blue' });
    expect([...rooms.rooms.keys()]).toEqual(['red']);
    rooms.removeClientFromAllRooms({ clientId: 'a' });
    rooms.removeClientFromAllRooms({ clientId: 'b' });
    expect(rooms.rooms.size).toBe(0);
    rooms.addClientToRoom({ clientId: 'a', roomName: 'red' });
    rooms.printRooms();
    rooms.cleanup();
    expect(rooms.getClientRooms({ clientId: 'a' })).toEqual([]);
  });

  it('can be read as a map, which refuses to be changed', () => {
    const rooms = new WebSocketRoomManager();
    rooms.addClientToRoom({ clientId: 'a', roomName: 'red' });
    const red = rooms.rooms.get('red') as Set<string>;
    for (const change of [
      () => rooms.rooms.set('blue', new Set(['a'])),
      () => rooms.rooms.delete('red'),
      () => rooms.rooms.clear(),
      () => red.add('b'),
      () => red.delete('a'),
      () => red.clear(),
    ])
      expect(change).toThrow(/"rooms" can only be read/);
    expect(rooms.rooms).toEqual(new Map([['red', new Set(['a'])]]));
    rooms.addClientToRoom({ clientId: 'b', roomName: 'red' });
    expect([[...red], rooms.rooms.size]).toEqual([['a', 'b'], 1]);
  });

  it('are left by every client on cleanup(): nothing for the room reaches it any more', async () => {
    const running = await startApp();
    try {
      const peer = await running.connect();
      await peer.join('red');
      running.rooms.cleanup();
      expect((await peer.next('system', 'leftRoom')).data).toEqual({ roomName: 'red', reason: 'removed' });
      running.server.broadcastToRoom({ roomName: 'red', data: { type: 'news', action: 'flash' } });
      await peer.settle();
      expect(peer.received.filter(({ type }) => type === 'news')).toEqual([]);
      expect(running.clients.getClient(peer)?.rooms).toEqual([]);
    } finally {
      await running.close();
    }
  });

  it('get nothing for a client that cleanup() of the clients removed', async () => {
    const running = await startApp();
    try {
      const peer = await running.connect();
      await peer.join('red');
      running.clients.cleanup();
      running.server.broadcastToRoom({ roomName: 'red', data: { type: 'news', action: 'flash' } });
      await peer.settle();
      expect(peer.received.filter(({ type }) => type === 'news')).toEqual([]);
      expect([running.clients.size, running.server.rooms.size]).toEqual([0, 0]);
    } finally {
      await running.close();
    }
  });

  it('tell their listener, unless asked not to', () => {
    const told: string[] = [];
    const rooms = new WebSocketRoomManager({
      listener: {
        joined: (clientId, roomName) => told.push(`${clientId} joined ${roomName}`),
        left: (clientId, roomName, reason) => told.push(`${clientId} left ${roomName}: ${reason}`),
        changed: () => told.push('changed'),
      },
    });
    rooms.addClientToRoom({ clientId: 'a', roomName: 'red', broadcast: false });
    rooms.removeClientFromRoom({ clientId: 'a', roomName: 'red', broadcast: false });
    rooms.addClientToRoom({ clientId: 'a', roomName: 'red' });
    rooms.removeClientFromRoom({ clientId: 'a', roomName: 'red' });
    expect(told).toEqual([
      'a joined red',
      'a left red: removed',
      'a joined red',
      'changed',
      'a left red: removed',
      'changed',
    ]);
  });

  it('move a client with clientCanJoinMultipleRooms: false', async () => {
    const running = await startApp({ options: { rooms: { clientCanJoinMultipleRooms: false } } });
    try {
      const peer = await running.connect();
      await peer.join('red');
      await peer.join('blue');
      expect((await peer.next('system', 'leftRoom')).data).toEqual({ roomName: 'red', reason: 'moved' });
      expect([...running.server.rooms.keys()]).toEqual(['blue']);
    } finally {
      await running.close();
    }
  });

  it('that are private need authorizeJoin', async () => {
    const closed = await startApp();
    const open = await startApp({
      options: {
        rooms: { authorizeJoin: ({ roomName, data }) => roomName !== 'no' && (data as { key?: string }).key === 'k' },
      },
    });
    try {
      const refused = await closed.connect();
      for (const roomName of ['private:x', 'user:1', 'system:y']) {
        expect((await refused.request('system', 'joinRoom', { roomName })).data.code).toBe('ROOM_FORBIDDEN');
      }
      const peer = await open.connect();
      expect((await peer.request('system', 'joinRoom', { roomName: 'private:x', key: 'k' })).response.success).toBe(
        true,
      );
      expect((await peer.request('system', 'joinRoom', { roomName: 'private:x' })).data.code).toBe('ROOM_FORBIDDEN');
      expect((await peer.request('system', 'joinRoom', { roomName: 'no', key: 'k' })).data.code).toBe('ROOM_FORBIDDEN');
    } finally {
      await closed.close();
      await open.close();
    }
  });
});

describe('a client manager by hand', () => {
  it('replaces a client of the same id and forgets all on cleanup', () => {
    const clients = new WebSocketClientManager();
    clients.addClient({ clientId: 'a', ws: null, lastActivity: 1, user: { userId: 1, payload: {} } });
    clients.addClient({ clientId: 'a', ws: null, lastActivity: 2, user: { userId: 2, payload: {} } });
    expect(clients.getUserClients({ userId: 1 })).toEqual([]);
    expect(clients.getUserClients({ userId: '2' })).toHaveLength(1);
    clients.removeClient('a');
    clients.removeClient('a');
    clients.addClient({ clientId: 'b', ws: null, lastActivity: 1 });
    clients.cleanup();
    expect(clients.size).toBe(0);
  });
});
