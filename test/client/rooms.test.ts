import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { ClientRoom } from '../../lib/client/client-room.js';
import { until } from '../support/until.js';
import { aMoment, answerSystem, cleanUp, connect, deferred, roomsAsked, startServer, TestClient } from './support.js';
import type { Frame, Peer, ScriptedServer } from './support.js';

afterEach(cleanUp);

const ROOM = 'chat:1';

/** A server with one room that keeps what is published; a test moves its top, or begins its epoch anew. */
class Kept {
  epoch = 'e1';
  offset = 0;

  constructor(readonly server: ScriptedServer) {
    server.answer = (frame, peer) => this.answer(frame, peer);
  }

  answer(frame: Frame, peer: Peer): void {
    if (frame.action !== 'joinRoom') return answerSystem(frame, peer);
    const { since } = frame.data as { since?: { epoch: string; offset: number } };
    const { epoch, offset } = this;
    const isKnown = since?.epoch === epoch;
    const recovered = since && { recovered: isKnown, ...(!isKnown && { reason: 'other-epoch' }) };
    const missed = since && isKnown ? offset - since.offset : 0;
    peer.reply(frame, { success: true, data: { roomName: ROOM, history: { epoch, offset, ...recovered, missed } } });
    for (let at = offset - missed + 1; at <= offset; at++) this.send(peer, at);
  }

  send(peer: Peer, offset: number, epoch = this.epoch): void {
    const at = { room: ROOM, epoch, offset };
    peer.send({ type: 'chat', action: 'said', data: { n: offset }, at } as Frame);
  }

  publish(peer: Peer): void {
    this.send(peer, ++this.offset);
  }

  begin(epoch: string): void {
    this.epoch = epoch;
    this.offset = 0;
  }
}

async function inRoom(options: Parameters<TestClient['room']>[1] = {}): Promise<{
  client: TestClient;
  room: ClientRoom;
  kept: Kept;
  peer: Peer;
  seen: number[];
  states: string[];
}> {
  const server = await startServer();
  const kept = new Kept(server);
  const { client, peer } = await connect(server);
  const room = client.room(ROOM, options);
  const seen: number[] = [];
  const states: string[] = [];
  room.on('message', (data) => void seen.push((data as { n: number }).n));
  room.on('state', ({ state }) => void states.push(state));
  return { client, room, kept, peer, seen, states };
}

const again = async (client: TestClient, peer: Peer, server: ScriptedServer): Promise<Peer> => {
  peer.socket.terminate();
  await client.until('reconnecting');
  await client.until('open');
  return server.peers.all.at(-1) as Peer;
};

