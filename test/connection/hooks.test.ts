import { afterEach, describe, expect, it } from '@jest/globals';
import { ForbiddenException, Injectable, UnauthorizedException } from '@nestjs/common';
import type { OnGatewayConnection, OnGatewayDisconnect, OnGatewayInit } from '@nestjs/websockets';
import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import {
  type Disconnection,
  PXL_DATABASE,
  PXL_QUEUE_MANAGER,
  PXL_REDIS,
  WebSocketClientManager,
  WebSocketRedisSubscriberEvent,
  WebSocketServer,
  WebSocketServerBaseController,
  WsGateway,
  WsRoute,
  WsSubscribe,
} from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';

let running: RunningApp;
afterEach(() => running.close());

describe('the hooks of a class with routes', () => {
  it('are called with the server, the socket and its request, and how it left', async () => {
    const calls: unknown[] = [];
    let leave!: (disconnection: unknown) => void;
    const left = new Promise<unknown>((resolve) => (leave = resolve));
    @WsGateway('hooks')
    class Hooks implements OnGatewayInit, OnGatewayConnection, OnGatewayDisconnect {
      afterInit(server: WebSocketServer): void {
        calls.push(server instanceof WebSocketServer);
      }
      handleConnection(ws: WebSocket, request: IncomingMessage): void {
        calls.push([ws.readyState, request.url]);
      }
      handleDisconnect(_ws: WebSocket, reason?: string, disconnection?: Disconnection): void {
        leave([reason, disconnection?.code, disconnection?.rooms, disconnection?.clientId]);
      }
    }
    running = await startApp({ providers: [Hooks] });
    const peer = await running.connectTo(`${running.url}?token=1`);
    await peer.join('lobby');
    peer.ws.close(1000, 'bye');
    expect(await left).toEqual(['bye', 1000, ['lobby'], peer.clientId]);
    expect(calls).toEqual([true, [1, '/ws?token=1']]);
  });

  it('hold back the messages of a client until they have finished', async () => {
    const order: string[] = [];
    let release!: () => void;
    const isReleased = new Promise<void>((resolve) => (release = resolve));
    @WsGateway('hooks')
    class Slow implements OnGatewayConnection {
      async handleConnection(): Promise<void> {
        await isReleased;
        order.push('handleConnection');
      }
      @WsRoute('go')
      go(): void {
        order.push('handler');
      }
    }
    running = await startApp({
      providers: [Slow],
      options: { events: { onConnected: async () => void order.push(await Promise.resolve('onConnected')) } },
    });
    const peer = await running.connect();
    const answered = peer.request('hooks', 'go');
    await peer.settle();
    expect(order).toEqual(['onConnected']);
    release();
    await answered;
    expect(order).toEqual(['onConnected', 'handleConnection', 'handler']);
  });

  it.each([
    ['unauthorized', new UnauthorizedException('Who?'), 4001, 'Who?'],
    ['forbidden', new ForbiddenException('Not you.'), 4003, 'Not you.'],
    ['a bug', new Error('a bug'), 1011, 'Something went wrong on the server.'],
  ])('close the socket by throwing: %s', async (_name, error, code, reason) => {
    @WsGateway('hooks')
    class Refusing implements OnGatewayConnection {
      handleConnection(): void {
        throw error;
      }
    }
    running = await startApp({ providers: [Refusing] });
    const peer = await running.connect();
    expect(await peer.closed).toEqual({ code, reason });
    expect(running.clients.size).toBe(0);
  });
});

describe('events', () => {
  it('are called at the start, for connections, messages and disconnects, and survive their own errors', async () => {
    const told: string[] = [];
    let end!: () => void;
    const isOver = new Promise<void>((resolve) => (end = resolve));
    running = await startApp({
      providers: [
        { provide: PXL_REDIS, useValue: 'redis' },
        { provide: PXL_QUEUE_MANAGER, useValue: 'queue' },
        { provide: PXL_DATABASE, useValue: 'database' },
      ],
      options: {
        events: {
          onServerStarted: ({ webSocketServer }) => void told.push(`started ${webSocketServer.options.noServer}`),
          onConnected: async ({ joinRoom, request }) => {
            await joinRoom({ roomName: 'lobby', username: 'Ada' });
            told.push(`connected ${request?.url}`);
          },
          onMessage: ({ clientId, data, redisInstance, queueManager, databaseInstance }) => {
            told.push(`${data.type} ${typeof clientId} ${redisInstance} ${queueManager} ${databaseInstance}`);
            throw new Error('in onMessage');
          },
          onDisconnected: ({ clientId, code }) => {
            told.push(`disconnected ${typeof clientId} ${code}`);
            end();
            throw new Error('in onDisconnected');
          },
        },
      },
    });
    const peer = await running.connect();
    expect((await peer.request('any', 'thing')).data.code).toBe('UNKNOWN_ROUTE');
    expect(running.rooms.getRoomClients({ roomName: 'lobby' })).toEqual([peer.clientId]);
    peer.ws.close(1000);
    await isOver;
    expect(told).toEqual([
      'started true',
      'connected /ws',
      'any string redis queue database',
      'disconnected string 1000',
    ]);
    await new Promise(setImmediate);
    expect(running.errors.map(({ message }) => message)).toEqual(['in onMessage', 'in onDisconnected']);
  });
});

