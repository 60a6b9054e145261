import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import { WebSocketRoomManager, WebSocketServer, WsGateway, WsRoute } from '../../lib/index.js';
import { Controller } from '@nestjs/common';
import { type RunningApp, startApp } from '../support/app.js';
import { RawPeer, textBytes } from '../support/raw-peer.js';
import { until } from '../support/until.js';

@Controller()
@WsGateway('order')
class OrderGateway {
  readonly log: string[] = [];
  atOnce = 0;
  most = 0;
  letGo: (() => void) | undefined;

  constructor(
    private readonly server: WebSocketServer,
    private readonly rooms: WebSocketRoomManager,
  ) {}

  @WsRoute('work')
  async work(_ws: WebSocket, _clientId: string, { index, ms }: { index: number; ms: number }) {
    this.most = Math.max(this.most, ++this.atOnce);
    if (ms > 0) await pause(ms);
    this.atOnce--;
    this.log.push(`work ${index}`);
    return index;
  }

  @WsRoute('held')
  async held() {
    await new Promise<void>((resolve) => (this.letGo = resolve));
    this.log.push('held');
  }

  @WsRoute('members')
  members(_ws: WebSocket, _clientId: string, { roomName }: { roomName: string }) {
    this.server.broadcastToRoom({ roomName, data: { type: 'order', action: 'heard', data: {} } });
    return this.rooms.getRoomClients({ roomName }).length;
  }
}

/** Long before short, sync before async: whoever runs them side by side gets them out of order. */
const DURATIONS = [30, 0, 10, 0, 0, 20, 1, 0, 5, 0];

describe('D9: messages of one socket are handled in order', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  it.each(['one by one', 'in one packet'])('however long each takes: %s', async (how) => {
    running = await startApp({ controllers: [OrderGateway] });
    const gateway = running.app.get(OrderGateway);
    const peer = await RawPeer.open(running.port);
    const frames = DURATIONS.map((ms, index) =>
      textBytes({ type: 'order', action: 'work', id: index, data: { index, ms } }),
    );
    if (how === 'in one packet') peer.write(Buffer.concat(frames));
    else for (const frame of frames) peer.write(frame);
    await peer.until(() => peer.messages.some(({ id }) => id === DURATIONS.length - 1));
    const indices = DURATIONS.map((_, index) => index);
    expect(peer.messages.flatMap(({ response }) => (response === undefined ? [] : [response]))).toEqual(indices);
    expect(gateway.log).toEqual(indices.map((index) => `work ${index}`));
    expect(gateway.most).toBe(1);
    peer.reset();
  });

  it('through pauses of the reading, too', async () => {
    running = await startApp({ controllers: [OrderGateway], options: { messages: { maxQueued: 2 } } });
    const gateway = running.app.get(OrderGateway);
    const peer = await running.connect();
    const indices = Array.from({ length: 200 }, (_, index) => index);
    for (const index of indices) peer.send('order', 'work', { index, ms: index % 10 === 0 ? 2 : 0 });
    await peer.request('order', 'work', { index: 200, ms: 0 });
    expect(gateway.log).toEqual([...indices, 200].map((index) => `work ${index}`));
  });

  it('one socket never waits for another', async () => {
    running = await startApp({ controllers: [OrderGateway] });
    const [slow, fast] = [await running.connect(), await running.connect()];
    const gateway = running.app.get(OrderGateway);
    const answer = slow.request('order', 'held');
    await until(() => gateway.letGo !== undefined);
    await fast.request('order', 'work', { index: 2, ms: 0 });
    expect(gateway.log).toEqual(['work 2']);
    gateway.letGo?.();
    await answer;
    expect(gateway.log).toEqual(['work 2', 'held']);
  });

  it('a join is seen by the message after it, even while users are looked up', async () => {
    running = await startApp({
      controllers: [OrderGateway],
      options: { users: { load: async () => pause(30, {}) }, rooms: { authorizeJoin: async () => pause(20, true) } },
    });
    const peer = await running.connect();
    peer.send('system', 'joinRoom', { roomName: 'a', userId: 'u' }, 'join');
    peer.send('order', 'members', { roomName: 'a' }, 'members');
    peer.send('system', 'leaveRoom', { roomName: 'a' }, 'leave');
    peer.send('order', 'members', { roomName: 'a' }, 'after');
    expect((await peer.take(({ id }) => id === 'after')).response).toBe(0);
    expect(peer.received.map(({ id, action }) => id ?? action)).toEqual(['join', 'heard', 'members', 'leave']);
    expect(peer.received[2].response).toBe(1);
  });
});
