import {
  type BeforeApplicationShutdown,
  type DynamicModule,
  Inject,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  Optional,
  type Provider,
} from '@nestjs/common';
import { DiscoveryModule, HttpAdapterHost, ModuleRef } from '@nestjs/core';
import type { Server as HttpServer } from 'node:http';
import { NestWebSocketClient } from './client/nest-websocket-client.js';
import { type NodeWebSocketClientOptions, WebSocketClient } from './client/websocket-client.js';
import { InvalidRouteError } from './errors.js';
import {
  ASYNC_OPTIONS_TYPE,
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  OPTIONS_TYPE,
} from './pxl-websocket.module-definition.js';
import {
  connectInBackground,
  PxlWebSocketClientModule,
  type WebSocketClientModuleAsyncOptions,
  type WebSocketClientModuleOptions,
  withRetry,
} from './pxl-websocket-client.module.js';
import { findAuthenticator } from './auth/find-authenticator.js';
import { findInstance } from './find-instance.js';
import { Emitter } from './cluster/emitter.js';
import { ErrorReport } from './server/error-report.js';
import { NO_PARAMS } from './protocol/path-pattern.js';
import { findResources } from './resources.js';
import { resolveOptions } from './resolve-options.js';
import { WebSocketRoomManager } from './rooms/room-manager.js';
import { RouteExplorer } from './routing/route.explorer.js';
import { WebSocketClientManager } from './server/client-manager.js';
import { WebSocketServer } from './server/websocket-server.js';
import { getWebSocketClientToken } from './tokens.js';
import type { WebSocketOptions } from './websocket-options.js';
import { emitterSender, WebSocketService } from './websocket.service.js';

const EMITTER = Symbol('pxl:emitter');

const provided: Provider[] = [
  {
    provide: EMITTER,
    inject: [MODULE_OPTIONS_TOKEN],
    useFactory: (given: WebSocketOptions) => {
      const { type, enabled, redis, prefix, events } = resolveOptions(given);
      if (type !== 'emitter' || !enabled || !redis) return undefined;
      const report = new ErrorReport(events);
      return Emitter.connect(redis, prefix, (error) => report.failed(error, 'the emitter'));
    },
  },
  {
    provide: WebSocketServer,
    inject: [MODULE_OPTIONS_TOKEN, RouteExplorer, ModuleRef, HttpAdapterHost],
    useFactory: (options: WebSocketOptions, explorer: RouteExplorer, moduleRef: ModuleRef, host: HttpAdapterHost) =>
      new WebSocketServer(options, {
        explore: (stockPath) => explorer.explore(stockPath),
        resources: () => findResources(moduleRef),
        authenticator: (auth) => findAuthenticator(moduleRef, auth),
        instance: (type, option) => findInstance(moduleRef, type, option),
        httpServer: () => host.httpAdapter?.getHttpServer() as HttpServer | undefined,
      }),
  },
  {
    provide: WebSocketClientManager,
    inject: [WebSocketServer],
    useFactory: (server: WebSocketServer) => server.clientManager,
  },
  {
    provide: WebSocketRoomManager,
    inject: [WebSocketServer],
    useFactory: (server: WebSocketServer) => server.roomManager,
  },
  {
    provide: WebSocketService,
    inject: [WebSocketServer, EMITTER],
    useFactory: (webSocketServer: WebSocketServer, emitter?: Emitter) =>
      new WebSocketService(emitter ? { sender: emitterSender(emitter) } : { webSocketServer }),
  },
  {
    provide: WebSocketClient,
    inject: [MODULE_OPTIONS_TOKEN, RouteExplorer, ModuleRef],
    useFactory: (options: WebSocketOptions, explorer: RouteExplorer, moduleRef: ModuleRef) =>
      options.type === 'client'
        ? new NestWebSocketClient(clientOptions(options, moduleRef), undefined, () => explorer.explore())
        : undefined,
  },
];

/** Gives an application a WebSocket server (or client): import it once, with `forRoot()` or `forRootAsync()`. */
@Module({
  imports: [DiscoveryModule],
  providers: [RouteExplorer, ...provided],
  exports: [WebSocketServer, WebSocketClientManager, WebSocketRoomManager, WebSocketService, WebSocketClient],
})
export class PxlWebSocketModule
  extends ConfigurableModuleClass
  implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown
{
  constructor(
    private readonly server: WebSocketServer,
    private readonly moduleRef: ModuleRef,
    private readonly explorer: RouteExplorer,
    @Optional() @Inject(WebSocketClient) private readonly client?: NestWebSocketClient,
    @Optional() @Inject(EMITTER) private readonly emitter?: { close(): Promise<void> },
  ) {
    super();
  }

  /** @param options.isGlobal false: only modules that import it can inject from it. @default true */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  /** The same with options from `useFactory`, `useClass` (a `WebSocketOptionsFactory`) or `useExisting`. */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }

  /** Adds an outbound client, injected with `@InjectWebSocketClient(name)`. Goes with or without `forRoot()`. */
  static forClient(options: WebSocketClientModuleOptions): DynamicModule {
    const { name, ...settings } = options;
    return PxlWebSocketClientModule.register({ name, useFactory: () => settings });
  }

  /** The same with settings from `useFactory`. */
  static forClientAsync(options: WebSocketClientModuleAsyncOptions): DynamicModule {
    return PxlWebSocketClientModule.register(options);
  }

  async onApplicationBootstrap(): Promise<void> {
    const { enabled, autoStart, type } = this.server.options;
    this.#checkClientNames();
    if (!enabled || !autoStart) return;
    if (type === 'server') {
      await this.server.load();
      await this.server.start();
    } else if (type === 'client' && this.client) {
      await this.client.load();
      connectInBackground(this.client);
    }
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.client?.disconnect();
    await this.server.stop({ endsApplication: true });
  }

  /** Later than everything that may still have something to tell: a worker ends its jobs while the application shuts down. */
  async onApplicationShutdown(): Promise<void> {
    await this.emitter?.close();
  }

  /** A handler of a client that nobody makes would never be called. */
  #checkClientNames(): void {
    for (const { client, place } of this.explorer.explore().clientRoutes) {
      if (client === undefined || this.#hasClient(client)) continue;
      throw new InvalidRouteError(
        `${place} handles messages of the client "${client}", which doesn't exist. ` +
          `Import PxlWebSocketModule.forClient({ name: '${client}', url }), or mend the name.`,
      );
    }
  }

  #hasClient(name: string): boolean {
    try {
      this.moduleRef.get(getWebSocketClientToken(name), { strict: false });
      return true;
    } catch {
      return false; // Nest throws for a token that nobody provides.
    }
  }
}

function clientOptions(given: WebSocketOptions, moduleRef: ModuleRef): NodeWebSocketClientOptions {
  const { url, events, client } = resolveOptions(given);
  const { onConnected, onDisconnected, onMessage, onError } = events;
  return withRetry({
    ...client,
    url,
    events: {
      ...(onConnected && {
        onConnected: (params) => onConnected({ ...params, params: NO_PARAMS, joinRoom: joinLater(params.joinRoom) }),
      }),
      ...(onDisconnected && { onDisconnected }),
      ...(onMessage && { onMessage: (params) => onMessage({ ...params, ...findResources(moduleRef) }) }),
      ...(onError && { onError }),
    },
  });
}

type Join = (params: { roomName: string; username?: string; userType?: string; userId?: string | number }) => void;

const joinLater = (join: Join) => (params: Parameters<Join>[0]) => {
  join(params);
  return Promise.resolve(true);
};
