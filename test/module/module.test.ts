import { Agent } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Inject, Injectable, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  InjectWebSocketClient,
  PxlWebSocketModule,
  WebSocketClient,
  WebSocketClientManager,
  type WebSocketOptions,
  type WebSocketOptionsFactory,
  WebSocketRoomManager,
  WebSocketServer,
  WebSocketService,
  WsGateway,
  WsRoute,
} from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';

const create = async (module: Type) => {
  const app = await NestFactory.create(module, new FastifyAdapter(), { logger: false, abortOnError: false });
  closing.push(() => app.close());
  return app;
};
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
const start = async (...args: Parameters<typeof startApp>): Promise<RunningApp> => {
  const running = await startApp(...args);
  closing.push(() => running.close());
  return running;
};

const decorateProperty = (): void => WsRoute('chat', 'send')({}, 'send', undefined as never) as void;

describe('PxlWebSocketModule', () => {
  it('provides everything to every module of the application', async () => {
    @Injectable()
    class Elsewhere {
      constructor(
        readonly server: WebSocketServer,
        readonly clients: WebSocketClientManager,
        readonly rooms: WebSocketRoomManager,
        readonly service: WebSocketService,
      ) {}
    }
    @Module({ providers: [Elsewhere] })
    class FeatureModule {}
    const { app } = await start({ imports: [FeatureModule] });
    const { server, clients, rooms, service } = app.get(Elsewhere, { strict: false });
    expect(server).toBeInstanceOf(WebSocketServer);
    expect(server.type).toBe('server');
    expect(clients).toBe(server.clientManager);
    expect(rooms).toBe(server.roomManager);
    expect(service).toBeInstanceOf(WebSocketService);
  });

  it('keeps to its importers with isGlobal: false', async () => {
    @Injectable()
    class Elsewhere {
      constructor(@Inject(WebSocketServer) readonly server: WebSocketServer) {}
    }
    @Module({ providers: [Elsewhere] })
    class FeatureModule {}
    @Module({ imports: [PxlWebSocketModule.forRoot({ isGlobal: false }), FeatureModule] })
    class AppModule {}
    await expect(create(AppModule)).rejects.toThrow(/Elsewhere.*WebSocketServer/s);
  });

  it.each(['useFactory', 'useClass', 'useExisting'] as const)('takes its options from %s', async (way) => {
    const options: WebSocketOptions = { path: '/from-a-factory' };
    @Injectable()
    class Settings implements WebSocketOptionsFactory {
      createWebSocketOptions(): WebSocketOptions {
        return options;
      }
    }
    @Module({ providers: [Settings], exports: [Settings] })
    class SettingsModule {}
    const how = {
      useFactory: {
        inject: [Settings],
        useFactory: async (settings: Settings) => Promise.resolve(settings.createWebSocketOptions()),
      },
      useClass: { useClass: Settings },
      useExisting: { useExisting: Settings },
    }[way];
    @Module({ imports: [PxlWebSocketModule.forRootAsync({ imports: [SettingsModule], ...how })] })
    class AppModule {}
    const app = await create(AppModule);
    await app.init();
    expect(app.get(WebSocketServer).options.path).toBe('/from-a-factory');
    expect(app.get(WebSocketServer).isRunning).toBe(true);
  });

  it('starts nothing and sends to nobody with enabled: false', async () => {
    const { server, service, app } = await start({ options: { enabled: false } });
    expect(server.isRunning).toBe(false);
    await service.broadcast({ type: 'a', action: 'b' });
    expect((app.getHttpServer() as { listenerCount(event: string): number }).listenerCount('upgrade')).toBe(0);
  });

  it('leaves load() and start() to the application with autoStart: false', async () => {
    const running = await start({ options: { autoStart: false } });
    expect(running.server.isRunning).toBe(false);
    await expect(running.server.start()).rejects.toThrow('Call "await server.load()" first');
    await running.server.load();
    const { server } = await running.server.start({ fastifyServer: running.app.getHttpAdapter().getInstance() });
    expect(server.options.noServer).toBe(true);
    await running.connect();
  });

  it('fails at start-up with every flaw of the options and its remedy', async () => {
    const options = {
      path: 'ws',
      type: 'both',
      controllersDirectory: './controllers',
      rooms: { maxPerClient: 0, colour: 'red' },
      messages: { maxPayload: '64k' },
      origins: ['https://app.example.com/page'],
      clientList: { publicFields: ['clientId', 'ws'] },
    } as unknown as WebSocketOptions;
    const error: Error = await start({ options }).then(
      () => new Error('it started'),
      (failure: Error) => failure,
    );
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
    for (const flaw of [
      `"path" must be a path that starts with '/'`,
      `"type" must be 'server', 'client' or 'emitter'`,
      '"controllersDirectory" is gone: put @WsRoute(type, action) on a method',
      '"rooms.maxPerClient" must be a whole number above 0',
      '"rooms.colour" is not an option',
      '"messages.maxPayload" must be a whole number of bytes',
      '"origins" must be a list of exact origins',
      `"clientList.publicFields" can't name "ws"`,
    ]) {
      expect(error.message).toContain(flaw);
    }
  });

  it('fails at start-up when two handlers claim one route, naming both places', async () => {
    @WsGateway('chat')
    class First {
      @WsRoute('send')
      send(): void {}
    }
    class Second {
      @WsRoute('chat', 'send')
      post(): void {}
    }
    await expect(start({ providers: [First, Second] })).rejects.toThrow(
      'Route "chat/send" is declared by First.send (AppModule) and by Second.post (AppModule). Remove one of the two',
    );
  });

  it.each([
    ['a type with a space', 'my chat', 'send', 'A type and an action have 1–64 characters'],
    ['a reserved type', 'system', 'send', '"system" belongs to the protocol'],
    ['an empty action', 'chat', '', 'A type and an action have 1–64 characters'],
  ])('fails at start-up on %s', async (_name, type, action, text) => {
    class Bad {
      @WsRoute(type, action)
      handle(): void {}
    }
    await expect(start({ providers: [Bad] })).rejects.toThrow(text);
    await expect(start({ providers: [Bad] })).rejects.toThrow('Bad.handle (AppModule)');
  });

  it('fails at start-up on a route without a type, and at once on a property', async () => {
    class NoType {
      @WsRoute('send')
      send(): void {}
    }
    await expect(start({ providers: [NoType] })).rejects.toThrow("or @WsGateway('type') on the class");
    expect(decorateProperty).toThrow('which is not a method');
  });

  it('finds routes on controllers and does not count an alias twice', async () => {
    @Controller()
    class HttpController {
      @WsRoute('from', 'controller')
      handle(): string {
        return 'here';
      }
    }
    const running = await start({
      controllers: [HttpController],
      providers: [{ provide: 'alias', useExisting: WebSocketService }],
    });
    const peer = await running.connect();
    expect((await peer.request('from', 'controller')).response).toBe('here');
  });
});

