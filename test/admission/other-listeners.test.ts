import { once } from 'node:events';
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fastifyWebsocket from '@fastify/websocket';
import { type INestApplication, Logger } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import type { FastifyInstance } from 'fastify';
import { WebSocket, WebSocketServer as WS } from 'ws';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';
import { RawPeer } from '../support/raw-peer.js';

@WebSocketGateway({ path: '/stock' })
class StockGateway {
  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): unknown {
    return { event: 'echo', data };
  }
}

describe('beside other listeners for upgrades', () => {
  let running: RunningApp;
  let lines: string[];
  const others: WS[] = [];
  const sockets: WebSocket[] = [];
  beforeEach(() => {
    lines = [];
    const none = (): void => undefined;
    const note = (line: unknown): number => lines.push(String(line));
    Logger.overrideLogger({ log: none, error: note, warn: note, debug: none, verbose: none, fatal: note });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.terminate();
    for (const other of others.splice(0)) other.close();
    await running.close();
    Logger.overrideLogger(false);
  });

  const start = async (options: AppOptions = {}): Promise<HttpServer> => {
    running = await startApp({ keepsLogger: true, ...options });
    return running.app.getHttpServer() as HttpServer;
  };
  const open = async (path: string): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${running.port}${path}`);
    sockets.push(socket);
    await once(socket, 'open');
    return socket;
  };
  const echoing = (server: WS): WS => {
    server.on('connection', (socket) => socket.on('message', (data) => socket.send((data as Buffer).toString())));
    others.push(server);
    return server;
  };
  const expectEcho = async (path: string): Promise<void> => {
    const socket = await open(path);
    socket.send('hello');
    expect(String(((await once(socket, 'message')) as [Buffer])[0])).toBe('hello');
  };

  it('a ws server with { server, path } is warned of when it comes, and keeps its own path', async () => {
    const httpServer = await start();
    await running.connect();
    expect(lines).toEqual([]);
    echoing(new WS({ server: httpServer, path: '/other' }));
    expect(lines).toEqual([expect.stringContaining('A WebSocketServer of ws with "server" answers 400')]);
    expect(lines[0]).toContain('connections to "/ws" break. Create it with { noServer: true }');
    await expectEcho('/other');
    expect(running.errors).toEqual([]);
  });

  it('one that was there before is warned of at the start', async () => {
    await start({ configure: (app) => void echoing(new WS({ server: serverOf(app), path: '/other' })) });
    expect(lines).toEqual([expect.stringContaining('{ noServer: true }')]);
    const lost = await RawPeer.handshake(running.port); // its 400, once, and nothing of ours behind it
    await lost.closed;
    expect(lost.answer?.status).toBe(400);
    expect(lost.bytes.toString('latin1').split('HTTP/1.1')).toHaveLength(2);
    expect(lines[1]).toContain('took a connection to "/ws"');
    await expectEcho('/other');
  });

  it('a ws server without a path that was first has taken the socket: it is not cut', async () => {
    await start({ configure: (app) => void echoing(new WS({ server: serverOf(app) })) });
    await expectEcho('/ws');
    await running.server.stop();
    await expectEcho('/ws');
    expect(running.errors).toEqual([]);
  });

  it('one that was added later and takes our path has taken the socket, too, though we would refuse it', async () => {
    const httpServer = await start({ options: { maxConnections: 1, auth: { authenticate: () => null } } });
    echoing(new WS({ server: httpServer, path: '/ws' }));
    await Promise.all([expectEcho('/ws'), expectEcho('/ws')]);
    expect(running.server.status.refused).toEqual({});
  });

  it('a ws server with noServer and its own listener works beside ours without a warning', async () => {
    const httpServer = await start();
    const other = echoing(new WS({ noServer: true }));
    httpServer.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (request.url === '/other') other.handleUpgrade(request, socket, head, (ws) => other.emit('connection', ws));
    });
    await expectEcho('/other');
    const peer = await running.connect();
    await peer.settle();
    expect(lines).toEqual([]);
  });

  it("Nest's WsAdapter is warned of with the name of the adapter to use, and keeps its gateways", async () => {
    await start({
      providers: [StockGateway],
      configure: (app) => void app.useWebSocketAdapter(new WsAdapter(app)),
    });
    expect(lines).toContainEqual(expect.stringContaining('app.useWebSocketAdapter(new PxlWsAdapter(app))'));
    const stock = await open('/stock');
    stock.send(JSON.stringify({ event: 'echo', data: 'stock' }));
    expect(String(((await once(stock, 'message')) as [Buffer])[0])).toContain('stock');
    await expect(running.connect()).rejects.toThrow('socket hang up');
    expect(lines).toContainEqual(expect.stringContaining('took a connection to "/ws"'));
    expect(running.errors).toEqual([]);
  });

  it('@fastify/websocket is warned of with what to do, and keeps its routes', async () => {
    let withRoutes: FastifyInstance | undefined;
    const routes = async (fastify: FastifyInstance): Promise<void> => {
      await fastify.register(fastifyWebsocket as never);
      withRoutes = fastify;
      fastify.register((scope, _options, done) => {
        scope.get(
          '/fast',
          { websocket: true } as never,
          ((socket: WebSocket) => socket.on('message', (data) => socket.send((data as Buffer).toString()))) as never,
        );
        done();
      });
    };
    await start({ configure: (app) => void (app.getHttpAdapter().getInstance() as FastifyInstance).register(routes) });
    expect(lines).toContainEqual(expect.stringContaining('@fastify/websocket answers 404'));
    await expectEcho('/fast');
    // A made-up upgrade, which has no socket.
    const { injectWS } = withRoutes as unknown as { injectWS(path: string): Promise<WebSocket> };
    const injected = await injectWS('/fast');
    injected.terminate();
    expect(running.errors).toEqual([]);
  });
});

const serverOf = (app: INestApplication): HttpServer => app.getHttpServer() as HttpServer;
