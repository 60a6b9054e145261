import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocketServer } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { Peer } from '../support/peer.js';
import { frameBytes, RawPeer } from '../support/raw-peer.js';
import { standStill } from '../support/stand-still.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

const IDLE_MS = 600;
const CHECK_MS = 20;

describe('L1: idle clients', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  const start = async (heartbeat: false | { pingIntervalMs: number; pongTimeoutMs: number } = false): Promise<void> => {
    running = await startApp({
      options: {
        heartbeat,
        disconnectInactiveClients: { inactiveTimeMs: IDLE_MS, intervalCheckTimeMs: CHECK_MS },
      },
    });
  };

  it('are closed with 4208 on time, not before', async () => {
    await start();
    const peer = await running.connect();
    const since = running.clients.getClient(peer)!.lastActivity;
    const watch = new Stopwatch();
    expect((await peer.closed).code).toBe(4208);
    const idle = Date.now() - since;
    expect(idle).toBeGreaterThanOrEqual(IDLE_MS);
    expect(watch.ms).toBeLessThan(IDLE_MS * 10);
    expect(running.clients.size).toBe(0);
  });

  it('messages keep a client, answered or not', async () => {
    await start();
    const [talking, wrong, silent] = [await running.connect(), await running.connect(), await running.connect()];
    for (let count = 0; count < 10; count++) {
      await pause(IDLE_MS / 5);
      talking.send('system', 'ping');
      wrong.send('no', 'route');
    }
    expect((await silent.closed).code).toBe(4208);
    expect(running.clients.size).toBe(2);
  });

  it('a message that came while this process stood still keeps a client', async () => {
    await start();
    const peer = await running.connect();
    peer.send('system', 'ping');
    standStill(IDLE_MS + CHECK_MS);
    await peer.settle();
    expect(running.clients.size).toBe(1);
  });

  it('pongs keep a client', async () => {
    await start({ pingIntervalMs: 100, pongTimeoutMs: 10_000 });
    const answering = await running.connect();
    const mute = await running.connect({ autoPong: false });
    const unasked = await RawPeer.open(running.port);
    const pongs = setInterval(() => unasked.write(frameBytes({ opcode: 10 })), 50);
    expect((await mute.closed).code).toBe(4208);
    await pause(IDLE_MS);
    clearInterval(pongs);
    expect(running.clients.size).toBe(2);
    await answering.settle();
    unasked.reset();
  });

  it('a peer that answers no ping is closed with 4201', async () => {
    running = await startApp({ options: { heartbeat: { pingIntervalMs: 50, pongTimeoutMs: 500 } } });
    const mute = await running.connect({ autoPong: false });
    const answering = await running.connect();
    expect((await mute.closed).code).toBe(4201);
    await answering.settle();
    expect(running.clients.size).toBe(1);
  });
});

describe('L1: start() and stop()', () => {
  let http: Server;
  afterEach(() => new Promise((resolve) => http.close(resolve)));

  it('work ten times on one HTTP server and leave nothing on it', async () => {
    http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    const events = http.eventNames().map((name) => [name, http.listenerCount(name)]);
    const server = new WebSocketServer({ drain: { spreadMs: 0, terminateAfterMs: 1_000 } });
    server.route('echo', 'back', (_ws, _clientId, data) => data);
    await server.load();
    for (let round = 0; round < 10; round++) {
      await server.start({ httpServer: http });
      await server.start({ httpServer: http });
      expect(http.listenerCount('upgrade')).toBe(1);
      const peer = await Peer.open(`ws://127.0.0.1:${port}/ws`);
      await peer.join('lobby');
      expect((await peer.request('echo', 'back', round)).response).toBe(round);
      await Promise.all([server.stop(), server.stop()]);
      expect((await peer.closed).code).toBe(1012);
      expect(server.clientManager.size).toBe(0);
      expect(server.rooms.size).toBe(0);
      expect(http.eventNames().map((name) => [name, http.listenerCount(name)])).toEqual(events);
      await untilAllClosed();
    }
  });

  it('may overlap: what was stopped stays stopped', async () => {
    http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const server = new WebSocketServer({ drain: { spreadMs: 0, terminateAfterMs: 1_000 } });
    await server.load();
    await server.stop();
    await Promise.all([server.start({ httpServer: http }), server.stop()]);
    expect([server.isRunning, http.listenerCount('upgrade')]).toEqual([false, 0]);
    await server.start({ httpServer: http });
    expect([server.isRunning, http.listenerCount('upgrade')]).toEqual([true, 1]);
    await server.stop();
  });

  it('stop() waits for sockets that were being closed before', async () => {
    http = createServer();
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    const server = new WebSocketServer({ drain: { spreadMs: 0, terminateAfterMs: 200 } });
    await server.load();
    await server.start({ httpServer: http });
    const peer = await RawPeer.open(port, { allowHalfOpen: true });
    const [client] = server.getClients();
    server.clientManager.disconnectClient({ clientId: client!.clientId });
    await server.stop();
    await untilAllClosed();
    peer.reset();
  });

  async function untilAllClosed(): Promise<void> {
    const connections = (): Promise<number> =>
      new Promise((resolve, reject) => http.getConnections((error, count) => (error ? reject(error) : resolve(count))));
    await until(async () => (await connections()) === 0);
  }
});