describe('a room of a client', () => {
  it('goes from idle to live, over a reconnect, and to left', async () => {
    const { client, room, kept, peer, seen, states } = await inRoom();
    expect([room.name, room.state, room.position]).toEqual([ROOM, 'idle', undefined]);
    expect(await room.join({ username: 'Ada' })).toMatchObject({ roomName: ROOM, history: { epoch: 'e1', offset: 0 } });
    kept.publish(peer);
    await until(() => seen.length === 1);
    expect(room.position).toEqual({ epoch: 'e1', offset: 1 });
    kept.offset = 3;
    const next = await again(client, peer, kept.server);
    await until(() => seen.length === 3);
    expect(next.frames.all).toMatchObject([
      { action: 'joinRoom', data: { roomName: ROOM, username: 'Ada', since: { epoch: 'e1', offset: 1 } } },
    ]);
    await room.leave();
    expect(seen).toEqual([1, 2, 3]);
    expect(states).toEqual(['joining', 'live', 'suspended', 'resuming', 'live', 'left']);
    expect([client.rooms.size, room.position]).toEqual([0, undefined]);
  });

  it('is the same handle until it is left, and can be joined again by the old one', async () => {
    const { client, room } = await inRoom();
    expect(client.room(ROOM)).toBe(room);
    await client.joinRoom(ROOM);
    expect(room.state).toBe('live');
    await room.leave();
    await room.join();
    expect(client.room(ROOM)).toBe(room);
    await room.leave();
    const newer = client.room(ROOM);
    await newer.join();
    await expect(room.join()).rejects.toMatchObject({ code: 'INVALID_STATE' });
  });

  it('may be joined before there is a connection', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url });
    const room = client.room('lobby');
    const joined = room.join();
    await client.connectToServer();
    expect(await joined).toMatchObject({ roomName: 'lobby' });
    expect(roomsAsked((await server.peers.take()).frames.all)).toEqual([{ roomName: 'lobby' }]);
    await expect(new TestClient({ url: server.url }).joinRoom('lobby')).rejects.toMatchObject({ code: 'CONNECTION' });
  });

  it('is joined by the next connection when the first is lost before the answer', async () => {
    const { client, room, kept, peer } = await inRoom();
    kept.server.answer = () => undefined;
    const joined = room.join();
    await peer.next('system', 'joinRoom');
    kept.server.answer = (frame, to) => kept.answer(frame, to);
    await again(client, peer, kept.server);
    expect(await joined).toMatchObject({ roomName: ROOM });
    expect(room.state).toBe('live');
  });

  it('rejects join() where the server refuses for good, and tries again otherwise', async () => {
    const { room, kept } = await inRoom();
    kept.server.answer = (frame, to) => to.refuse(frame, 'ROOM_FORBIDDEN');
    await expect(room.join()).rejects.toMatchObject({ code: 'ROOM_FORBIDDEN' });
    expect(room.state).toBe('idle');
    let tries = 0;
    kept.server.answer = (frame, to) => (++tries === 1 ? to.refuse(frame, 'UNAVAILABLE') : kept.answer(frame, to));
    await room.join();
    expect([tries, room.state]).toEqual([2, 'live']);
  });

  it('publishes by system/publish and hears what others publish, with or without a place', async () => {
    const { room, kept, peer } = await inRoom();
    const heard: unknown[] = [];
    room.on('message', (data, { message, at }) => void heard.push([data, message.action, at.offset]));
    await room.join();
    kept.server.answer = (frame, to) =>
      to.reply(frame, { success: true, data: { roomName: ROOM, ...(frame.data as object) } });
    expect(await room.publish({ text: 'hi' }, { key: 'k1' })).toMatchObject({ data: { text: 'hi' }, key: 'k1' });
    peer.send({ type: 'system', action: 'publication', data: 'plain', at: { room: ROOM } } as Frame);
    kept.publish(peer);
    await until(() => heard.length === 2);
    expect(heard).toEqual([
      ['plain', 'publication', undefined],
      [{ n: 1 }, 'said', 1],
    ]);
  });

  it('reports a listener that throws, and calls the others', async () => {
    const { client, room, kept, peer, seen } = await inRoom();
    room.on('message', () => {
      throw new Error('mine');
    });
    await room.join();
    kept.publish(peer);
    expect((await client.errors.take()).error.message).toBe('mine');
    expect(seen).toEqual([1]);
  });
});

