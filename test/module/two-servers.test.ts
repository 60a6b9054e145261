import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type DynamicModule, Injectable, Module, type Provider } from '@nestjs/common';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  InjectWebSocketClientManager,
  InjectWebSocketRoomManager,
  InjectWebSocketServer,
  InjectWebSocketService,
  PxlWebSocketModule,
  PxlWsAdapter,
  WebSocketClientManager,
  type WebSocketOptions,
  WebSocketRoomManager,
  WebSocketServer,
  WebSocketService,
  WsGateway,
  WsRoute,
  WsSubscribe,
} from '../../lib/index.js';
import { type AppOptions, type RunningApp, startApp } from '../support/app.js';
import { RawPeer } from '../support/raw-peer.js';

const FAST: WebSocketOptions = { drain: { spreadMs: 0, terminateAfterMs: 1_000 }, clientList: false };
const admin = (more: WebSocketOptions = {}): DynamicModule =>
  PxlWebSocketModule.forRoot({ ...FAST, name: 'admin', path: '/admin', ...more });

const heard: string[] = [];

@WsGateway('who')
class MainGateway {
  @WsRoute('are-you')
  who(): string {
    return 'main';
  }

  handleConnection(): void {
    heard.push('main connected');
  }

  @WsSubscribe('news')
  news({ message }: { message: unknown }): void {
    heard.push(`main ${String(message)}`);
  }
}

@WsGateway({ type: 'who', server: 'admin' })
class AdminGateway {
  @WsRoute('are-you')
  who(): string {
    return 'admin';
  }

  handleConnection(): void {
    heard.push('admin connected');
  }

  @WsSubscribe('news')
  news({ message }: { message: unknown }): void {
    heard.push(`admin ${String(message)}`);
  }
}

class Both {
  @WsRoute('both', 'ask')
  @WsRoute('both', 'ask', { server: 'admin' })
  ask(): string {
    return 'both';
  }
}

@Injectable()
class Injected {
  constructor(
    readonly server: WebSocketServer,
    readonly service: WebSocketService,
    readonly clients: WebSocketClientManager,
    readonly rooms: WebSocketRoomManager,
    @InjectWebSocketServer('admin') readonly adminServer: WebSocketServer,
    @InjectWebSocketService('admin') readonly adminService: WebSocketService,
    @InjectWebSocketClientManager('admin') readonly adminClients: WebSocketClientManager,
    @InjectWebSocketRoomManager('admin') readonly adminRooms: WebSocketRoomManager,
  ) {}
}

