import { afterEach, describe, expect, it } from '@jest/globals';
import type { ClientRoomState } from '../../lib/client/client-room.js';
import { aMoment, answerSystem, cleanUp, connect, type Frame, type Peer, startServer, TestClient } from './support.js';

afterEach(cleanUp);

const ROOM = 'chat:1';

/** Whether a server that got these frames has the client in the room. */
function isIn(peer: Peer): boolean {
  const last = peer.frames.all.findLast(({ type, action }) => type === 'system' && /Rooms?$/.test(action));
  return last !== undefined && last.action !== 'leaveRoom';
}

describe('A room that is joined while others are joined again', () => {
  it('is joined on the same connection', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    await client.joinRoom('chat:0');
    const held: [Frame, Peer][] = [];
    server.answer = (...asked) => void held.push(asked);
    peer.socket.terminate();
    const again = await server.peers.take();
    await again.next('system', 'joinRoom');
    const joined = client.room(ROOM).join();
    await again.next('system', 'joinRoom');
    for (const [frame, of] of held) answerSystem(frame, of);
    expect(await joined).toMatchObject({ roomName: ROOM });
    expect(client.room(ROOM).state).toBe('live');
  });

  it('loads its state when the connection is open', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    await client.joinRoom('chat:0');
    let release!: () => void;
    server.answer = (frame, of) => (release = () => answerSystem(frame, of));
    peer.socket.terminate();
    await (await server.peers.take()).next('system', 'joinRoom');
    const states: string[] = [];
    const loadState = (): { position: undefined } => {
      states.push(client.state);
      return { position: undefined };
    };
    const joined = client.room(ROOM, { loadState }).join();
    server.answer = answerSystem;
    release();
    expect(await joined).toMatchObject({ roomName: ROOM });
    expect(states).toEqual(['open']);
  });
});

describe('A listener of the state of a room', () => {
  const at = (client: TestClient, state: ClientRoomState, act: () => unknown): void => {
    const off = client.room(ROOM).on('state', (now) => {
      if (now.state !== state) return;
      off();
      act();
    });
  };

  it('C8: may leave it before the server is asked', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    const room = client.room(ROOM);
    at(client, 'joining', () => room.leave());
    expect(await room.join()).toEqual({ roomName: ROOM });
    await client.request('system', 'ping');
    expect(isIn(peer)).toBe(false);
    expect(room.state).toBe('left');
  });

  it('C8: may leave it, or another one, before it is joined again', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    const room = client.room(ROOM);
    await Promise.all([room.join(), client.joinRoom('chat:2'), client.joinRoom('chat:3')]);
    at(client, 'resuming', () => {
      void room.leave();
      void client.leaveRoom('chat:2');
    });
    peer.socket.terminate();
    const again = await server.peers.take();
    expect((await again.next('system', 'joinRoom')).data).toMatchObject({ roomName: 'chat:3' });
    await client.until('reconnecting');
    await client.until('open');
    await client.request('system', 'ping');
    expect([...client.rooms]).toEqual(['chat:3']);
    expect(room.state).toBe('left');
  });

  it('C8: may leave it when its place is not understood', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    const room = client.room(ROOM);
    await room.join();
    const tell = (epoch: string): void =>
      peer.send({ type: 'chat', action: 'said', at: { room: ROOM, epoch, offset: 1 } } as Frame);
    at(client, 'resuming', () => room.leave());
    tell('e1');
    tell('e2');
    await peer.next('system', 'leaveRoom');
    await aMoment(1_600); // it would be asked for again within 1.5 s
    expect(isIn(peer)).toBe(false);
  });

  it('C4: may disconnect before the server is asked', async () => {
    const { client } = await connect(await startServer());
    at(client, 'joining', () => client.disconnect());
    await expect(client.room(ROOM).join()).rejects.toThrow('disconnect() was called.');
  });

  it('C2: hears nothing more of it once it has left', async () => {
    const server = await startServer();
    server.answer = (frame, peer) => {
      if (frame.action !== 'joinRoom') return answerSystem(frame, peer);
      const history = { epoch: 'e1', offset: 1, recovered: true, missed: 0 };
      peer.reply(frame, { success: true, data: { roomName: ROOM, history } });
    };
    const { client } = await connect(server);
    const room = client.room(ROOM);
    const told: string[] = [];
    room.on('recovered', () => told.push('recovered'));
    at(client, 'live', () => room.leave());
    await room.join({ since: { epoch: 'e1', offset: 1 } });
    await client.request('system', 'ping');
    expect(told).toEqual([]);
  });
});

describe('An old handle of a room', () => {
  it('leaves nothing of the new one', async () => {
    const { client, peer } = await connect(await startServer());
    const old = client.room(ROOM);
    await old.join();
    await old.leave();
    const room = client.room(ROOM);
    await room.join();
    await old.leave();
    await client.request('system', 'ping');
    expect(isIn(peer)).toBe(true);
    expect([...client.rooms]).toEqual([ROOM]);
    expect(room.state).toBe('live');
  });
});

describe('A listener of who is in a room', () => {
  it.each(['synced', 'state'] as const)('may leave it at once: %s', async (event) => {
    const server = await startServer();
    const { answer } = server;
    const presence = { epoch: 'e', version: 1, total: 1, users: [{ userId: 'me', data: null, connections: 1 }] };
    server.answer = (frame, of) =>
      frame.action === 'joinRoom' ? of.reply(frame, { data: { roomName: ROOM, presence } }) : answer(frame, of);
    const { client, peer } = await connect(server);
    const room = client.room(ROOM, { presence: true });
    const states: string[] = [];
    room.on('state', ({ state }) => states.push(state));
    const leave = (): unknown => room.leave();
    if (event === 'synced') room.presence.on('synced', leave);
    else room.on('state', ({ state }) => state === 'live' && leave());
    expect(await room.join()).toEqual({ roomName: ROOM });
    await peer.next('system', 'leaveRoom');
    await client.request('system', 'ping');
    expect(states.at(-1)).toBe('left');
    expect(room.state).toBe('left');
    expect([...client.rooms]).toEqual([]);
    expect(isIn(peer)).toBe(false);
  });
});
