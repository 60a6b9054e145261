import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocketClient } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const news = (n: number) => ({ type: 'chat', action: 'news', data: { n } });
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('our client in a room that keeps what is published', () => {
  let running: RunningApp;
  let proxy: TcpProxy;
  let client: WebSocketClient;
  let seen: number[];
  let told: unknown[];
  let errors: string[];

  const start = async (history: object = {}): Promise<void> => {
    running = await startApp({ options: { rooms: { history: [{ match: 'chat:*', ...history }] } } });
    proxy = await TcpProxy.start(running.port);
    [seen, told, errors] = [[], [], []];
    client = new WebSocketClient({
      url: `ws://127.0.0.1:${proxy.port}/ws`,
      reconnect: { minDelayMs: 10, maxDelayMs: 50 },
      events: {
        onRecovered: (params) => void told.push(['recovered', params]),
        onReset: ({ roomName, reason }) => void told.push(['reset', { roomName, reason }]),
        onError: ({ error }) => void errors.push(error.message),
      },
    });
    client.on('chat', 'news', ({ n }: { n: number }, { at }) => {
      expect(at).toMatchObject({ room: ROOM, offset: n });
      expect(client.positionOf(ROOM)).toMatchObject({ offset: n }); // moved before the handler was called (C1)
      seen.push(n);
    });
    await client.connectToServer();
  };
  beforeEach(() => void (proxy = undefined as never));
  afterEach(async () => {
    client.disconnect();
    await proxy.stop();
    await running.close();
  });

  const publish = async (from: number, to: number): Promise<void> => {
    for (let n = from; n <= to; n++) await running.service.publishToRoom(ROOM, news(n));
  };
  const cut = async (): Promise<void> => {
    const lost = new Promise<void>((resolve) => client.on('disconnected', () => resolve()));
    proxy.reset();
    await lost;
  };

  it('H3: gets what it missed by itself, each once and in order', async () => {
    await start();
    await client.joinRoom(ROOM);
    await publish(1, 3);
    await until(() => seen.length === 3);
    await cut();
    await publish(4, 100);
    await until(() => seen.length === 100);
    expect(seen).toEqual(range(1, 100));
    expect(told).toEqual([['recovered', { roomName: ROOM, missed: expect.any(Number) }]]);
    await publish(101, 102);
    await until(() => seen.length === 102);
    expect(seen).toEqual(range(1, 102));
  });

  it('misses nothing of what is published while it is cut again and again', async () => {
    await start();
    await client.joinRoom(ROOM);
    const publishing = (async () => {
      for (let n = 1; n <= 300; n++) {
        await publish(n, n);
        if (n % 30 === 0) proxy.reset();
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await publishing;
    await until(() => seen.length >= 300);
    expect(seen).toEqual(range(1, 300));
  });

  it('H5: can resume a room in which nothing was published', async () => {
    await start();
    await client.joinRoom(ROOM);
    await cut();
    await publish(1, 2);
    await until(() => seen.length === 2);
    expect(seen).toEqual([1, 2]);
  });

  it('H4: is told when it can’t, and goes on from there', async () => {
    await start({ recoverMax: 5 });
    await client.joinRoom(ROOM);
    await publish(1, 1);
    await until(() => seen.length === 1);
    await cut();
    await publish(2, 20);
    await until(() => told.length === 1);
    expect(told).toEqual([['reset', { roomName: ROOM, reason: 'too-far-behind' }]]);
    await until(async () => (await client.request('system', 'ping')) !== undefined);
    await publish(21, 21);
    await until(() => seen.length === 2);
    expect(seen).toEqual([1, 21]);
  });

  it('is told when the room was cleared, once', async () => {
    await start();
    await client.joinRoom(ROOM);
    await publish(1, 2);
    await until(() => seen.length === 2);
    const { epoch } = await running.service.clearHistory(ROOM);
    await until(() => told.length === 1);
    expect(told).toEqual([['reset', { roomName: ROOM, reason: 'cleared' }]]);
    expect(client.positionOf(ROOM)).toEqual({ epoch, offset: 0 });
    await publish(1, 1);
    await until(() => seen.length === 3);
    await cut();
    await until(() => told.length === 2);
    expect(told[1]).toEqual(['recovered', { roomName: ROOM, missed: 0 }]);
  });

  it('begins where the application says, and asks for no more than the newest without', async () => {
    await start();
    await publish(1, 10);
    const { epoch } = await running.service.position(ROOM);
    const joined = await client.joinRoom(ROOM, { since: { epoch, offset: 7 } });
    expect(joined['history']).toMatchObject({ recovered: true, missed: 3, offset: 10 });
    await until(() => seen.length === 3);
    await client.leaveRoom(ROOM);
    expect(client.positionOf(ROOM)).toBeUndefined();
    await client.joinRoom(ROOM, { tail: 2 });
    await until(() => seen.length === 5);
    expect(seen).toEqual([8, 9, 10, 9, 10]);
  });

  it('moves nothing for a room it has left (C2)', async () => {
    await start();
    await client.joinRoom(ROOM);
    await publish(1, 1);
    await until(() => seen.length === 1);
    await client.leaveRoom(ROOM);
    await publish(2, 3);
    await client.request('system', 'ping');
    expect(seen).toEqual([1]);
    expect(client.positionOf(ROOM)).toBeUndefined();
  });
});