describe('what a client promises of its rooms', () => {
  it('C1: moves the position before a handler is called, so one that throws repeats nothing', async () => {
    const { client, room, kept, peer, seen } = await inRoom();
    client.on('chat', 'said', () => {
      expect(room.position).toEqual({ epoch: 'e1', offset: kept.offset });
      throw new Error('a bug');
    });
    await room.join();
    kept.publish(peer);
    await client.errors.take();
    const next = await again(client, peer, kept.server);
    expect(next.frames.all).toMatchObject([{ data: { since: { epoch: 'e1', offset: 1 } } }]);
    expect(seen).toEqual([1]);
    expect(client.errors.all).toHaveLength(1);
  });

  it('C2: delivers nothing of a room that was left, before its leave is answered or after', async () => {
    const { client, room, kept, peer, seen } = await inRoom();
    await room.join();
    kept.server.answer = () => undefined; // the answer comes late
    const left = room.leave();
    const asked = await peer.next('system', 'leaveRoom');
    kept.publish(peer);
    const rejoined = room.join();
    kept.publish(peer); // still of before
    peer.reply(asked, { success: true });
    await left;
    kept.answer(peer.frames.all.at(-1) as Frame, peer);
    await rejoined;
    expect(seen).toEqual([]);
    expect(client.messages.all).toEqual([]);
  });

  it('C2: delivers what comes after a new join, even if the leave before was never answered', async () => {
    const { room, kept, peer, seen } = await inRoom();
    await room.join();
    kept.server.answer = (frame, to) => {
      if (frame.action !== 'leaveRoom') kept.answer(frame, to);
    };
    const left = room.leave();
    left.catch(() => undefined);
    await room.join();
    kept.publish(peer);
    await until(() => seen.length === 1);
    expect(seen).toEqual([1]);
  });

  it('C2: delivers nothing of a connection that has ended', async () => {
    const { client, room, kept, peer, seen } = await inRoom();
    await room.join();
    const before = client.messages.all.length;
    const ended = client.reconnect();
    kept.publish(peer);
    kept.publish(peer);
    await ended;
    await until(() => seen.length === 2); // by the resume
    expect(seen).toEqual([1, 2]);
    expect(client.messages.all).toHaveLength(before + 2);
  });

  it('C3: reports another epoch without a reset, leaves it out, and asks the server', async () => {
    const { client, room, kept, peer, seen, states } = await inRoom();
    await room.join();
    kept.publish(peer);
    await until(() => seen.length === 1);
    kept.send(peer, 7, 'e2');
    expect((await client.errors.take()).error).toMatchObject({ code: 'BAD_FRAME' });
    expect(room.position).toEqual({ epoch: 'e1', offset: 1 });
    await until(() => states.at(-1) === 'live');
    kept.publish(peer);
    await until(() => seen.length === 2);
    expect(seen).toEqual([1, 2]);
    expect(states).toEqual(['joining', 'live', 'resuming', 'live']);
  });

  it('C3: takes epoch and offset together from a reset', async () => {
    const { room, kept, peer, seen } = await inRoom();
    const resets: unknown[] = [];
    room.on('reset', (params) => void resets.push(params));
    await room.join();
    kept.publish(peer);
    kept.begin('e2');
    const data = { roomName: ROOM, epoch: 'e2', offset: 0, reason: 'restart', withinMs: 0 };
    peer.send({ type: 'system', action: 'roomReset', data });
    kept.publish(peer);
    await until(() => seen.length === 2);
    expect(room.position).toEqual({ epoch: 'e2', offset: 1 });
    const position = { epoch: 'e2', offset: 0 };
    expect(resets).toEqual([{ roomName: ROOM, reason: 'restart', position, withinMs: 0 }]);
  });

  it('spreads its loads over 30 s at most, whatever the server says', async () => {
    const { room, kept, peer } = await inRoom();
    const times: unknown[] = [];
    room.on('reset', ({ withinMs }) => void times.push(withinMs));
    await room.join();
    kept.begin('e2');
    for (const withinMs of ['1e300', '1e999', '-5', '"7"', '2.5'])
      peer.socket.send(
        `{"type":"system","action":"roomReset","data":{"roomName":"${ROOM}","epoch":"e2","offset":0,"withinMs":${withinMs}}}`,
      );
    await until(() => times.length === 5);
    expect(times).toEqual([30_000, 30_000, 0, 0, 2.5]);
  });

  it('C8: leaves a room whose join is not answered yet', async () => {
    const { client, room, kept, peer, seen } = await inRoom();
    kept.server.answer = () => undefined;
    const joined = room.join();
    const asked = await peer.next('system', 'joinRoom');
    const left = room.leave();
    await peer.next('system', 'leaveRoom');
    kept.answer(asked, peer);
    kept.publish(peer);
    await joined;
    answerSystem(peer.frames.all.at(-1) as Frame, peer);
    await left;
    expect([room.state, room.position, client.rooms.size, seen.length]).toEqual(['left', undefined, 0, 0]);
    kept.server.answer = (frame, to) => kept.answer(frame, to);
    expect((await again(client, peer, kept.server)).frames.all).toEqual([]);
  });

  it('C8: says that it left until the server has heard it', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { requestTimeoutMs: 50 });
    await client.joinRoom('a');
    server.answer = () => undefined;
    const left = client.leaveRoom('a');
    peer.refuse(await peer.next('system', 'leaveRoom'), 'RATE_LIMITED');
    await peer.next('system', 'leaveRoom'); // no answer in time
    const asked = await peer.next('system', 'leaveRoom');
    const seen = jest.fn();
    client.on('chat', 'said', seen);
    peer.send({ type: 'chat', action: 'said', at: { room: 'a' } } as Frame);
    answerSystem(asked, peer);
    await left;
    expect(seen).not.toHaveBeenCalled();
    await aMoment(20);
    expect(peer.frames.all.filter(({ action }) => action === 'leaveRoom')).toHaveLength(3);
  });

  it('C8: leaves where its join was not answered in time', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { requestTimeoutMs: 50 });
    server.answer = () => undefined;
    await expect(client.joinRoom('a')).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(await peer.next('system', 'leaveRoom')).toMatchObject({ data: { roomName: 'a' } });
  });

  it('C8: leaves a room that an earlier join brings back while a later one waits', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    server.answer = () => undefined;
    const name = 'room-9';
    const join = (room: string): void =>
      void client
        .room(room)
        .join()
        .catch(() => undefined);
    for (let n = 0; n < 10; n++) join(`room-${n}`);
    answerSystem(await peer.frames.take(({ action }) => action === 'joinRoom'), peer);
    const batch = await peer.next('system', 'joinRooms');
    const refused = client.room(name).leave();
    peer.refuse(await peer.next('system', 'leaveRoom'), 'RATE_LIMITED');
    join(name);
    await refused;
    answerSystem(batch, peer);
    void client.room(name).leave();
    expect(await peer.next('system', 'leaveRoom')).toMatchObject({ data: { roomName: name } });
    expect(client.rooms.has(name)).toBe(false);
  });

  it('C8: leaves a room that joinRooms brings back after it was left', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    for (const name of ['a', 'b']) await client.joinRoom(name);
    server.answer = () => undefined;
    peer.socket.terminate();
    const next = await server.peers.take();
    const asked = await next.next('system', 'joinRooms');
    const left = client.leaveRoom('a');
    answerSystem(await next.next('system', 'leaveRoom'), next);
    await left;
    server.answer = answerSystem;
    answerSystem(asked, next);
    expect(await next.next('system', 'leaveRoom')).toMatchObject({ data: { roomName: 'a' } });
    await client.until('open');
    expect([...client.rooms]).toEqual(['b']);
  });
});

