import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type CanActivate, UseGuards } from '@nestjs/common';
import {
  ConnectedSocket,
  MessageBody,
  OnGatewayConnection,
  OnGatewayDisconnect,
  OnGatewayInit,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer as NestServer,
  WsException,
} from '@nestjs/websockets';
import { Server as SocketIoServer } from 'socket.io';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import { ClientId, PxlWsAdapter, WebSocketServer, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { RawPeer } from '../support/raw-peer.js';

let running: RunningApp;
afterEach(() => running.close());

@WsGateway('own')
class OwnGateway {
  @WsRoute('echo')
  echo(_ws: WebSocket, _clientId: string, data: unknown): unknown {
    return data;
  }
}

class Refuse implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

const calls: string[] = [];

@WebSocketGateway()
class StockGateway implements OnGatewayInit, OnGatewayConnection, OnGatewayDisconnect {
  @NestServer() server!: unknown;

  afterInit(server: unknown): void {
    calls.push(`init ${server instanceof WebSocketServer}`);
  }

  handleConnection(ws: WebSocket): void {
    calls.push(`connected ${ws.readyState}`);
  }

  handleDisconnect(): void {
    calls.push('disconnected');
  }

  @SubscribeMessage('chat/send')
  send(@MessageBody('text') text: string, @ConnectedSocket() ws: WebSocket, @ClientId() clientId: string): unknown {
    return { text, clientId, isOurs: this.server instanceof WebSocketServer, open: ws.readyState };
  }

  @UseGuards(Refuse)
  @SubscribeMessage('chat/refused')
  refused(): void {}

  @SubscribeMessage('chat/throws')
  throws(): never {
    throw new WsException({ code: 'TOO_LATE', message: 'Too late.' });
  }
}

@WebSocketGateway({ path: '/stock' })
class OtherGateway {
  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): unknown {
    return { event: 'echo', data };
  }
}

const withAdapter = async (providers: (new () => object)[]): Promise<RunningApp> => {
  calls.length = 0;
  return startApp({ providers, configure: (app) => app.useWebSocketAdapter(new PxlWsAdapter(app)) });
};

describe("Nest's own gateways with PxlWsAdapter", () => {
  it('run on our server: same connections, frames and client ids', async () => {
    running = await withAdapter([StockGateway, OwnGateway]);
    const peer = await running.connect();
    const expected = { text: 'hi', clientId: peer.clientId, isOurs: true, open: 1 };
    expect(await peer.request('chat', 'send', { text: 'hi' })).toEqual({
      type: 'chat',
      action: 'send',
      id: 'r1',
      response: expected,
    });
    expect((await peer.request('own', 'echo', 1)).response).toBe(1);
    expect((await peer.request('chat', 'refused')).data.code).toBe('FORBIDDEN');
    expect((await peer.request('chat', 'throws')).data).toMatchObject({ code: 'TOO_LATE', error: 'Too late.' });
    await running.close();
    expect(calls).toEqual(['init true', 'connected 1', 'disconnected']);
  });

  it('R9: keep their own way on other paths of the same port', async () => {
    running = await withAdapter([StockGateway, OtherGateway, OwnGateway]);
    const stock = new WebSocket(`ws://127.0.0.1:${running.port}/stock`);
    await once(stock, 'open');
    stock.send(JSON.stringify({ event: 'echo', data: 'stock' }));
    const [answer] = (await once(stock, 'message')) as [Buffer];
    expect(JSON.parse(answer.toString())).toEqual({ event: 'echo', data: 'stock' });
    const peer = await running.connect();
    expect((await peer.request('own', 'echo', 2)).response).toBe(2);
    stock.terminate();
  });

  it('leave unowned paths to be answered with 404, once for all', async () => {
    running = await withAdapter([OtherGateway]);
    const lost = new WebSocket(`ws://127.0.0.1:${running.port}/nobody`);
    const [error] = (await once(lost, 'error')) as [Error];
    expect(error.message).toContain('404');
  });

  it('fail at start-up when a message is not named type/action', async () => {
    @WebSocketGateway()
    class Unnamed {
      @SubscribeMessage('events')
      events(): void {}
    }
    await expect(withAdapter([Unnamed])).rejects.toThrow(`@SubscribeMessage('chat/send')`);
    running = await startApp();
  });

  it('fail at start-up when they claim a route that is taken', async () => {
    @WsGateway('chat')
    class Taken {
      @WsRoute('send')
      send(): void {}
    }
    await expect(withAdapter([StockGateway, Taken])).rejects.toThrow('Route "chat/send" is declared by');
    running = await startApp();
  });
});

describe('other servers on the same port', () => {
  it('R9: leaves socket.io its own path', async () => {
    running = await startApp({ providers: [OwnGateway], platform: 'express' });
    const socketIo = new SocketIoServer(running.app.getHttpServer() as HttpServer, { destroyUpgradeTimeout: 10 });
    socketIo.on('connection', (socket) => socket.on('echo', (data, reply: (data: unknown) => void) => reply(data)));
    const client = io(`http://127.0.0.1:${running.port}`, { transports: ['websocket'], reconnection: false });
    try {
      expect(await client.timeout(5_000).emitWithAck('echo', 'socket.io')).toBe('socket.io');
      const peer = await running.connect();
      expect((await peer.request('own', 'echo', 3)).response).toBe(3);
    } finally {
      client.close();
      socketIo.engine.close(); // close() would end the application's HTTP server, too
    }
  });

  it('answers 404 where nobody else listens, instead of leaving the peer hanging', async () => {
    running = await startApp();
    const peer = await RawPeer.handshake(running.port, { path: '/other' });
    expect(peer.answer?.headers).toMatch(/^HTTP\/1\.1 404 Not Found\r\nConnection: close\r\n/);
    expect(JSON.parse(peer.answer?.body ?? '')).toEqual({
      code: 'NOT_FOUND',
      error: 'No WebSocket is served on this path.',
    });
    await peer.closed;
  });
});
