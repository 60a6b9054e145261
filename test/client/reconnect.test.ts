import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { ConnectionError, RemoteError } from '../../lib/errors.js';
import {
  aMoment,
  answerEach,
  answerSystem,
  cleanUp,
  connect,
  onCleanUp,
  roomsAsked,
  startServer,
  TestClient,
} from './support.js';
import type { Peer, ScriptedServer } from './support.js';

afterEach(cleanUp);

const named = (frames: { type: string; action: string; data?: unknown }[], action: string): unknown[] =>
  frames.filter((frame) => frame.action === action).map((frame) => (frame.data as { roomName: string }).roomName);

describe('L6: reconnect', () => {
  it.each([4001, 4003, 4004, 4009, 4010, 4099])('L6: stops on %i', async (code) => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    peer.socket.close(code, 'go away');
    expect(await client.disconnected.take()).toEqual({
      clientId: 'client-1',
      code,
      reason: 'go away',
      willReconnect: false,
    });
    expect(client.state).toBe('closed');
    await aMoment();
    expect(server.peers.all).toHaveLength(1);
    expect(client.reconnecting.all).toEqual([]);
  });

  it.each([1000, 1001, 1011, 1012, 1013, 4100, 4108, 4200, 4201, 4210])('L6: comes back after %i', async (code) => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    peer.socket.close(code);
    expect(await client.disconnected.take()).toMatchObject({ code, willReconnect: true });
    await client.connected.take();
    await client.connected.take();
    expect(client.clientId).toBe('client-2');
    expect(client.stateNames).toEqual(['connecting', 'open', 'reconnecting', 'open']);
  });

  it('L6: comes back after a connection that broke without a word', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    peer.socket.terminate();
    expect(await client.disconnected.take()).toMatchObject({ code: 1006, willReconnect: true });
    await client.until('open');
  });

  it('L6: keeps trying while the server is away, and reports why each attempt failed', async () => {
    const server = await startServer();
    const { client } = await connect(server);
    await server.stop();
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const { delayMs } = await client.reconnecting.take((wait) => wait.attempt === attempt);
      expect(delayMs).toBeLessThanOrEqual(20);
    }
    const { error } = await client.errors.take();
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.message).toMatch(/ECONNREFUSED/);
    await server.listen(server.port);
    await client.until('open');
    expect(client.stateNames).toEqual(['connecting', 'open', 'reconnecting', 'open']);
  });

  it.each([401, 403, 404])(
    'L6: stops when the server itself refuses it for good with %i on the way back',
    async (status) => {
      const server = await startServer();
      const { client, peer } = await connect(server);
      server.refusal = { status, body: '{"code":"FORBIDDEN","error":"No."}' };
      peer.socket.terminate();
      await client.until('closed');
      expect((await client.errors.take()).error).toMatchObject({ status, advice: 'stop' });
      expect(client.disconnected.all).toHaveLength(1);
    },
  );

  it('L6: goes on after a temporary refusal', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    server.refusal = { status: 503 };
    peer.socket.terminate();
    await client.errors.take(({ error }) => (error as { status?: number }).status === 503);
    server.refusal = undefined;
    await client.until('open');
  });

  it('L6: stops after a final close code before the greeting', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    server.greet = (next) => next.socket.close(4001);
    peer.socket.terminate();
    await client.until('closed');
    expect((await client.errors.take()).error).toMatchObject({ closeCode: 4001 });
  });

  it('gives up after maxAttempts', async () => {
    const server = await startServer();
    const { client } = await connect(server, { reconnect: { minDelayMs: 1, maxDelayMs: 2, maxAttempts: 3 } });
    await server.stop();
    await client.until('closed');
    expect(client.reconnecting.all.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(client.errors.all).toHaveLength(3);
  });

  it('counts its attempts from 1 again when connectToServer() was called by hand', async () => {
    const server = await startServer();
    const { client } = await connect(server, { reconnect: { minDelayMs: 1, maxDelayMs: 2, maxAttempts: 3 } });
    await server.stop();
    await client.until('closed');
    await expect(client.connectToServer()).rejects.toThrow(ConnectionError);
    await server.listen(server.port);
    await client.connectToServer();
    await server.stop();
    await client.until('closed');
    expect(client.reconnecting.all.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 1, 2, 3]);
  });

  it('does not happen with reconnect: false', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { reconnect: false });
    peer.socket.close(1012);
    expect(await client.disconnected.take()).toMatchObject({ code: 1012, willReconnect: false });
    expect(client.state).toBe('closed');
  });

  it('does not follow a failed first connect', async () => {
    const server = await startServer();
    server.refusal = { status: 503 };
    const client = new TestClient({ url: server.url });
    await expect(client.connectToServer()).rejects.toThrow(/503/);
    await aMoment();
    expect(client.stateNames).toEqual(['connecting', 'closed']);
    expect(client.errors.all).toEqual([]);
  });

  it('goes on in the background after a failed first connect with reconnect.initial', async () => {
    const server = await startServer();
    server.refusal = { status: 503 };
    const reconnect = { minDelayMs: 5, maxDelayMs: 20, initial: true };
    const client = new TestClient({ url: server.url, reconnect });
    await expect(client.connectToServer()).rejects.toThrow(/503/);
    expect(client.state).toBe('reconnecting');
    server.refusal = undefined;
    await client.until('open');
  });

  it('tries now, not later, when connectToServer() is called while it waits', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { reconnect: { minDelayMs: 20_000, maxDelayMs: 20_000 } });
    peer.socket.terminate();
    await client.reconnecting.take();
    await client.connectToServer();
    expect(client.state).toBe('open');
  });

  it('may be started from within onDisconnected', async () => {
    const server = await startServer();
    const events = { onDisconnected: () => client.connectToServer() };
    const { client, peer } = await connect(server, { events });
    peer.socket.close(4010);
    await client.connected.take();
    await client.connected.take();
    expect(client.clientId).toBe('client-2');
  });

  it('gets no events of the old socket once there is a new one', async () => {
    const server = await startServer();
    const { client, peer: old } = await connect(server);
    client.disconnect();
    await client.connectToServer();
    old.send({ type: 'chat', action: 'said', data: 'from the past' });
    old.socket.close(4010);
    await old.closed;
    await aMoment();
    expect(client.state).toBe('open');
    expect(client.messages.all).toEqual([]);
    expect(client.disconnected.all).toHaveLength(1);
  });
});