describe('loadState', () => {
  it('is called before the first join; what came meanwhile follows once', async () => {
    const loading = deferred<void>();
    const { room, kept, peer, seen, states } = await inRoom({
      loadState: async () => {
        const position = { epoch: kept.epoch, offset: kept.offset };
        await loading.promise;
        return { position };
      },
    });
    const recovered: unknown[] = [];
    room.on('recovered', (params) => void recovered.push(params));
    kept.offset = 5;
    const joined = room.join();
    await aMoment();
    kept.offset = 7;
    loading.resolve();
    expect(await joined).toMatchObject({ history: { recovered: true, missed: 2 } });
    kept.publish(peer);
    await until(() => seen.length === 3);
    expect(seen).toEqual([6, 7, 8]);
    expect(recovered).toEqual([]); // nobody has missed anything
    expect(states).toEqual(['joining', 'live']);
  });

  it('is called again after a reset and after a refused resume; nothing comes twice', async () => {
    let loads = 0;
    const { client, room, kept, peer, seen, states } = await inRoom({
      loadState: () => {
        loads += 1;
        return { position: { epoch: kept.epoch, offset: kept.offset } };
      },
    });
    await room.join();
    kept.begin('e2');
    peer.send({
      type: 'system',
      action: 'roomReset',
      data: { roomName: ROOM, epoch: 'e2', offset: 0, reason: 'restart', withinMs: 20 },
    });
    kept.publish(peer); // in what is loaded
    await until(() => room.state === 'live' && loads === 2);
    kept.publish(peer);
    await until(() => seen.length === 1);
    expect(seen).toEqual([2]);
    kept.begin('e3');
    await again(client, peer, kept.server);
    await until(() => room.state === 'live');
    expect(loads).toBe(3);
    expect(states).toEqual(['joining', 'live', 'resetting', 'live', 'suspended', 'resuming', 'resetting', 'live']);
  });

  it('is called again, with pauses, while it fails or the server refuses its place', async () => {
    const at: number[] = [];
    const { client, room, kept } = await inRoom({
      loadState: () => {
        at.push(performance.now());
        if (at.length === 1) throw new Error('The database is away.');
        return { position: { epoch: at.length === 2 ? 'old' : kept.epoch, offset: 0 } };
      },
    });
    await room.join();
    expect(at).toHaveLength(3);
    expect((at[1] as number) - (at[0] as number)).toBeGreaterThan(450);
    expect((at[2] as number) - (at[1] as number)).toBeGreaterThan(450);
    expect(client.errors.all).toMatchObject([{ error: { message: 'The database is away.' } }]);
  });

  it('begins anew on the next connection when the one before is lost meanwhile', async () => {
    let loads = 0;
    const { client, room, kept, peer } = await inRoom({
      loadState: () => {
        loads += 1;
        return loads === 1 ? new Promise<never>(() => undefined) : { position: { epoch: 'e1', offset: 0 } };
      },
    });
    const joined = room.join();
    await until(() => loads === 1);
    await again(client, peer, kept.server);
    await joined;
    expect([loads, room.state]).toEqual([2, 'live']);
  });
});
