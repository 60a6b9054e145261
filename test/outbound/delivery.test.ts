import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocketRedisSubscriberEvent as Event, WsSubscribe } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';

const MESSAGE = { type: 'news', action: 'item', data: { text: 'hi' } };
const INTERNAL_FIELDS = { workerId: 7, nodeId: 'n', clientId: 'c', webSocketClientId: 'w', id: 1, runSameWorker: true };

class Listener {
  readonly heard: { channel: string; message: unknown }[] = [];
  readonly inOrder: string[] = [];

  @WsSubscribe('orders:paid')
  paid({ channel, message }: { channel: string; message: unknown }) {
    this.heard.push({ channel, message });
    this.inOrder.push('paid');
  }

  @WsSubscribe('orders:paid', { priority: 10 })
  first() {
    this.inOrder.push('first');
    throw new Error('the first subscriber failed');
  }

  @WsSubscribe(Event.Custom)
  custom({ channel, message }: { channel: string; message: unknown }) {
    this.heard.push({ channel, message });
  }
}

describe('delivery on one node', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  /** What each has received since the last time, once everything sent so far has arrived. */
  async function received(peers: Peer[]): Promise<Frame[][]> {
    await Promise.all(peers.map((peer) => peer.settle()));
    return peers.map((peer) => peer.received.splice(0));
  }

  const connect = (count: number): Promise<Peer[]> =>
    Promise.all(Array.from({ length: count }, () => running.connect()));

  it('D2: a broadcast reaches every client once, with its own fields alone', async () => {
    running = await startApp();
    const peers = await connect(3);
    const [first] = peers as [Peer];
    await first.join('a');
    await first.join('b');
    const { server, service } = running;
    const data = { ...INTERNAL_FIELDS, ...MESSAGE };
    const ways: [string, () => unknown][] = [
      ['service.broadcast', () => service.broadcast(data)],
      ['server.sendMessageToAll', () => server.sendMessageToAll({ data })],
      ['server.broadcastToAllClients', () => server.broadcastToAllClients({ data })],
      ['the event SendMessageToAll', () => server.publish({ channel: Event.SendMessageToAll, data })],
    ];
    for (const [way, send] of ways) {
      await send();
      expect([way, await received(peers)]).toEqual([way, [[MESSAGE], [MESSAGE], [MESSAGE]]]);
    }
    server.broadcastToAllClients({ data, excludeClientId: first.clientId });
    expect(await received(peers)).toEqual([[], [MESSAGE], [MESSAGE]]);
  });

  it('D8: rooms, clients and users get one copy each, and nobody else', async () => {
    running = await startApp();
    const peers = (await connect(4)) as [Peer, Peer, Peer, Peer];
    const [a, ab, b, none] = peers;
    for (const peer of [a, ab]) await peer.join('a', { userId: 'ann' });
    for (const peer of [ab, b]) await peer.join('b', { userId: peer === b ? 'bob' : 'ann' });
    const { service, server } = running;
    const one = [MESSAGE];
    const cases: [string, () => unknown, Frame[][]][] = [
      ['a room', () => service.sendToRooms(['a'], MESSAGE), [one, one, [], []]],
      ['two rooms', () => service.sendToRooms(['a', 'b', 'a'], MESSAGE), [one, one, one, []]],
      ['no room', () => service.sendToRooms([], MESSAGE), [[], [], [], []]],
      ['an unknown room', () => service.sendToRooms(['c', '__proto__'], MESSAGE), [[], [], [], []]],
      ['a room but one', () => service.sendToRooms(['a'], MESSAGE, { except: [a.clientId] }), [[], one, [], []]],
      [
        'two clients',
        () => service.sendToClients([a.clientId, none.clientId, a.clientId], MESSAGE),
        [one, [], [], one],
      ],
      ['no client', () => service.sendToClients([], MESSAGE), [[], [], [], []]],
      ['unknown clients', () => service.sendToClients(['x', ''], MESSAGE), [[], [], [], []]],
      ['a user', () => service.sendToUsers(['ann', 'ann'], MESSAGE), [one, one, [], []]],
      ['no user', () => service.sendToUsers([], MESSAGE), [[], [], [], []]],
      ['unknown users', () => service.sendToUsers(['an', 'ANN', ''], MESSAGE), [[], [], [], []]],
      ['broadcastToRoom', () => server.broadcastToRoom({ roomName: 'b', data: MESSAGE }), [[], one, one, []]],
      ['broadcastToUsers', () => server.broadcastToUsers({ userIds: ['bob'], data: MESSAGE }), [[], [], one, []]],
      [
        'broadcastToClient',
        () => server.broadcastToClient({ clientId: none.clientId, data: MESSAGE }),
        [[], [], [], one],
      ],
    ];
    for (const [to, send, expected] of cases) {
      await send();
      expect([to, await received(peers)]).toEqual([to, expected]);
    }
  });

  it("D8: what can't be evaluated reaches nobody", async () => {
    running = await startApp();
    const peers = await connect(2);
    const odd = [undefined, null, {}, Number.NaN, [], true];
    for (const value of odd) {
      await running.service.sendToRooms([value as never], MESSAGE);
      await running.service.sendToClients([value as never], MESSAGE);
      await running.service.sendToUsers([value as never], MESSAGE);
    }
    expect(running.server.getClients({ userType: null as never })).toEqual([]);
    expect(await received(peers)).toEqual([[], []]);
  });

  it('D8: a client that left a room, or was kicked, gets nothing more', async () => {
    running = await startApp();
    const [peer, other] = (await connect(2)) as [Peer, Peer];
    for (const each of [peer, other]) await each.join('a');
    await peer.request('system', 'leaveRoom', { roomName: 'a' });
    await running.service.sendToRooms(['a'], MESSAGE);
    expect(await received([peer, other])).toEqual([[], [MESSAGE]]);
    running.clients.disconnectClient({ clientId: other.clientId });
    await running.service.broadcast(MESSAGE);
    expect((await other.closed).code).toBe(4010);
    expect(other.received).toEqual([]);
  });

  it('D11: naming a channel subscribes to it, and a failing subscriber stops no other', async () => {
    running = await startApp({ providers: [Listener] });
    const listener = running.app.get(Listener);
    running.server.publish({ channel: 'orders:paid', data: { order: 1 } });
    running.server.publish({ channel: 'orders:other', data: { order: 2 } });
    running.server.sendCustomMessage({ data: { text: 'custom' } });
    await (await running.connect()).settle();
    expect(listener.heard).toHaveLength(2);
    expect(listener.heard).toContainEqual({ channel: 'orders:paid', message: { order: 1 } });
    expect(listener.heard).toContainEqual({ channel: Event.Custom, message: { text: 'custom' } });
    expect(listener.inOrder).toEqual(['first', 'paid']);
    expect(running.errors.map(({ message }) => message)).toEqual(['the first subscriber failed']);
  });
});