describe('L6: rooms', () => {
  it('L6: are joined again before the connection is announced, in their order, with their details', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    await client.connected.take();
    await client.joinRoom('lobby', { username: 'Ada', userType: 'player', userId: 'u1' });
    await client.joinRoom('chess');
    await client.joinRoom('go');
    await client.leaveRoom('chess');
    await client.joinRoom('lobby', { username: 'Ada L.' });

    const joins: unknown[] = [];
    const announced: number[] = [];
    server.answer = (frame, to) => {
      joins.push(frame.data);
      announced.push(client.connected.all.length);
      answerSystem(frame, to);
    };
    peer.socket.close(1012);
    await client.connected.take();
    expect(joins).toEqual([{ rooms: [{ roomName: 'go' }, { roomName: 'lobby', username: 'Ada L.' }] }]);
    expect(announced).toEqual([1]);
    expect([...client.rooms]).toEqual(['go', 'lobby']);
  });

  it('L6: are all joined again even when there are more than a server takes at once', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    const names = Array.from({ length: 90 }, (_, index) => `room-${index}`);
    await Promise.all(names.map((name) => client.joinRoom(name)));
    // 30 a second and 60 at once is what a server takes by default.
    let taken = 0;
    const since = performance.now();
    server.answer = (frame, to) => {
      taken += 1;
      if (taken > 60 + (30 * (performance.now() - since)) / 1_000) to.refuse(frame, 'RATE_LIMITED');
      else answerSystem(frame, to);
    };
    peer.socket.terminate();
    await client.until('reconnecting');
    await client.until('open');
    const again = server.peers.all[1] as Peer;
    expect(roomsAsked(again.frames.all)).toEqual(names.map((roomName) => ({ roomName })));
    expect(taken).toBe(1);
  });

  it('L6: whose join is refused are forgotten and reported, and the connection stays', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    await client.joinRoom('lobby');
    await client.joinRoom('private:board');
    server.answer = (frame, to) =>
      answerEach(frame, to, (one, part) => {
        const { roomName } = one.data as { roomName: string };
        if (roomName === 'lobby') answerSystem(one, part);
        else part.refuse(one, 'ROOM_FORBIDDEN');
      });
    peer.socket.terminate();
    const { error } = await client.errors.take();
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({ code: 'ROOM_FORBIDDEN' });
    await client.until('open');
    expect([...client.rooms]).toEqual(['lobby']);
  });

  it('L6: whose join the server is too busy for are tried again', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    await client.joinRoom('lobby');
    let refusals = 0;
    server.answer = (frame, to) => {
      if (refusals > 0) return answerSystem(frame, to);
      refusals += 1;
      to.refuse(frame, 'RATE_LIMITED');
    };
    peer.socket.terminate();
    await client.until('reconnecting');
    await client.until('open');
    expect([...client.rooms]).toEqual(['lobby']);
    expect(client.errors.all).toEqual([]);
  });

  it('L6: that the server took the client out of stay left', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    await client.joinRoom('lobby');
    await client.joinRoom('chess');
    peer.send({ type: 'system', action: 'leftRoom', data: { roomName: 'lobby', reason: 'kicked' } });
    await client.messages.take();
    expect([...client.rooms]).toEqual(['chess']);
    peer.socket.terminate();
    await client.until('reconnecting');
    await client.until('open');
    expect(named((server.peers.all[1] as Peer).frames.all, 'joinRoom')).toEqual(['chess']);
  });

  it('resolve with what the server tells about them', async () => {
    const { client } = await connect(await startServer());
    expect(await client.joinRoom('lobby', { username: 'Ada' })).toEqual({
      roomName: 'lobby',
      username: 'Ada',
      members: 1,
    });
    expect([...client.rooms]).toEqual(['lobby']);
  });

  it('are not remembered when the server refuses, and not asked for under a bad name', async () => {
    const server = await startServer();
    const { client } = await connect(server);
    server.answer = (frame, peer) => peer.refuse(frame, 'ROOM_LIMIT');
    await expect(client.joinRoom('lobby')).rejects.toMatchObject({ code: 'ROOM_LIMIT' });
    await expect(client.joinRoom('a room ')).rejects.toMatchObject({ code: 'ROOM_NAME_INVALID' });
    await expect(client.leaveRoom('')).rejects.toMatchObject({ code: 'ROOM_NAME_INVALID' });
    expect(client.rooms.size).toBe(0);
  });

  it('can be left while there is no connection', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { reconnect: { minDelayMs: 1_000, maxDelayMs: 20_000 } });
    await client.joinRoom('lobby');
    peer.socket.terminate();
    await client.reconnecting.take();
    await client.leaveRoom('lobby');
    await client.connectToServer();
    expect((server.peers.all[1] as Peer).frames.all).toEqual([]);
  });

  it('are forgotten by a leave that overtakes the answer to the join', async () => {
    const server = await startServer();
    const { client } = await connect(server);
    await Promise.all([client.joinRoom('lobby'), client.leaveRoom('lobby')]);
    expect(client.rooms.size).toBe(0);
  });

  it('are forgotten by disconnect()', async () => {
    const { client } = await connect(await startServer());
    await client.joinRoom('lobby');
    client.disconnect();
    expect(client.rooms.size).toBe(0);
  });

  it('are forgotten by a lost connection when rejoinRooms is off', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { rejoinRooms: false });
    await client.joinRoom('lobby');
    peer.socket.terminate();
    await client.until('reconnecting');
    await client.until('open');
    expect(client.rooms.size).toBe(0);
  });

  it('can be joined by the joinRoom of onConnected, whose refusal goes to onError', async () => {
    const server = await startServer();
    const { client } = await connect(server);
    const { joinRoom } = await client.connected.take();
    joinRoom({ roomName: 'lobby', username: 'Ada' });
    joinRoom({ roomName: 'not a room ' });
    expect((await client.errors.take()).error).toMatchObject({ code: 'ROOM_NAME_INVALID' });
    await client.request('system', 'ping');
    expect([...client.rooms]).toEqual(['lobby']);
  });
});

