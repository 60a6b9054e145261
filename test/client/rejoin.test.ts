import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocketClient } from '../../lib/client/websocket-client.js';
import type { NodeWebSocketClientOptions } from '../../lib/client/websocket-client.js';
import type { WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { until } from '../support/until.js';
import { answerEach, answerSystem, cleanUp, connect, onCleanUp, roomsAsked, startServer } from './support.js';
import type { Frame, Peer, ScriptedServer, TestClient } from './support.js';

afterEach(cleanUp);

const roomOf = (frame: Frame): string => (frame.data as { roomName: string }).roomName;

/** In these rooms, and connected again; `answer` says what becomes of the new joins. */
async function rejoin(
  roomNames: string[],
  answer: (frame: Frame, peer: Peer, server: ScriptedServer) => void,
  options: Partial<NodeWebSocketClientOptions> & { limits?: object; inParts?: boolean } = {},
): Promise<{ client: TestClient; peer: Peer; server: ScriptedServer }> {
  const server = await startServer();
  const { limits = {}, inParts = false, ...settings } = options;
  server.greet = (peer, clientId) => peer.send({ type: 'system', action: 'connected', data: { clientId, limits } });
  const { client, peer } = await connect(server, settings);
  for (const roomName of roomNames) await client.joinRoom(roomName);
  server.answer = (frame, to) => {
    if (inParts) answer(frame, to, server);
    else answerEach(frame, to, (one, part) => answer(one, part, server));
  };
  peer.socket.terminate();
  await client.until('reconnecting');
  await client.until('open');
  return { client, peer: server.peers.all[1] as Peer, server };
}

function limited(frame: Frame, peer: Peer, retryAfterMs: number): void {
  const data = { error: 'Slowly.', code: 'RATE_LIMITED', details: { retryAfterMs } };
  peer.send({ type: 'error', action: 'message', id: frame.id, data });
}

describe('a room that could not be joined again', () => {
  it.each(['ROOM_FORBIDDEN', 'FORBIDDEN', 'ROOM_NAME_INVALID', 'ROOM_LIMIT', 'NOT_FOUND'])(
    'because of %s is forgotten, and the application is told',
    async (code) => {
      const lost: unknown[] = [];
      const { client } = await rejoin(
        ['lobby', 'board'],
        (frame, peer) => (roomOf(frame) === 'board' ? peer.refuse(frame, code) : answerSystem(frame, peer)),
        { events: { onRoomLost: (params) => lost.push(params) } },
      );
      expect(lost).toEqual([{ roomName: 'board', error: expect.objectContaining({ code }) }]);
      expect([...client.rooms]).toEqual(['lobby']);
      expect(client.errors.all).toEqual([]);
    },
  );

  it.each(['INTERNAL', 'UNAVAILABLE', 'TIMEOUT', 'SOMETHING_ELSE'])(
    'because of %s is kept, reported once and tried again',
    async (code) => {
      let tries = 0;
      const { client } = await rejoin(['lobby'], (frame, peer) => {
        tries += 1;
        if (tries <= 2) peer.refuse(frame, code);
        else answerSystem(frame, peer);
      });
      expect([...client.rooms]).toEqual(['lobby']);
      await until(() => tries === 3);
      expect(client.errors.all).toEqual([{ error: expect.objectContaining({ code }) }]);
    },
  );

  it('is not asked for again once it was left, or joined by the application', async () => {
    const asked: string[] = [];
    let isUp = false;
    const { client } = await rejoin(['left', 'joined', 'other'], (frame, peer) => {
      asked.push(`${frame.action} ${roomOf(frame)}`);
      if (isUp) answerSystem(frame, peer);
      else peer.refuse(frame, 'UNAVAILABLE');
    });
    isUp = true;
    await client.leaveRoom('left');
    await client.joinRoom('joined');
    await until(() => asked.filter((one) => one === 'joinRoom other').length === 2);
    expect(asked.filter((one) => one !== 'joinRoom other').toSorted()).toEqual([
      'joinRoom joined',
      'joinRoom joined',
      'joinRoom left',
      'leaveRoom left',
    ]);
  });

  it('is asked for no more when the connection has ended', async () => {
    const { client, server } = await rejoin(['lobby'], (frame, peer) => peer.refuse(frame, 'UNAVAILABLE'));
    client.disconnect();
    await new Promise((resolve) => setTimeout(resolve, 1_700));
    expect((server.peers.all[1] as Peer).frames.all).toHaveLength(1);
  });
});

describe('the pace of joining again', () => {
  it("keeps a real server's small limits with 45 rooms", async () => {
    const options: WebSocketOptions = { limits: { messages: { perSecond: 10, burst: 20 } } };
    const running = await startApp({ options });
    onCleanUp(() => running.close());
    const ends: number[] = [];
    const client = new WebSocketClient({ url: running.url, events: { onDisconnected: ({ code }) => ends.push(code) } });
    onCleanUp(() => client.disconnect());
    await client.connectToServer();
    for (let room = 0; room < 45; room += 1) {
      await client.joinRoom(`room-${room}`);
      if (room > 15) await new Promise((resolve) => setTimeout(resolve, 110));
    }
    const before = client.clientId as string;
    running.clients.disconnectClient({ clientId: before, code: 4201 });
    await until(() => roomsOf(running, before) === 45);
    expect(ends).toEqual([4201]);
  });
});

const roomsOf = (running: RunningApp, exceptId: string): number =>
  running.server.getClients().find(({ clientId }) => clientId !== exceptId)?.rooms.length ?? 0;

describe('system/joinRooms', () => {
  const names = Array.from({ length: 150 }, (_, index) => `room-${index}`);
  const answerParts = (frame: Frame, peer: Peer, partOf: (roomName: string) => object): void => {
    if (frame.action === 'joinRoom') return peer.reply(frame, partOf(roomOf(frame)));
    const { rooms } = frame.data as { rooms: { roomName: string }[] };
    for (const { roomName } of rooms) peer.reply(frame, { roomName, ...partOf(roomName) }, { more: true });
    peer.send({ type: 'system', action: 'joinRooms', id: frame.id, done: true });
  };

  it('takes 100 rooms a frame', async () => {
    const { client, peer } = await rejoin(names, (frame, to) => answerParts(frame, to, () => ({ success: true })), {
      inParts: true,
    });
    const frames = peer.frames.all.map(({ action, data }) => [action, (data as { rooms: unknown[] }).rooms.length]);
    expect(frames).toEqual([
      ['joinRooms', 100],
      ['joinRooms', 50],
    ]);
    expect([...client.rooms]).toEqual(names);
    expect(client.errors.all).toEqual([]);
  });

  it('gives up what is refused for good, and tries the rest again', async () => {
    const lost: string[] = [];
    const asked: number[] = [];
    const { client } = await rejoin(
      ['a', 'b', 'c'],
      (frame, to) => {
        const isFirst = asked.push(roomsAsked([frame]).length) === 1;
        answerParts(frame, to, (roomName) => {
          if (roomName === 'a') return { error: { code: 'ROOM_FORBIDDEN', error: 'No.' } };
          if (roomName === 'b' && isFirst) return { error: { code: 'INTERNAL', error: 'Oh.' } };
          return { success: true };
        });
      },
      { inParts: true, events: { onRoomLost: ({ roomName }) => lost.push(roomName) } },
    );
    await until(() => asked.length === 2);
    expect(asked).toEqual([3, 1]);
    expect(lost).toEqual(['a']);
    expect([...client.rooms]).toEqual(['b', 'c']);
  });

  it('waits as long as the server says when the frame was too early', async () => {
    const at: number[] = [];
    const { client } = await rejoin(
      ['a', 'b'],
      (frame, to) => {
        if (at.push(performance.now()) === 1) limited(frame, to, 300);
        else answerParts(frame, to, () => ({ success: true }));
      },
      { inParts: true },
    );
    await until(() => at.length === 2);
    expect((at[1] as number) - (at[0] as number)).toBeGreaterThan(290);
    expect([...client.rooms]).toEqual(['a', 'b']);
    expect(client.errors.all).toEqual([]);
  });

  it('is sent in smaller frames to a server that takes little at once', async () => {
    const joined = new Set<string>();
    const { client } = await rejoin(
      names.slice(0, 40),
      (frame, to) =>
        answerParts(frame, to, (roomName) => {
          joined.add(roomName);
          return { success: true };
        }),
      { inParts: true, limits: { maxPayload: 500 } },
    );
    await until(() => joined.size === 40);
    expect(client.errors.all).toEqual([]);
  });

  it('that stops in the middle is tried again for what is missing', async () => {
    const asked: string[][] = [];
    await rejoin(
      ['a', 'b'],
      (frame, to) => {
        if (frame.action === 'cancel') return;
        const rooms = (roomsAsked([frame]) as { roomName: string }[]).map(({ roomName }) => roomName);
        if (asked.push(rooms) === 1) to.reply(frame, { roomName: 'a', success: true }, { more: true });
        else answerParts(frame, to, () => ({ success: true }));
      },
      { inParts: true, requestTimeoutMs: 1_000 },
    );
    await until(() => asked.length === 2);
    expect(asked).toEqual([['a', 'b'], ['b']]);
  });
});

describe('authorizeJoin', () => {
  it('that throws once, or says 503 for a while, costs no room', async () => {
    let fails = false;
    let calls = 0;
    const authorizeJoin = (): boolean => {
      if (fails && (calls += 1) <= 2) throw new Error('The database is away.');
      return true;
    };
    const running = await startApp({ options: { rooms: { authorizeJoin } } });
    onCleanUp(() => running.close());
    const errors: Error[] = [];
    const client = new WebSocketClient({ url: running.url, events: { onError: ({ error }) => errors.push(error) } });
    onCleanUp(() => client.disconnect());
    await client.connectToServer();
    await client.joinRoom('team');
    const before = client.clientId as string;
    fails = true;
    running.clients.disconnectClient({ clientId: before, code: 4201 });
    await until(() => roomsOf(running, before) === 1);
    expect(errors).toMatchObject([{ code: 'INTERNAL' }]);
    expect(calls).toBe(3);
  });
});