describe('subscribers of bus events', () => {
  it('are called by name, pattern or test, in order of priority, and then the option', async () => {
    const heard: string[] = [];
    let done!: () => void;
    const isDone = new Promise<void>((resolve) => (done = resolve));
    class Listeners {
      @WsSubscribe(WebSocketRedisSubscriberEvent.Custom)
      byName({ channel, message }: { channel: string; message: { n: number } }): void {
        heard.push(`name ${channel} ${message.n}`);
      }
      @WsSubscribe(/^WebSocket:Cus/, { priority: 5 })
      byPattern(): void {
        heard.push('pattern');
        throw new Error('in a subscriber');
      }
      @WsSubscribe(({ message }) => (message as { n?: number }).n === 1, { priority: 3 })
      async byTest(): Promise<void> {
        await Promise.resolve();
        heard.push('test');
      }
      @WsSubscribe('other')
      other(): void {
        heard.push('other');
      }
    }
    running = await startApp({
      providers: [Listeners, { provide: PXL_DATABASE, useValue: 'database' }],
      options: {
        subscriberEventHandler: ({ channel, webSocketServer, databaseInstance }) => {
          if (channel !== WebSocketRedisSubscriberEvent.Custom) return;
          heard.push(`option ${webSocketServer === running.server} ${databaseInstance}`);
          done();
        },
      },
    });
    running.server.sendCustomMessage({ data: { n: 1 } });
    await isDone;
    expect(heard).toEqual(['pattern', 'test', 'name WebSocket:Custom 1', 'option true database']);
    expect(running.errors.map(({ message }) => message)).toEqual(['in a subscriber']);
  });

  it('hear of connections, rooms and ends, and can give orders', async () => {
    const heard: [string, unknown][] = [];
    running = await startApp({
      options: {
        subscriberEventHandler: ({ channel, message }) => void heard.push([channel.replace('WebSocket:', ''), message]),
      },
    });
    const peer = await running.connect();
    await peer.join('lobby');
    await peer.request('system', 'leaveRoom', { roomName: 'lobby' });
    const { clientId } = peer;
    const { MessageError, DisconnectClient, SendMessageToAll, SendMessage } = WebSocketRedisSubscriberEvent;
    const news = { type: 'news', action: 'flash', data: 1 };
    running.server.publish({ channel: SendMessageToAll, data: { ...news, workerId: 4 } });
    expect(await peer.next('news', 'flash')).toEqual(news);
    running.server.publish({ channel: MessageError, data: { clientId, error: 'Late.' } });
    expect((await peer.error()).data.error).toBe('Late.');
    running.server.sendMessage({ data: { to: 'subscribers' } });
    running.server.publish({ channel: DisconnectClient, data: { clientId, code: 4444, reason: 'out' } });
    expect(await peer.closed).toEqual({ code: 4444, reason: 'out' });
    expect(heard).toEqual([
      ['ClientConnected', { clientId, lastActivity: expect.any(Number) }],
      ['ClientJoinedRoom', { clientId, roomName: 'lobby' }],
      ['ClientLeftRoom', { clientId, roomName: 'lobby' }],
      ['SendMessageToAll', { ...news, workerId: 4 }],
      ['MessageError', { clientId, error: 'Late.' }],
      [SendMessage.replace('WebSocket:', ''), { to: 'subscribers' }],
      ['DisconnectClient', { clientId, code: 4444, reason: 'out' }],
      ['ClientDisconnected', { clientId }],
    ]);
  });
});

describe('base controllers', () => {
  it('have the members of the reference, filled through injection', async () => {
    @Injectable()
    class ChatController extends WebSocketServerBaseController {
      @WsRoute('chat', 'send')
      send(_ws: WebSocket, clientId: string, data: { text: string }): unknown {
        const client = this.webSocketServer.clientManager.getClient({ clientId });
        this.webSocketServer.sendMessageToAll({ data: { type: 'chat', action: 'message', data: { text: data.text } } });
        return {
          known: client?.clientId === clientId,
          redis: this.redisInstance,
          queue: this.queueManager,
          db: this.databaseInstance,
        };
      }
    }
    running = await startApp({
      providers: [
        ChatController,
        { provide: PXL_REDIS, useValue: 'redis' },
        { provide: PXL_QUEUE_MANAGER, useValue: 'queue' },
      ],
    });
    const peer = await running.connect();
    expect((await peer.request('chat', 'send', { text: 'hi' })).response).toEqual({
      known: true,
      redis: 'redis',
      queue: 'queue',
    });
    expect((await peer.next('chat', 'message')).data).toEqual({ text: 'hi' });
  });

  it('can be made by hand', async () => {
    running = await startApp();
    class Hand extends WebSocketServerBaseController {
      get parts(): unknown[] {
        return [this.webSocketServer, this.databaseInstance, this.redisInstance];
      }
    }
    const hand = new Hand({ webSocketServer: running.server, databaseInstance: 'db' });
    expect(hand.parts).toEqual([running.server, 'db', undefined]);
    expect(running.app.get(WebSocketClientManager)).toBe(running.server.clientManager);
  });
});
