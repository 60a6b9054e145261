import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { HandshakeRefusedError } from '../../lib/client/handshake-refused-error.js';
import { ConnectionError } from '../../lib/errors.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';
import { aMoment, cleanUp, connect, deferred, onCleanUp, startServer, TestClient } from './support.js';

afterEach(cleanUp);

/** Accepts TCP and then says what a test wants it to say, which is nothing by default. */
async function startTcp(
  onSocket: (socket: Socket) => void = () => undefined,
): Promise<{ url: string; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    socket.resume();
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onCleanUp(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`, sockets };
}

/** @returns beside the time of day, the time that counts for what is promised */
async function timed(work: Promise<unknown>): Promise<{ error: unknown; ms: number; countedMs: number }> {
  const start = performance.now();
  const watch = new Stopwatch();
  const error: unknown = await work.then(() => undefined).catch((thrown: unknown) => thrown);
  return { error, ms: performance.now() - start, countedMs: watch.ms };
}

describe('L6: connectToServer() settles within its timeout', () => {
  it('L6: when the server accepts TCP and says nothing', async () => {
    const { url, sockets } = await startTcp();
    const client = new TestClient({ url, connectTimeoutMs: 150 });
    const { error, ms, countedMs } = await timed(client.connectToServer());
    expect(error).toBeInstanceOf(ConnectionError);
    expect(ms).toBeGreaterThan(100);
    expect(countedMs).toBeLessThan(3_000);
    expect(client.state).toBe('closed');
    await until(() => sockets.size === 0);
  });

  it('L6: when the server upgrades and never greets', async () => {
    const server = await startServer();
    server.greet = () => undefined;
    const client = new TestClient({ url: server.url, connectTimeoutMs: 150 });
    const { error, countedMs } = await timed(client.connectToServer());
    expect(error).toBeInstanceOf(ConnectionError);
    expect(String(error)).toMatch(/is silent \(150 ms\)\./);
    expect(countedMs).toBeLessThan(3_000);
    await (
      await server.peers.take()
    ).closed;
  });

  it('L6: when the url function never answers', async () => {
    const client = new TestClient({ url: () => new Promise<string>(() => undefined), connectTimeoutMs: 100 });
    const { error } = await timed(client.connectToServer());
    expect(error).toBeInstanceOf(ConnectionError);
  });

  it('L6: when rooms are never joined again, and is connected all the same', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { connectTimeoutMs: 1_000 });
    await client.joinRoom('lobby');
    server.answer = () => undefined;
    peer.socket.terminate();
    await client.until('reconnecting');
    const { error, countedMs } = await timed(client.connectToServer());
    expect(error).toBeUndefined();
    expect(countedMs).toBeLessThan(3_000);
    expect(client.state).toBe('open');
  });

  it('L6: at once when nothing listens', async () => {
    const server = await startServer();
    const { url } = server;
    await server.stop();
    const client = new TestClient({ url });
    await expect(client.connectToServer()).rejects.toThrow(/ECONNREFUSED/);
    expect(client.state).toBe('closed');
    expect(client.errors.all).toEqual([]);
  });

  it('L6: at once when something else answers', async () => {
    const { url } = await startTcp((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
    await expect(new TestClient({ url }).connectToServer()).rejects.toThrow(ConnectionError);
  });

  it('L6: when a refusal begins and its body never ends', async () => {
    const { url } = await startTcp((socket) => socket.write('HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\n{'));
    const { error } = await timed(new TestClient({ url, connectTimeoutMs: 150 }).connectToServer());
    expect(error).toBeInstanceOf(HandshakeRefusedError);
  });
});

describe('connectToServer()', () => {
  it('is open with the id and the user of the greeting', async () => {
    const server = await startServer();
    server.greet = (peer) =>
      peer.send({ type: 'system', action: 'connected', data: { clientId: 'c1', user: { userId: '7f3e-uuid' } } });
    const { client } = await connect(server);
    expect(client.type).toBe('client');
    expect(client.state).toBe('open');
    expect(client.clientId).toBe('c1');
    expect(client.user).toEqual({ userId: '7f3e-uuid' });
    expect(client.isClientConnected()).toBe(true);
    expect(client.stateNames).toEqual(['connecting', 'open']);
    expect(client.connected.all).toMatchObject([{ clientId: 'c1' }]);
  });

  it('shares one attempt between calls, and resolves at once when open', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url });
    expect(client.connectToServer()).toBe(client.connectToServer());
    await client.connectToServer();
    await client.connectToServer();
    expect(server.peers.all).toHaveLength(1);
  });

  it('asks the sources of url, protocols and headers before every attempt', async () => {
    const server = await startServer();
    let asked = 0;
    const url = async (): Promise<string> => `${server.url}?token=${(asked += 1)}`;
    const headers = (): Record<string, string> => ({ authorization: `Bearer ${asked}` });
    const { client, peer } = await connect(server, { url, headers, protocols: () => ['pxl'] });
    expect(peer.request.url).toBe('/ws?token=1');
    peer.socket.close(4200);
    const second = await server.peers.take();
    expect(second.request.url).toBe('/ws?token=2');
    expect(second.request.headers['authorization']).toMatch(/^Bearer [12]$/);
    expect(second.request.headers['sec-websocket-protocol']).toBe('pxl');
    await client.until('open');
  });

  it('rejects when a source throws, with its error as the cause', async () => {
    const failure = new Error('no token');
    const client = new TestClient({ url: () => Promise.reject(failure) });
    await expect(client.connectToServer()).rejects.toMatchObject({ code: 'CONNECTION', cause: failure });
  });

  it('rejects when a source returns an invalid URL', async () => {
    await expect(new TestClient({ url: () => 'nowhere' }).connectToServer()).rejects.toThrow(/url must be ws:/);
  });

  it.each([
    [401, /HTTP 401 \(UNAUTHENTICATED\)\. Give a valid token/],
    [403, /HTTP 403/],
    [404, /HTTP 404.*path/],
    [503, /HTTP 503/],
  ])('says the HTTP status of a refusal with %i', async (status, sentence) => {
    const server = await startServer();
    server.refusal = { status, body: '{"code":"UNAUTHENTICATED","error":"No token."}' };
    const failure = new TestClient({ url: server.url }).connectToServer();
    await expect(failure).rejects.toThrow(sentence);
    await expect(failure).rejects.toMatchObject({ code: 'CONNECTION', status, refusalCode: 'UNAUTHENTICATED' });
  });

  it('rejects with the close code when the server closes instead of greeting', async () => {
    const server = await startServer();
    server.greet = (peer) => peer.socket.close(4001, 'token');
    const client = new TestClient({ url: server.url });
    await expect(client.connectToServer()).rejects.toMatchObject({ closeCode: 4001 });
  });

  it('skips and reports frames that come before the greeting', async () => {
    const server = await startServer();
    server.greet = (peer) => {
      peer.send({ type: 'chat', action: 'said', data: 1 });
      peer.send({ type: 'system', action: 'connected', data: { clientId: 5 } });
      peer.send({ type: 'system', action: 'connected', data: { clientId: 'good' } });
    };
    const { client } = await connect(server);
    expect(client.clientId).toBe('good');
    expect(client.errors.all).toHaveLength(2);
    expect(client.messages.all).toEqual([]);
  });

  it('hands out no message before onConnected, not even one in the same packet as the greeting', async () => {
    const server = await startServer();
    server.greet = (peer) => {
      peer.request.socket.cork();
      peer.send({ type: 'system', action: 'connected', data: { clientId: 'c' } });
      for (const data of [1, 2]) peer.send({ type: 'chat', action: 'said', data });
      peer.request.socket.uncork();
    };
    const order: unknown[] = [];
    const events = { onConnected: () => order.push('connected') };
    const client = new TestClient({ url: server.url, events });
    const second = new Promise((resolve) =>
      client.on('chat', 'said', (data) => {
        order.push(data);
        client.sendMessage({ type: 'chat', action: 'seen' });
        if (data === 2) resolve(undefined);
      }),
    );
    await client.connectToServer();
    await second;
    expect(order).toEqual(['connected', 1, 2]);
  });

  it('loads its handlers once, before the first attempt, and again when that failed', async () => {
    const server = await startServer();
    const loadHandlers = jest.fn<() => Promise<void>>().mockRejectedValueOnce(new Error('not yet'));
    class LoadingClient extends TestClient {
      protected override loadHandlers(): Promise<void> {
        return loadHandlers();
      }
    }
    loadHandlers.mockResolvedValue();
    const client = new LoadingClient({ url: server.url });
    await expect(client.connectToServer()).rejects.toThrow(/not yet/);
    await client.load();
    await client.connectToServer();
    await client.load();
    expect(loadHandlers).toHaveBeenCalledTimes(2);
  });
});

describe('L6: disconnect() works in every state', () => {
  it('L6: idle', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url });
    client.disconnect();
    expect(client.state).toBe('idle');
    await client.connectToServer();
    expect(client.state).toBe('open');
  });

  it('L6: while the url function is asked', async () => {
    const server = await startServer();
    const { promise, resolve } = deferred<string>();
    const client = new TestClient({ url: () => promise });
    const outcome = timed(client.connectToServer());
    await aMoment(10);
    client.disconnect();
    expect((await outcome).error).toBeInstanceOf(ConnectionError);
    resolve(server.url);
    await aMoment();
    expect(server.peers.all).toEqual([]);
    expect(client.stateNames).toEqual(['connecting', 'closed']);
  });

  it('L6: during the handshake', async () => {
    const { url, sockets } = await startTcp();
    const client = new TestClient({ url });
    const outcome = timed(client.connectToServer());
    await until(() => sockets.size === 1);
    client.disconnect();
    expect((await outcome).error).toMatchObject({ message: 'disconnect() was called.' });
    await until(() => sockets.size === 0);
    expect(client.disconnected.all).toEqual([]);
  });

  it('L6: before the greeting', async () => {
    const server = await startServer();
    server.greet = () => undefined;
    const client = new TestClient({ url: server.url });
    const outcome = timed(client.connectToServer());
    const peer = await server.peers.take();
    client.disconnect();
    expect((await outcome).error).toBeInstanceOf(ConnectionError);
    await peer.closed;
    expect(client.state).toBe('closed');
  });

  it('L6: open, with the code and reason it was given', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    client.disconnect(4321, 'ü'.repeat(100));
    expect(client.state).toBe('closed');
    expect(client.clientId).toBeUndefined();
    expect(client.isClientConnected()).toBe(false);
    expect(client.disconnected.all).toEqual([
      { clientId: 'client-1', code: 4321, reason: 'ü'.repeat(100), willReconnect: false },
    ]);
    expect(await peer.closed).toEqual({ code: 4321, reason: 'ü'.repeat(61) });
  });

  it('L6: open, with a code that may not be sent', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    client.disconnect(1006);
    expect((await peer.closed).code).toBe(1000);
  });

  it('L6: while rooms are joined again', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    await client.joinRoom('lobby');
    server.answer = () => undefined;
    peer.socket.terminate();
    const second = await server.peers.take();
    await second.next('system', 'joinRoom');
    client.disconnect(4000);
    expect((await second.closed).code).toBe(4000);
    expect(client.state).toBe('closed');
    expect(client.connected.all).toHaveLength(1);
  });

  it('L6: while it waits to reconnect', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { reconnect: { minDelayMs: 20_000, maxDelayMs: 20_000 } });
    peer.socket.terminate();
    await client.reconnecting.take();
    client.disconnect();
    expect(client.stateNames).toEqual(['connecting', 'open', 'reconnecting', 'closed']);
    await aMoment();
    expect(server.peers.all).toHaveLength(1);
  });

  it('L6: closed, any number of times', async () => {
    const server = await startServer();
    const { client } = await connect(server);
    for (let count = 0; count < 3; count += 1) client.disconnect();
    expect(client.disconnected.all).toHaveLength(1);
  });

  it('L6: from within every callback', async () => {
    for (const name of ['onConnected', 'onStateChanged', 'onDisconnected', 'onReconnecting'] as const) {
      const server = await startServer();
      const client: TestClient = new TestClient({ url: server.url, events: { [name]: () => client.disconnect() } });
      await client.connectToServer().catch((error: unknown) => expect(error).toBeInstanceOf(ConnectionError));
      if (client.state === 'open') (await server.peers.take()).socket.terminate();
      await until(() => client.state === 'closed');
      await aMoment();
      expect(client.state).toBe('closed');
    }
  });

  it('L6: from within onStateChanged when it opens: no other event follows', async () => {
    const server = await startServer();
    const before = timers();
    const client: TestClient = new TestClient({
      url: server.url,
      pingIntervalMs: 10,
      events: { onStateChanged: ({ state }) => state === 'open' && client.disconnect() },
    });
    await expect(client.connectToServer()).rejects.toThrow('disconnect() was called.');
    const peer = await server.peers.take();
    await peer.closed;
    await until(() => timers() <= before);
    expect(client.connected.all).toEqual([]);
    expect(client.disconnected.all).toEqual([]);
    expect(peer.frames.all).toEqual([]);
  });

  it('L6: and lets a new connectToServer() begin at once, which the old attempt never disturbs', async () => {
    const server = await startServer();
    server.greet = () => undefined;
    const client = new TestClient({ url: server.url });
    const first = timed(client.connectToServer());
    await server.peers.take();
    client.disconnect();
    server.greet = (peer) => peer.send({ type: 'system', action: 'connected', data: { clientId: 'second' } });
    await client.connectToServer();
    expect((await first).error).toBeInstanceOf(ConnectionError);
    expect(client.clientId).toBe('second');
    await aMoment();
    expect(client.state).toBe('open');
  });

  it('L6: cuts a socket whose server does not finish closing', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server);
    const { ws } = await client.connected.take();
    peer.socket.pause();
    const closed = once(ws, 'close');
    const { ms, countedMs } = await timed((client.disconnect(), closed));
    expect(ms).toBeGreaterThan(900);
    expect(countedMs).toBeLessThan(3_000);
  });

  it('L6: ten cycles leave no socket and no timer', async () => {
    const server = await startServer();
    const client = new TestClient({ url: server.url, pingIntervalMs: 1_000 });
    const before = timers();
    for (let cycle = 0; cycle < 10; cycle += 1) {
      await client.connectToServer();
      await client.joinRoom('lobby');
      const pending = client.request('never', 'answered').catch((error: unknown) => error);
      client.disconnect();
      expect(await pending).toBeInstanceOf(ConnectionError);
      await (
        await server.peers.take()
      ).closed;
    }
    await until(() => server.openSockets === 0 && timers() <= before);
    expect(client.connected.all).toHaveLength(10);
    expect(client.disconnected.all).toHaveLength(10);
  });
});

const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
