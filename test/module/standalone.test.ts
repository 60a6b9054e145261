import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import fastify from 'fastify';
import { of } from 'rxjs';
import { WebSocketServer } from '../../lib/index.js';
import { Peer } from '../support/peer.js';

const options = { clientList: false, drain: { spreadMs: 10, terminateAfterMs: 500 } } as const;

describe('a server outside a Nest application', () => {
  it('runs on Fastify, with routes added by hand', async () => {
    const web = fastify();
    const server = new WebSocketServer(options);
    server.route('chat', 'send', (_ws, clientId, data) => ({ clientId, data }));
    server.route('chat', 'count', () => of(1, 2));
    await server.load();
    const { server: wss } = await server.start({ fastifyServer: web });
    await web.listen({ port: 0, host: '127.0.0.1' });
    const url = `ws://127.0.0.1:${(web.server.address() as AddressInfo).port}/ws`;
    const peer = await Peer.open(url);
    expect((await peer.request('chat', 'send', 1)).response).toEqual({ clientId: peer.clientId, data: 1 });
    expect((await peer.request('chat', 'count')).more).toBe(true);
    expect(wss.clients.size).toBe(1);
    await server.stop();
    expect(await peer.closed).toEqual({ code: 1012, reason: 'server restarting' });
    await web.close();
  });

  it('starts and stops ten times on one HTTP server and leaves no listener', async () => {
    const web = createServer().listen(0, '127.0.0.1');
    await once(web, 'listening');
    const server = new WebSocketServer(options);
    await server.load();
    for (let round = 0; round < 10; round++) {
      await server.start({ httpServer: web });
      expect(server.isRunning).toBe(true);
      await (await Peer.open(`ws://127.0.0.1:${(web.address() as AddressInfo).port}/ws`)).join('lobby');
      await Promise.all([server.stop(), server.stop()]);
      expect(server.isRunning).toBe(false);
      expect(server.rooms.size + server.clientManager.size + web.listenerCount('upgrade')).toBe(0);
    }
    await new Promise((resolve) => web.close(resolve));
  });

  it('says what is missing', async () => {
    const server = new WebSocketServer(options);
    await expect(server.start()).rejects.toThrow('Call "await server.load()" first');
    await server.load();
    await expect(server.start()).rejects.toThrow('start({ fastifyServer }) or start({ httpServer })');
    await server.stop();
  });
});
