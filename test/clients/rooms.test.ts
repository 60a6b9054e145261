import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { RoomLimitError, RoomNameInvalidError, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { until } from '../support/until.js';

@WsGateway('late')
class LateGateway {
  release = (): void => undefined;

  @WsRoute('wait')
  async wait(_ws: WebSocket, clientId: string) {
    await new Promise<void>((resolve) => (this.release = resolve));
    return clientId;
  }
}

const BAD_NAMES: unknown[] = [
  undefined,
  null,
  '',
  7,
  true,
  [],
  ['lobby'],
  {},
  { toString: 'lobby' },
  ' a',
  'a ',
  'a\n',
  'a\u0000',
  'a\u202Eb',
  '\uD800',
  '{a}',
  'x'.repeat(129),
  'x'.repeat(60_000),
];

describe('R12: rooms', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  const untilGone = (count = 0): Promise<void> => until(() => running.clients.size <= count);

  it('have names by the rules, for clients and for the application', async () => {
    running = await startApp();
    const peer = await running.connect();
    const ws = running.clients.getClient(peer)!.ws!;
    for (const roomName of BAD_NAMES) {
      for (const action of ['joinRoom', 'leaveRoom']) {
        expect((await peer.request('system', action, { roomName })).data).toMatchObject({ code: 'ROOM_NAME_INVALID' });
      }
      await expect(running.server.joinRoom({ ws, roomName: roomName as string })).rejects.toThrow(RoomNameInvalidError);
      expect(() => running.rooms.addClientToRoom({ ...peer, roomName: roomName as string })).toThrow(
        RoomNameInvalidError,
      );
    }
    for (const data of [undefined, null, 'lobby', ['lobby'], 7]) {
      expect((await peer.request('system', 'joinRoom', data)).data).toMatchObject({ code: 'ROOM_NAME_INVALID' });
    }
    expect(running.server.rooms.size).toBe(0);
    expect(running.errors).toEqual([]);
  });

  it.each(['__proto__', 'constructor', 'toString', 'x'.repeat(128), '0', 'a:b/c@d_e.f-g'])(
    'may be called %s like any other',
    async (roomName) => {
      running = await startApp();
      const [inside, outside] = [await running.connect(), await running.connect()];
      await inside.join(roomName);
      expect(running.rooms.getRoomClients({ roomName })).toEqual([inside.clientId]);
      await running.service.sendToRooms([roomName], { type: 'to', action: 'room' });
      await outside.settle();
      expect(outside.received).toEqual([]);
      await inside.next('to', 'room');
    },
  );

  it('are bounded per client, and leaving one makes room', async () => {
    running = await startApp({ options: { rooms: { maxPerClient: 3 } } });
    const peer = await running.connect();
    for (const roomName of ['a', 'b', 'c', 'a']) await peer.join(roomName);
    expect((await peer.request('system', 'joinRoom', { roomName: 'd' })).data).toMatchObject({ code: 'ROOM_LIMIT' });
    expect(() => running.rooms.addClientToRoom({ ...peer, roomName: 'd' })).toThrow(RoomLimitError);
    expect([...running.server.rooms.keys()]).toEqual(['a', 'b', 'c']);
    await peer.request('system', 'leaveRoom', { roomName: 'b' });
    await peer.join('d');
    expect([...running.server.rooms.keys()]).toEqual(['a', 'c', 'd']);
  });

  it('are 100 per client where nothing else is said', async () => {
    running = await startApp();
    const peer = await running.connect();
    const answers = await Promise.all(
      Array.from({ length: 101 }, (_, index) => peer.request('system', 'joinRoom', { roomName: `r${index}` })),
    );
    expect(answers.filter(({ response }) => response)).toHaveLength(100);
    expect(running.server.rooms.size).toBe(100);
  });

  it('disappear with their last member, and a client leaves nothing behind', async () => {
    running = await startApp();
    const [first, second] = [await running.connect(), await running.connect()];
    for (const peer of [first, second])
      for (const roomName of ['a', 'b']) await peer.join(roomName, { userId: peer.clientId });
    await first.join('only-first');
    first.terminate();
    await untilGone(1);
    expect([...running.server.rooms]).toEqual([
      ['a', new Set([second.clientId])],
      ['b', new Set([second.clientId])],
    ]);
    expect(running.clients.getUserClients({ userId: first.clientId })).toEqual([]);
    expect(running.rooms.getClientRooms(first)).toEqual([]);
    await second.request('system', 'leaveRoom', { roomName: 'a' });
    expect([...running.server.rooms.keys()]).toEqual(['b']);
    second.terminate();
    await untilGone();
    expect(running.server.rooms.size).toBe(0);
    expect(running.clients.getClients()).toEqual([]);
  });

  it('a join that is decided after the client left changes nothing, and is no error of the application', async () => {
    const decisions: ((isAllowed: boolean) => void)[] = [];
    const loads: ((user: object) => void)[] = [];
    running = await startApp({
      options: {
        rooms: { authorizeJoin: () => new Promise<boolean>((resolve) => decisions.push(resolve)) },
        users: { load: () => new Promise((resolve) => loads.push(resolve as never)) },
      },
    });
    const first = await running.connect();
    first.send('system', 'joinRoom', { roomName: 'a' }, 1);
    const second = await running.connect();
    await until(() => decisions.length === 1);
    first.terminate();
    await untilGone(1);
    decisions[0]?.(true);
    second.send('system', 'joinRoom', { roomName: 'a', userId: 'u' }, 1);
    await until(() => decisions.length === 2);
    decisions[1]?.(true);
    await until(() => loads.length === 1);
    second.terminate();
    await untilGone();
    loads[0]?.({});
    await pause(20);
    expect(running.server.rooms.size).toBe(0);
    expect(running.clients.getUserClients({ userId: 'u' })).toEqual([]);
    expect(running.errors).toEqual([]);
  });

  it('leave nothing of a client whose handler ran longer than its connection', async () => {
    running = await startApp({ providers: [LateGateway] });
    const gateway = running.app.get(LateGateway);
    const peer = await running.connect();
    peer.send('late', 'wait', undefined, 1);
    await peer.settle();
    peer.terminate();
    await untilGone();
    gateway.release();
    running.clients.updateClient({ clientId: peer.clientId, key: 'note', data: 1 });
    await pause(20);
    expect(running.clients.size).toBe(0);
    expect(running.errors).toEqual([]);
  });

  it('are not created for a client that is gone', async () => {
    running = await startApp();
    const peer = await running.connect();
    peer.terminate();
    await untilGone();
    try {
      running.rooms.addClientToRoom({ clientId: peer.clientId, roomName: 'ghosts' });
    } catch {
      // Refusing aloud would be as good.
    }
    expect(running.server.rooms.size).toBe(0);
  });
});
