import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type INestApplicationContext, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import {
  PxlWebSocketModule,
  WebSocketClientManager,
  WebSocketRoomManager,
  WebSocketServer,
  WebSocketService,
  WsGateway,
  WsRoute,
} from '../../lib/index.js';
import { LogLines } from '../support/log-lines.js';
import { Peer } from '../support/peer.js';

@Injectable()
class Everything {
  constructor(
    readonly server: WebSocketServer,
    readonly clients: WebSocketClientManager,
    readonly rooms: WebSocketRoomManager,
    readonly service: WebSocketService,
  ) {}
}

@WsGateway('own')
class Gateway {
  @WsRoute('echo')
  echo(_ws: unknown, _clientId: string, data: unknown): unknown {
    return data;
  }
}

@Module({
  imports: [PxlWebSocketModule.forRoot({ drain: { spreadMs: 0, terminateAfterMs: 1_000 } })],
  providers: [Everything, Gateway],
})
class AppModule {}

const SAID = 'debug [WebSocketServer] There is no HTTP server here, so the WebSocket server is not started';

describe('an application without an HTTP server', () => {
  let log: LogLines;
  const closing: { close(): Promise<unknown> }[] = [];
  beforeEach(() => {
    log = new LogLines();
  });
  afterEach(async () => {
    for (const one of closing.splice(0).toReversed()) await one.close();
    log.stop();
  });

  const expectUnstarted = (app: INestApplicationContext): void => {
    const { server, clients, rooms, service } = app.get(Everything);
    expect(server.isRunning).toBe(false);
    expect(clients).toBe(server.clientManager);
    expect(rooms).toBe(server.roomManager);
    expect(service).toBeInstanceOf(WebSocketService);
    expect(log.of(SAID)).toHaveLength(1);
    expect(log.of('warn')).toEqual([]);
    expect(log.of('error')).toEqual([]);
  };

  const echo = async (app: { getHttpServer(): unknown }): Promise<unknown> => {
    const { port } = (app.getHttpServer() as HttpServer).address() as AddressInfo;
    const peer = await Peer.open(`ws://127.0.0.1:${port}/ws`);
    const { response } = await peer.request('own', 'echo', 7);
    peer.terminate();
    return response;
  };

  it('has a server that is not started, and says so at debug level: a testing module', async () => {
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .setLogger(log.logger)
      .compile();
    closing.push(await module.init());
    expectUnstarted(module);
    await expect(module.get(WebSocketService).broadcast({ type: 'a', action: 'b' })).resolves.toBeUndefined();
  });

  it('has a server that is not started, and says so at debug level: an application context', async () => {
    const app = await NestFactory.createApplicationContext(AppModule, { abortOnError: false });
    closing.push(app);
    expectUnstarted(app);
  });

  it('says so once, however many servers it has', async () => {
    @Module({ imports: [AppModule, PxlWebSocketModule.forRoot({ name: 'admin', path: '/admin' })] })
    class TwoServers {}
    const app = await NestFactory.createApplicationContext(TwoServers, { abortOnError: false });
    closing.push(app);
    expectUnstarted(app);
  });

  it('starts with the application that listens later', async () => {
    const module = await Test.createTestingModule({ imports: [AppModule] })
      .setLogger(log.logger)
      .compile();
    await module.init();
    expectUnstarted(module);
    const app = module.createNestApplication(new FastifyAdapter());
    closing.push(app);
    await app.listen(0, '127.0.0.1');
    expect(module.get(WebSocketServer).isRunning).toBe(true);
    expect(await echo(app)).toBe(7);
  });

  it('starts with init(), for an HTTP server that listens later', async () => {
    const app = await NestFactory.create(AppModule, new FastifyAdapter(), { abortOnError: false });
    closing.push(app);
    await app.init();
    expect(log.of(SAID)).toEqual([]);
    await app.listen(0, '127.0.0.1');
    expect(await echo(app)).toBe(7);
  });

  it('serves an HTTP server that it is given by hand', async () => {
    const app = await NestFactory.createApplicationContext(AppModule, { abortOnError: false });
    const web = new FastifyAdapter().getInstance();
    closing.push(app, web);
    const server = app.get(WebSocketServer);
    await server.load();
    await server.start({ fastifyServer: web });
    await web.listen({ port: 0, host: '127.0.0.1' });
    expect(await echo({ getHttpServer: () => web.server })).toBe(7);
  });
});
