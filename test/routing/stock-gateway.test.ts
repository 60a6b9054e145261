import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import {
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer as NestServer,
  type WsResponse,
} from '@nestjs/websockets';
import { IsString } from 'class-validator';
import { map, type Observable, of, throwError, concat } from 'rxjs';
import type { WebSocket } from 'ws';
import { PxlWsAdapter, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';

class SaidDto {
  @IsString()
  text!: string;
}

class Twice implements NestInterceptor {
  intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((value) => ({ ...(value as object), data: [(value as WsResponse).data, 'seen'] })));
  }
}

@WebSocketGateway()
class StockGateway {
  @NestServer() server!: { clients: Set<WebSocket> };

  @SubscribeMessage('chat/bare')
  bare(client: WebSocket, data: unknown, ...more: unknown[]): unknown {
    return { isOpen: client.readyState === client.OPEN, data, more };
  }

  @UsePipes(new ValidationPipe())
  @SubscribeMessage('chat/piped')
  piped(client: WebSocket, data: SaidDto): unknown {
    return { isOpen: client.readyState === client.OPEN, type: data.constructor.name };
  }

  /** As in Nest's documentation of `ws`. */
  @SubscribeMessage('chat/all')
  all(_client: WebSocket, data: unknown): string {
    for (const n of [1, 2]) {
      this.server.clients.forEach((client) =>
        client.send(JSON.stringify({ type: 'chat', action: 'told', data: [n, data] })),
      );
    }
    return 'told';
  }

  @SubscribeMessage('chat/said')
  said(_client: WebSocket, data: unknown): WsResponse<unknown> {
    return { event: 'chat/heard', data };
  }

  @SubscribeMessage('chat/later')
  async later(@MessageBody() data: unknown): Promise<WsResponse<unknown>> {
    return { event: 'chat/heard', data };
  }

  @UseInterceptors(new Twice())
  @SubscribeMessage('chat/intercepted')
  intercepted(@MessageBody() data: unknown): WsResponse<unknown> {
    return { event: 'chat/heard', data };
  }

  @SubscribeMessage('chat/count')
  count(): Observable<WsResponse<number>> {
    return of(1, 2, 3).pipe(map((data) => ({ event: 'chat/counted', data })));
  }

  @UseInterceptors(new Twice())
  @SubscribeMessage('chat/count-twice')
  countTwice(): Observable<WsResponse<number>> {
    return this.count();
  }

  @SubscribeMessage('chat/count-badly')
  countBadly(): Observable<WsResponse<number>> {
    return concat(
      this.count(),
      throwError(() => new Error('enough')),
    );
  }

  @SubscribeMessage('chat/nameless')
  nameless(): WsResponse<number> {
    return { event: 'events', data: 1 };
  }

  @SubscribeMessage('chat/calendar')
  calendar(): unknown {
    return { event: 'Party', data: 1, place: 'here' };
  }

  @SubscribeMessage('chat/both')
  @WsRoute('own', 'both')
  both(...args: unknown[]): number {
    return args.length;
  }
}

@WsGateway('own')
class OwnGateway {
  @WsRoute('said')
  said(): unknown {
    return { event: 'chat/heard', data: 1 };
  }
}

describe('a stock gateway behind PxlWsAdapter', () => {
  let running: RunningApp;
  let peer: Peer;
  beforeEach(async () => {
    running = await startApp({
      providers: [StockGateway, OwnGateway],
      configure: (app) => app.useWebSocketAdapter(new PxlWsAdapter(app)),
    });
    peer = await running.connect();
  });
  afterEach(() => running.close());

  it('calls methods without parameter decorators with (client, data)', async () => {
    expect((await peer.request('chat', 'bare', { text: 'hi' })).response).toEqual({
      isOpen: true,
      data: { text: 'hi' },
      more: [],
    });
  });

  it('gives pipes the data of methods without parameter decorators', async () => {
    expect((await peer.request('chat', 'piped', { text: 'hi' })).response).toEqual({ isOpen: true, type: 'Object' });
    expect((await peer.request('chat', 'piped', { text: 1 })).data.code).toBe('VALIDATION_FAILED');
  });

  it('calls a method that is a route of both kinds in the way of each', async () => {
    expect((await peer.request('chat', 'both')).response).toBe(2);
    expect((await peer.request('own', 'both')).response).toBe(3);
  });

  it('reaches every socket by server.clients, in the order of what the server sends itself', async () => {
    const other = await running.connect();
    await running.service.broadcast({ type: 'chat', action: 'before' });
    peer.send('chat', 'all', 'x', 'a');
    await other.take(({ action }) => action === 'told');
    await running.service.broadcast({ type: 'chat', action: 'after' });
    await peer.take(({ action }) => action === 'after');
    await other.settle();
    expect(peer.received.map(({ action, data, response }) => [action, data ?? response])).toEqual([
      ['before', undefined],
      ['told', [1, 'x']],
      ['told', [2, 'x']],
      ['all', 'told'],
    ]);
    expect(other.received.map(({ action }) => action)).toEqual(['before', 'told', 'after']);
    expect(running.server.clients.size).toBe(2);
    other.terminate();
  });

  it.each(['said', 'later'])(
    'sends what it returns as { event, data } as that message, then the reply (%s)',
    async (action) => {
      peer.send('chat', action, { text: 'hi' }, 7);
      await peer.settle();
      expect(peer.received).toEqual([
        { type: 'chat', action: 'heard', data: { text: 'hi' } },
        { type: 'chat', action, id: 7, response: null },
      ]);
    },
  );

  it('sends only the message where the client sent no id', async () => {
    peer.send('chat', 'said', 'hi');
    await peer.settle();
    expect(peer.received).toEqual([{ type: 'chat', action: 'heard', data: 'hi' }]);
  });

  it('sends what interceptors made of it', async () => {
    peer.send('chat', 'intercepted', 'hi', 7);
    await peer.settle();
    expect(peer.received).toEqual([
      { type: 'chat', action: 'heard', data: ['hi', 'seen'] },
      { type: 'chat', action: 'intercepted', id: 7, response: null },
    ]);
  });

  it.each([
    ['count', [1, 2, 3]],
    ['count-twice', [1, 2, 3].map((n) => [n, 'seen'])],
  ])(
    'sends each { event, data } of an Observable as a message, and the end to whoever asked (%s)',
    async (action, data) => {
      peer.send('chat', action, undefined, 7);
      await peer.take(({ id }) => id === 7);
      expect(peer.received.map((frame) => [frame.type, frame.action, frame.data])).toEqual(
        data.map((value) => ['chat', 'counted', value]),
      );
    },
  );

  it('answers with the error of an Observable after its messages', async () => {
    const error = await peer.request('chat', 'count-badly');
    expect(error.data.code).toBe('INTERNAL');
    expect(peer.received.map(({ data }) => data)).toEqual([1, 2, 3]);
    expect(running.errors.map(({ message }) => message)).toEqual(['enough']);
  });

  it('reports an event that is not named type/action, with the remedy', async () => {
    expect((await peer.request('chat', 'nameless')).data.code).toBe('INTERNAL');
    expect(running.errors.map(({ message }) => message)).toEqual([
      "chat/nameless returned { event: 'events', … }. On this server a message is named 'type/action', e.g. { event: 'chat/said', data }.",
    ]);
  });

  it('answers with objects that only have a field "event", and with those of our own routes', async () => {
    expect((await peer.request('chat', 'calendar')).response).toEqual({ event: 'Party', data: 1, place: 'here' });
    expect((await peer.request('own', 'said')).response).toEqual({ event: 'chat/heard', data: 1 });
  });
});
