import { afterEach, describe, expect, it } from '@jest/globals';
import { ForbiddenException } from '@nestjs/common';
import type { WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { until } from '../support/until.js';

type Hook = NonNullable<NonNullable<WebSocketOptions['events']>['onConnected']>;

const news = (n: number) => ({ type: 'news', action: 'flash', data: { n } });
const seenBy = ({ received }: Peer): unknown[] =>
  received.filter(({ type }) => type === 'news').map(({ data }) => data.n as number);

describe('a client whose connection hooks are still running', () => {
  let running: RunningApp;
  let decide: (isLetIn: boolean) => void;
  afterEach(() => running.close());

  /** Those whose address has `slow` in it wait for `decide()`. */
  async function start(before: Hook = () => undefined, options: WebSocketOptions = {}): Promise<void> {
    const decision = new Promise<boolean>((resolve) => (decide = resolve));
    const onConnected: Hook = async (params) => {
      if (!params.request?.url?.includes('slow')) return;
      await before(params);
      if (!(await decision)) throw new ForbiddenException('Not you.');
    };
    running = await startApp({
      options: { ...options, events: { onConnected, onError: ({ error }) => running.errors.push(error) } },
    });
  }
  const newcomer = (): Promise<Peer> => running.connectTo(`${running.url}?slow`);

  it('hears nothing of others when they refuse it', async () => {
    await start(({ joinRoom }) => joinRoom({ roomName: 'lobby', userId: 'ada' }), {
      clientList: { enabled: true, minIntervalMs: 0 },
    });
    const bystander = await running.connect();
    const peer = await newcomer();
    await until(() => running.rooms.isClientInRoom({ clientId: peer.clientId, roomName: 'lobby' }));
    await running.service.broadcast(news(1));
    await running.service.sendToRooms(['lobby'], news(2));
    await running.service.sendToUsers(['ada'], news(3));
    running.server.sendMessageToAll({ data: news(4) });
    running.server.broadcastToRoom({ roomName: 'lobby', data: news(5) });
    await until(() => seenBy(bystander).length === 2);
    await running.connect();
    await bystander.take(({ action, data }) => action === 'clientList' && data.count === 2);
    decide(false);
    expect((await peer.closed).code).toBe(4003);
    expect(peer.received).toEqual([]);
  });

  it('is not in the client list of others before they let it in', async () => {
    await start(undefined, { clientList: { enabled: true, minIntervalMs: 0, publicFields: ['clientId'] } });
    const lists = (peer: Peer, count: number) =>
      peer.take(({ action, data }) => action === 'clientList' && data.count === count);
    const bystander = await running.connect();
    await lists(bystander, 1);
    const peer = await newcomer();
    const friend = await running.connect();
    const { data } = await lists(bystander, 2);
    expect(data.clients).toEqual([{ clientId: bystander.clientId }, { clientId: friend.clientId }]);
    decide(true);
    const { clients } = (await lists(bystander, 3)).data;
    expect(clients).toContainEqual({ clientId: peer.clientId });
  });

  it("is in nobody's client list when they refuse it", async () => {
    await start(undefined, { clientList: { enabled: true, minIntervalMs: 0, publicFields: ['clientId'] } });
    const bystander = await running.connect();
    const heard: string[] = [];
    bystander.ws.on('message', (data: Buffer) => heard.push(data.toString()));
    const peer = await newcomer();
    await running.connect();
    await bystander.take(({ action }) => action === 'clientList');
    await bystander.settle();
    decide(false);
    await peer.closed;
    await running.connect();
    await bystander.take(({ action, data }) => action === 'clientList' && data.count === 3);
    expect(heard.length).toBeGreaterThan(1);
    expect(heard.join()).not.toContain(peer.clientId);
  });

  it('gets, once they let it in, what was sent meanwhile to all, its rooms and its user, in order', async () => {
    await start(({ joinRoom }) => joinRoom({ roomName: 'lobby', userId: 'ada' }));
    const peer = await newcomer();
    await until(() => running.rooms.isClientInRoom({ clientId: peer.clientId, roomName: 'lobby' }));
    await running.service.broadcast(news(1));
    await running.service.sendToRooms(['lobby', 'other'], news(2));
    await running.service.sendToRooms(['other'], news(-1));
    await running.service.sendToUsers(['ada'], news(3));
    await running.service.broadcast(news(-2), { except: [peer.clientId] });
    peer.send('system', 'ping', undefined, 'first');
    decide(true);
    await running.service.broadcast(news(4));
    await until(() => seenBy(peer).length === 4);
    await peer.settle();
    expect(seenBy(peer)).toEqual([1, 2, 3, 4]);
  });

  it('gets what its hooks, or anybody, send to it alone at once', async () => {
    await start(async ({ ws, clientId }) => {
      running.server.sendClientMessage(ws, news(1));
      running.clients.getClient({ clientId })?.send(news(2));
      await running.service.sendToClients([clientId], news(3));
    });
    const peer = await newcomer();
    await until(() => seenBy(peer).length === 3);
    expect(seenBy(peer)).toEqual([1, 2, 3]);
    decide(true);
  });

  it('keeps no more of a flood than its budget allows', async () => {
    await start(undefined, { backpressure: { maxBufferedBytes: 10_000, volatileBytes: 2_000 } });
    const peer = await newcomer();
    await until(() => running.server.status.connections === 1);
    const text = 'x'.repeat(900);
    const send = (n: number, options: object): void =>
      running.server.broadcastToAllClients({ data: { type: 'news', action: 'flash', data: { n, text } }, ...options });
    for (let n = 0; n < 5; n++) send(n, { volatile: true });
    for (let n = 100; n < 200; n++) send(n, { conflateKey: 'latest' });
    for (let n = 200; n < 300; n++) send(n, {});
    decide(true);
    await until(() => seenBy(peer).length > 0);
    await peer.settle();
    expect(seenBy(peer)).toEqual([0, 1, 199, 200, 201, 202, 203, 204, 205, 206]);
    expect(running.server.status.backpressure.closed).toBe(0);
    expect(running.server.status.backpressure.dropped).toBe(3 + 93);
  });

  it('leaves nothing behind when it goes away first', async () => {
    await start();
    const peer = await newcomer();
    await running.service.broadcast(news(1));
    peer.terminate();
    await until(() => running.server.status.connections === 0);
    decide(true);
    const next = await running.connect();
    await running.service.broadcast(news(2));
    await until(() => seenBy(next).length === 1);
    expect([seenBy(next), running.errors]).toEqual([[2], []]);
  });
});