describe('outbound clients of a Nest application', () => {
  @WsGateway('chat')
  class ChatGateway {
    constructor(@Inject(WebSocketServer) private readonly server: WebSocketServer) {}

    @WsRoute('ask-me')
    async askMe(_ws: unknown, clientId: string): Promise<unknown> {
      return this.server.clientManager.getClient({ clientId })?.request('quiz', 'question', { q: '6*7' });
    }
  }

  @Injectable()
  class Player {
    readonly heard: unknown[] = [];
    constructor(@InjectWebSocketClient('game') readonly client: WebSocketClient) {}

    @WsRoute('quiz', 'question', { client: 'game' })
    answer(_ws: unknown, clientId: string, data: { q: string }): unknown {
      return { clientId, answer: data.q === '6*7' ? 42 : 0 };
    }

    @WsRoute('news', 'flash', { client: 'game' })
    flash(_ws: unknown, _clientId: string, data: unknown): void {
      this.heard.push(data);
    }
  }

  it('lets one process be server and client, with handlers that answer the server', async () => {
    const server = await start({ providers: [ChatGateway] });
    const player = await start({
      imports: [PxlWebSocketModule.forClient({ name: 'game', url: server.url })],
      providers: [Player],
    });
    const { client, heard } = player.app.get(Player);
    await client.connectToServer();
    const response = await client.request('chat', 'ask-me');
    expect(response).toEqual({ clientId: client.clientId, answer: 42 });
    await server.service.broadcast({ type: 'news', action: 'flash', data: 1 });
    await client.request('system', 'ping');
    expect(heard).toEqual([1]);
    expect(server.clients.getClients()).toHaveLength(1);
    await player.app.close();
    expect(client.state).toBe('closed');
  });

  it('hands the pushes of the protocol to decorated handlers, too', async () => {
    const server = await start();
    let tell!: (joined: unknown) => void;
    const isJoined = new Promise<unknown>((resolve) => (tell = resolve));
    let left!: (data: unknown) => void;
    const hasLeft = new Promise<unknown>((resolve) => (left = resolve));
    @Injectable()
    class Greeter {
      constructor(@InjectWebSocketClient('game') readonly client: WebSocketClient) {}

      @WsRoute('system', 'connected', { client: 'game' })
      async connected(_ws: unknown, _clientId: string, data: { clientId: string }): Promise<void> {
        await this.client.joinRoom('lobby', { username: 'Bot' });
        tell(data.clientId);
      }

      @WsRoute('system', 'leftRoom', { client: 'game' })
      put(_ws: unknown, _clientId: string, data: unknown): void {
        left(data);
      }
    }
    const bot = await start({
      imports: [PxlWebSocketModule.forClient({ name: 'game', url: server.url })],
      providers: [Greeter],
    });
    const clientId = await isJoined;
    expect(clientId).toBe(bot.app.get(Greeter).client.clientId);
    expect(server.rooms.getRoomClients({ roomName: 'lobby' })).toEqual([clientId]);
    server.rooms.removeClientFromRoom({ clientId: clientId as string, roomName: 'lobby' });
    expect(await hasLeft).toEqual({ roomName: 'lobby', reason: 'removed' });
  });

  it('connects by itself as type client, with the same decorators', async () => {
    const server = await start({ providers: [ChatGateway] });
    class Handlers {
      @WsRoute('quiz', 'question')
      answer(): string {
        return 'from the main client';
      }
    }
    const agent = new Agent();
    const requests: unknown[] = [];
    const addRequest = Reflect.get(agent, 'addRequest') as (...given: unknown[]) => void;
    Object.assign(agent, {
      addRequest(...given: unknown[]) {
        requests.push(given);
        addRequest.apply(agent, given);
      },
    });
    let connected!: () => void;
    const isConnected = new Promise<void>((resolve) => (connected = resolve));
    @Module({
      imports: [
        PxlWebSocketModule.forRoot({
          type: 'client',
          url: server.url,
          client: { agent, tls: { rejectUnauthorized: true } },
          events: { onConnected: () => connected() },
        }),
      ],
      providers: [Handlers],
    })
    class ClientModule {}
    const app = await NestFactory.createApplicationContext(ClientModule, { logger: false, abortOnError: false });
    closing.push(() => app.close());
    await isConnected;
    expect(await app.get(WebSocketClient).request('chat', 'ask-me')).toBe('from the main client');
    expect(requests).toHaveLength(1);
  });

  it('fails at start-up when a handler names a client that nobody makes', async () => {
    class Lost {
      @WsRoute('a', 'b', { client: 'nobody' })
      on(): void {}
    }
    await expect(start({ providers: [Lost] })).rejects.toThrow(`PxlWebSocketModule.forClient({ name: 'nobody', url })`);
  });

  it('takes the settings of a client from a factory', async () => {
    const server = await start();
    @Module({ providers: [{ provide: 'URL', useValue: server.url }], exports: ['URL'] })
    class UrlModule {}
    const player = await start({
      imports: [
        PxlWebSocketModule.forClientAsync({
          name: 'game',
          imports: [UrlModule],
          inject: ['URL'],
          useFactory: (url: string) => ({ url }),
        }),
      ],
      providers: [Player],
    });
    const { client } = player.app.get(Player);
    await client.connectToServer();
    expect(client.isClientConnected()).toBe(true);
  });
});