describe('two servers in one application', () => {
  let running: RunningApp | undefined;
  afterEach(async () => {
    await running?.close();
    running = undefined;
    heard.length = 0;
  });

  const start = async (imports: AppOptions['imports'], providers: Provider[] = [], more: AppOptions = {}) =>
    (running = await startApp({ imports: imports ?? [], providers, ...more }));
  const adminUrl = ({ port }: RunningApp): string => `ws://127.0.0.1:${port}/admin`;

  it('are told apart: routes, hooks, subscribers, clients and messages', async () => {
    const app = await start([admin()], [MainGateway, AdminGateway, Both, Injected]);
    const peer = await app.connect();
    const other = await app.connectTo(adminUrl(app));
    expect((await peer.request('who', 'are-you')).response).toBe('main');
    expect((await other.request('who', 'are-you')).response).toBe('admin');
    expect((await peer.request('both', 'ask')).response).toBe('both');
    expect((await other.request('both', 'ask')).response).toBe('both');
    expect(heard).toEqual(['main connected', 'admin connected']);

    const { server, service, clients, rooms, ...named } = app.app.get(Injected);
    expect(server.options.path).toBe('/ws');
    expect(clients.getClients().map(({ clientId }) => clientId)).toEqual([peer.clientId]);
    expect(rooms).toBe(server.roomManager);
    expect(named.adminServer.options.path).toBe('/admin');
    expect(named.adminClients.getClients().map(({ clientId }) => clientId)).toEqual([other.clientId]);
    expect(named.adminRooms).toBe(named.adminServer.roomManager);
    await service.broadcast({ type: 'for', action: 'main' });
    await named.adminService.broadcast({ type: 'for', action: 'admin' });
    await named.adminService.publish('news', 1);
    await service.publish('news', 2);
    await Promise.all([peer.settle(), other.settle()]);
    expect(peer.received.map(({ action }) => action)).toEqual(['main']);
    expect(other.received.map(({ action }) => action)).toEqual(['admin']);
    expect(heard.slice(2)).toEqual(['admin 1', 'main 2']);
  });

  it('close together, with connections open', async () => {
    const app = await start([admin()]);
    const peer = await app.connect();
    const other = await app.connectTo(adminUrl(app));
    await app.app.close();
    expect((await peer.closed).code).toBe(1012);
    expect((await other.closed).code).toBe(1012);
  });

  it('answer 404 once where neither listens', async () => {
    const app = await start([admin()]);
    const lost = await RawPeer.handshake(app.port, { path: '/nobody' });
    expect(lost.answer?.status).toBe(404);
    await lost.closed;
  });

  it('prefer an exact path to one with a parameter', async () => {
    const app = await start([admin({ path: '/ws/admin' })], [MainGateway, AdminGateway], {
      options: { path: '/ws/:tenant' },
    });
    const peer = await app.connectTo(`ws://127.0.0.1:${app.port}/ws/acme`);
    const other = await app.connectTo(`ws://127.0.0.1:${app.port}/ws/admin`);
    expect((await peer.request('who', 'are-you')).response).toBe('main');
    expect((await other.request('who', 'are-you')).response).toBe('admin');
  });

  it('are made by forRootAsync(), too', async () => {
    const module = PxlWebSocketModule.forRootAsync({ name: 'admin', useFactory: () => ({ ...FAST, path: '/admin' }) });
    const app = await start([module], [AdminGateway]);
    const other = await app.connectTo(adminUrl(app));
    expect((await other.request('who', 'are-you')).response).toBe('admin');
  });

  it('take the stock gateways of their own path', async () => {
    @WebSocketGateway()
    class Stock {
      @SubscribeMessage('stock/ask')
      ask(): string {
        return 'main';
      }
    }
    @WebSocketGateway({ path: '/admin' })
    class AdminStock {
      @SubscribeMessage('stock/ask')
      ask(): string {
        return 'admin';
      }
    }
    const app = await start([admin()], [Stock, AdminStock], {
      configure: (nest) => nest.useWebSocketAdapter(new PxlWsAdapter(nest)),
    });
    const peer = await app.connect();
    const other = await app.connectTo(adminUrl(app));
    expect((await peer.request('stock', 'ask')).response).toBe('main');
    expect((await other.request('stock', 'ask')).response).toBe('admin');
  });

  it.each<[string, () => DynamicModule, string]>([
    ['a second one without a name', () => PxlWebSocketModule.forRoot({ path: '/other' }), 'both without a name'],
    ['one that is imported again', () => PxlWebSocketModule.forRoot(), 'it is global'],
    ['the same path', () => admin({ path: '/ws' }), 'with the paths "/ws" and "/ws", and one request can match both'],
    [
      'another client',
      () => PxlWebSocketModule.forRoot({ type: 'client', url: 'ws://x/ws' }),
      'forClient({ name, url })',
    ],
    [
      'a client with a name',
      () => PxlWebSocketModule.forRoot({ name: 'x', type: 'client', url: 'ws://x/ws' }),
      "use forClient({ name: 'x', url })",
    ],
  ])('are refused at start, with both places and the remedy: %s', async (_name, second, remedy) => {
    const error: Error = await start([second()]).then(
      () => new Error('It started.'),
      (failure: Error) => failure,
    );
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
    expect(error.message).toContain(remedy);
    if (!remedy.startsWith('use'))
      expect(error.message).toMatch(/forRoot\(\) is called at \S*test\S+\.ts:\d+:\d+ and at \S*test\S+\.ts:\d+:\d+,/);
  });

  it('are refused at start with paths that one request can match', async () => {
    const started = start([admin({ path: '/:name/chat' })], [], { options: { path: '/ws/:tenant' } });
    await expect(started).rejects.toThrow('the paths "/ws/:tenant" and "/:name/chat", and one request can match both');
  });

  it('are refused at start with one prefix on Redis', async () => {
    const redis = 'redis://127.0.0.1:1';
    const started = start([admin({ redis })], [], { options: { redis } });
    await expect(started).rejects.toThrow('Give each server a "prefix" of its own');
  });

  it('are refused at start with one name', async () => {
    await expect(start([admin(), admin({ path: '/admin-2' })])).rejects.toThrow('both with the name "admin"');
  });

  it.each<[string, unknown, string]>([
    ['a route', WsRoute('a', 'b', { server: 'nobody' }), 'Lost.on (AppModule) is for the server "nobody"'],
    ['a subscriber', WsSubscribe('a', { server: 'nobody' }), "Import PxlWebSocketModule.forRoot({ name: 'nobody' })"],
  ])('are all there is: %s for another fails at start', async (_name, decorate, text) => {
    class Lost {
      @(decorate as MethodDecorator)
      on(): void {}
    }
    await expect(start([admin()], [Lost])).rejects.toThrow(text);
  });

  it('refuse a route without a server at start, where every server has a name', async () => {
    @Module({ imports: [admin()], providers: [AdminGateway, MainGateway] })
    class OnlyAdmin {}
    const { NestFactory } = await import('@nestjs/core');
    const { FastifyAdapter } = await import('@nestjs/platform-fastify');
    const app = await NestFactory.create(OnlyAdmin, new FastifyAdapter(), { logger: false, abortOnError: false });
    await expect(app.init()).rejects.toThrow(
      "MainGateway (OnlyAdmin) is for the server without a name, which doesn't exist. Choose one with @WsGateway({ server }): 'admin'.",
    );
    await app.close();
  });

  it("are not in each other's way in two applications of one process", async () => {
    const first = await start([], [MainGateway]);
    const second = await startApp({ providers: [MainGateway] });
    try {
      const [peer, other] = [await first.connect(), await second.connect()];
      expect((await peer.request('who', 'are-you')).response).toBe('main');
      await second.app.close();
      expect((await other.closed).code).toBe(1012);
      expect((await peer.request('who', 'are-you')).response).toBe('main');
    } finally {
      await second.close();
    }
  });
});

describe('two servers made by hand on one HTTP server', () => {
  it('work with a path each, and are refused with the same', async () => {
    const httpServer = createServer();
    const servers = ['/one', '/two', '/one'].map((path) => new WebSocketServer({ ...FAST, path }));
    const [one, two, three] = servers as [WebSocketServer, WebSocketServer, WebSocketServer];
    for (const server of servers) await server.load();
    await one.start({ httpServer });
    await two.start({ httpServer });
    await expect(three.start({ httpServer })).rejects.toThrow('Another WebSocketServer has the path "/one"');
    expect(three.isRunning).toBe(false);
    httpServer.listen(0, '127.0.0.1');
    await once(httpServer, 'listening');
    const { port } = httpServer.address() as AddressInfo;
    const peer = await RawPeer.handshake(port, { path: '/two' });
    expect(peer.answer?.status).toBe(101);
    expect(two.status.connections).toBe(1);
    expect(one.status.connections).toBe(0);
    peer.reset();
    await one.stop();
    await three.start({ httpServer });
    await Promise.all([two.stop(), three.stop()]);
    httpServer.close();
  });
});