describe('signs of life', () => {
  const eager = { pingIntervalMs: 20, pongTimeoutMs: 60 };
  /** Where the pongs do come: a busy machine mustn't be taken for a dead server. */
  const patient = { pingIntervalMs: 20, pongTimeoutMs: 1_000 };

  it('are requested at intervals', async () => {
    const { client, peer } = await connect(await startServer(), patient);
    for (let count = 0; count < 3; count += 1) await peer.next('system', 'ping');
    expect(client.state).toBe('open');
  });

  it('that fail to come end the connection with 4201, and the client comes back', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, eager);
    server.answer = () => undefined;
    expect(await client.disconnected.take()).toMatchObject({ code: 4201, willReconnect: true });
    expect((await peer.closed).code).toBe(4201);
    await client.until('open');
  });

  it('may be any frame at all, even a refusal or nonsense', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, patient);
    server.answer = (_frame, to) => to.socket.send('?');
    for (let count = 0; count < 2; count += 1) await peer.next('system', 'ping');
    server.answer = (frame, to) => to.refuse(frame, 'RATE_LIMITED');
    for (let count = 0; count < 3; count += 1) await peer.next('system', 'ping');
    expect(client.state).toBe('open');
  });

  it('may be a frame that comes within the millisecond of the ping', async () => {
    const server = await startServer();
    server.answer = (_frame, to) => to.socket.send('?');
    const { client, peer } = await connect(server, { pingIntervalMs: 10, pongTimeoutMs: 20 });
    for (let count = 0; count < 60; count += 1) await peer.next('system', 'ping');
    expect(client.state).toBe('open');
  });

  it('are not requested with pingIntervalMs: false, nor after disconnect()', async () => {
    const server = await startServer();
    const quiet = await connect(server, { pingIntervalMs: false });
    const gone = await connect(server, eager);
    gone.client.disconnect();
    await aMoment();
    expect(quiet.peer.frames.all).toEqual([]);
    expect(gone.peer.frames.all).toEqual([]);
  });

  it('leave no timer behind, however the connection ended', async () => {
    const set = jest.spyOn(globalThis, 'setInterval');
    const clear = jest.spyOn(globalThis, 'clearInterval');
    try {
      const server = await startServer();
      const { client, peer } = await connect(server, patient);
      peer.socket.terminate();
      await client.until('reconnecting');
      await client.until('open');
      client.disconnect();
      await new Promise(setImmediate); // they end with the turn
      expect(set).toHaveBeenCalledTimes(2);
      const cleared = clear.mock.calls.map(([timer]) => timer);
      for (const { value } of set.mock.results) expect(cleared).toContain(value);
    } finally {
      set.mockRestore();
      clear.mockRestore();
    }
  });

  it('notice a server whose connection went silent altogether', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, eager);
    const freeze = freezeNetwork(server, peer);
    onCleanUp(freeze.end);
    expect(await client.disconnected.take()).toMatchObject({ code: 4201 });
    await client.until('open');
    expect(server.peers.all.length).toBeGreaterThanOrEqual(2);
  });
});

/** The peer neither reads nor answers any more, not even a close frame. */
function freezeNetwork(server: ScriptedServer, peer: Peer): { end: () => void } {
  server.answer = (frame, to) => (to === peer ? undefined : answerSystem(frame, to));
  peer.socket.pause();
  return { end: () => peer.socket.terminate() };
}
