import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { WebSocket } from 'ws';
import { standStill } from '../support/stand-still.js';
import { aMoment, answerSystem, cleanUp, connect, onCleanUp, sleepFor, startServer, TestClient } from './support.js';
import { Stopwatch } from '../support/stopwatch.js';

afterEach(cleanUp);

/** A server on a thread of its own: whatever it says comes 20 ms later, also while this thread stands still. */
const SERVER = `
const { parentPort } = require('node:worker_threads');
const { WebSocketServer } = require('ws');
const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' }, () => parentPort.postMessage(wss.address().port));
wss.on('connection', (socket) => {
  const say = (text) => setTimeout(() => socket.send(text), 20);
  say('{"type":"system","action":"connected","data":{"clientId":"c"}}');
  socket.on('message', (data) => {
    const { type, action, id } = JSON.parse(data.toString());
    say(type === 'nonsense' ? '?' : JSON.stringify({ type, action, id, response: null }));
  });
});
`;

async function startThread(): Promise<string> {
  const worker = new Worker(SERVER, { eval: true });
  onCleanUp(() => worker.terminate());
  const port = await new Promise<number>((resolve) => worker.once('message', resolve));
  return `ws://127.0.0.1:${port}/ws`;
}

/** Resolves when the socket's next frame is out. @param change what goes out instead */
function sent(ws: WebSocket, change = (text: string): string => text): Promise<void> {
  return new Promise((resolve) => {
    jest.spyOn(ws, 'send').mockImplementationOnce((data) => {
      ws.send(change(data as string));
      resolve();
    });
  });
}

describe('a client that stood still', () => {
  // Up to a quarter more than the time limit isn't taken for the sleep of a machine.
  it.each([
    [1_100, 1_000],
    [1_600, 600],
  ])('for %i ms does not blame the server for answers that it has not read', async (stillMs, pongTimeoutMs) => {
    const client = new TestClient({ url: await startThread(), pingIntervalMs: 30, pongTimeoutMs });
    await client.connectToServer();
    const { ws } = await client.connected.take();
    await sent(ws);
    // The ping is out, and its answer comes while nobody reads.
    standStill(stillMs);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(client.disconnected.all).toEqual([]);
    expect(client.state).toBe('open');
  });

  it('takes any frame that it has not read for a sign of life', async () => {
    const client = new TestClient({ url: await startThread(), pingIntervalMs: 30, pongTimeoutMs: 1_000 });
    await client.connectToServer();
    const { ws } = await client.connected.take();
    await sent(ws, (text) => text.replace('system', 'nonsense'));
    standStill(1_100);
    await client.request('chat', 'next');
    expect(client.disconnected.all).toEqual([]);
  });

  it('takes a reply that came in time', async () => {
    const client = new TestClient({ url: await startThread(), pingIntervalMs: false });
    await client.connectToServer();
    const reply = client.request('chat', 'send', 1, { timeoutMs: 300 });
    standStill(600);
    expect(await reply).toBeNull();
    expect(await client.request('chat', 'send', 1)).toBeNull();
  });

  it('takes a greeting that came in time', async () => {
    class StillClient extends TestClient {
      protected override createSocket(...given: Parameters<TestClient['createSocket']>): WebSocket {
        return super.createSocket(...given).once('open', () => standStill(1_400));
      }
    }
    const client = new StillClient({ url: await startThread(), connectTimeoutMs: 1_000 });
    await client.connectToServer();
    expect(client.state).toBe('open');
  });

  it('notices soon that its connection is dead', async () => {
    const server = await startServer();
    const { client } = await connect(server, { pingIntervalMs: 200, pongTimeoutMs: 8_000 });
    server.answer = () => undefined;
    standStill(3_000);
    const watch = new Stopwatch();
    expect(await client.disconnected.take()).toMatchObject({ code: 4201, willReconnect: true });
    expect(watch.ms).toBeLessThan(4_000);
  });
});

describe('a client whose machine slept', () => {
  /** A page, which the test wakes. */
  const page = new EventTarget();
  let watches = 0;
  const wake = (): boolean => page.dispatchEvent(new Event('online'));

  beforeEach(() => {
    watches = 0;
    Object.assign(globalThis, {
      addEventListener: (type: string, listener: () => void) => {
        if (type === 'online') watches += 1;
        page.addEventListener(type, listener);
      },
      removeEventListener: (type: string, listener: () => void) => {
        if (type === 'online') watches -= 1;
        page.removeEventListener(type, listener);
      },
    });
  });

  afterEach(() => {
    Object.assign(globalThis, { addEventListener: undefined, removeEventListener: undefined });
  });

  it('notices at the next ping that its connection is dead', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { pingIntervalMs: 200, pongTimeoutMs: 8_000 });
    server.answer = () => undefined;
    sleepFor(3_600_000);
    await peer.next('system', 'ping');
    const watch = new Stopwatch();
    expect(await client.disconnected.take()).toMatchObject({ code: 4201, willReconnect: true });
    expect(watch.ms).toBeLessThan(4_000);
  });

  it('asks the server when its page wakes, and comes back if that says nothing', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url, pingIntervalMs: false });
    await client.connectToServer();
    const peer = await server.peers.take();
    wake();
    await aMoment();
    expect(peer.frames.all).toEqual([]); // it was heard just now
    server.answer = () => undefined;
    sleepFor(3_600_000);
    wake();
    await peer.next('system', 'ping');
    expect(await client.disconnected.take()).toMatchObject({ code: 4201, willReconnect: true });
    await client.until('open');
  });

  it('watches its page until it is closed, however that comes', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url });
    await client.connectToServer();
    expect(watches).toBe(1);
    client.disconnect();
    expect(watches).toBe(0);
    server.refusal = { status: 500 };
    await expect(client.connectToServer()).rejects.toThrow('HTTP 500');
    expect(watches).toBe(0);
  });

  it('watches its page again when a listener of its end connects again', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url });
    await client.connectToServer();
    const off = client.on('state', ({ state }) => (state === 'closed' ? client.connectToServer() : undefined));
    onCleanUp(off);
    (await server.peers.take()).socket.close(4001, 'away');
    await server.peers.take();
    await client.until('open');
    expect(watches).toBe(1);
  });
});

describe('the wall clock', () => {
  it('ends nothing when it is set, forward or back', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { pingIntervalMs: 50, pongTimeoutMs: 1_000 });
    const now = Date.now.bind(Date);
    const clock = jest.spyOn(Date, 'now');
    try {
      server.answer = (frame, to) => frame.action !== 'slow' && answerSystem(frame, to);
      const slow = client.request('chat', 'slow', 1, { timeoutMs: 400 });
      slow.catch(() => undefined);
      clock.mockImplementation(() => now() + 3_600_000);
      for (let count = 0; count < 3; count += 1) await peer.next('system', 'ping');
      clock.mockImplementation(() => now() - 3_600_000);
      await expect(slow).rejects.toThrow(/400 ms/);
      for (let count = 0; count < 3; count += 1) await peer.next('system', 'ping');
      expect(client.state).toBe('open');
    } finally {
      clock.mockRestore();
    }
  });
});

describe('reconnect()', () => {
  it('replaces a connection that is dead without being closed, and keeps the rooms', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { reconnect: { minDelayMs: 20_000, maxDelayMs: 20_000 } });
    await client.joinRoom('lobby');
    peer.socket.pause();
    const pending = client.request('chat', 'slow');
    pending.catch(() => undefined);
    const back = client.reconnect();
    expect(client.state).toBe('reconnecting');
    await back;
    expect(client.clientId).toBe('client-2');
    await expect(pending).rejects.toMatchObject({ code: 'CONNECTION', message: 'reconnect() was called.' });
    expect(client.disconnected.all).toMatchObject([{ code: 1000, willReconnect: true }]);
    expect(client.stateNames).toEqual(['connecting', 'open', 'reconnecting', 'open']);
    expect((await server.peers.take()).frames.all).toMatchObject([{ action: 'joinRoom', data: { roomName: 'lobby' } }]);
    peer.socket.terminate();
  });

  it('connects where there is no connection, and shares an attempt under way', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url, reconnect: false });
    await Promise.all([client.reconnect(), client.connectToServer(), client.reconnect()]);
    expect(server.peers.all).toHaveLength(1);
    await client.reconnect();
    expect([client.state, client.clientId]).toEqual(['open', 'client-2']);
  });

  it('lets disconnect() have the last word', async () => {
    const server = await startServer();
    const { client } = await connect(server);
    const back = client.reconnect();
    client.disconnect();
    await expect(back).rejects.toThrow('disconnect() was called.');
    expect(client.state).toBe('closed');
    expect(client.disconnected.all).toHaveLength(1);
  });

  it.each(['client', 'room'])('lets a listener of the state of the %s have the last word, and says so', async (of) => {
    const server = await startServer();
    const { client } = await connect(server);
    await client.joinRoom('lobby');
    if (of === 'client') client.on('state', ({ state }) => void (state === 'reconnecting' && client.disconnect()));
    else client.room('lobby').on('state', ({ state }) => void (state === 'suspended' && client.disconnect()));
    await expect(client.reconnect()).rejects.toThrow('disconnect() was called.');
    expect(client.state).toBe('closed');
    expect(client.disconnected.all).toMatchObject([{ willReconnect: false }]);
  });
});
