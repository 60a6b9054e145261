import {
  type BeforeApplicationShutdown,
  type DynamicModule,
  Inject,
  Logger,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
  Optional,
} from '@nestjs/common';
import { DiscoveryModule, HttpAdapterHost, ModuleRef } from '@nestjs/core';
import type { NestWebSocketClient } from '../client/nest/nest-websocket-client.js';
import { InvalidRouteError } from '../errors.js';
import { CLIENT, EMITTER, httpServerOf, withProviders } from './module-providers.js';
import { ASYNC_OPTIONS_TYPE, ConfigurableModuleClass, OPTIONS_TYPE } from './pxl-websocket.module-definition.js';
import {
  connectInBackground,
  PxlWebSocketClientModule,
  type WebSocketClientModuleAsyncOptions,
  type WebSocketClientModuleOptions,
} from '../client/nest/pxl-websocket-client.module.js';
import { RouteExplorer } from '../routing/route.explorer.js';
import { callSiteOf, checkServerNames, checkTogether, REGISTRATION, type Registration } from './servers-together.js';
import { getWebSocketClientToken } from './tokens.js';

/** Applications that have logged that no server is started. Each logs it once, for all of its servers. */
const saidUnstarted = new WeakSet<HttpAdapterHost>();

/** Gives an application a WebSocket server (or client): import it once, with `forRoot()` or `forRootAsync()`. */
@Module({ imports: [DiscoveryModule], providers: [RouteExplorer] })
export class PxlWebSocketModule
  extends ConfigurableModuleClass
  implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown
{
  readonly #logger = new Logger('WebSocketServer');

  constructor(
    @Inject(REGISTRATION) private readonly registration: Registration,
    private readonly moduleRef: ModuleRef,
    private readonly host: HttpAdapterHost,
    private readonly explorer: RouteExplorer,
    @Optional() @Inject(CLIENT) private readonly client?: NestWebSocketClient,
    @Optional() @Inject(EMITTER) private readonly emitter?: { close(): Promise<void> },
  ) {
    super();
  }

  /**
   * Adds a server to the application. It starts and stops with the application, on its HTTP server. A second server needs a `name`
   * and its own `path`. With `type: 'client'` or `'emitter'`, adds a client or an emitter instead.
   * @param options.isGlobal false: only modules that import it can inject from it. @default true
   * @param options.name the name of this server: `@InjectWebSocketServer(name)`, `@WsGateway({ server: name })`
   * @throws {InvalidOptionsError} at start
   */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return withProviders(super.forRoot(options), options.name, callSiteOf(PxlWebSocketModule.forRoot));
  }

  /** Like `forRoot()`, with options from `useFactory`, `useClass` (a `WebSocketOptionsFactory`) or `useExisting`. */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return withProviders(super.forRootAsync(options), options.name, callSiteOf(PxlWebSocketModule.forRootAsync));
  }

  /** Adds a client. Inject it with `@InjectWebSocketClient(name)`. Works with or without `forRoot()`. */
  static forClient(options: WebSocketClientModuleOptions): DynamicModule {
    const { name, ...settings } = options;
    return PxlWebSocketClientModule.register({ name, useFactory: () => settings });
  }

  /** Like `forClient()`, with settings from `useFactory`. */
  static forClientAsync(options: WebSocketClientModuleAsyncOptions): DynamicModule {
    return PxlWebSocketClientModule.register(options);
  }

  /** Runs before anything starts: two servers in conflict would break every connection. */
  onModuleInit(): void {
    checkTogether(this.#registrations);
  }

  async onApplicationBootstrap(): Promise<void> {
    const { server } = this.registration;
    const { enabled, autoStart, type } = server.options;
    this.#checkNames();
    if (!enabled || !autoStart) return;
    if (type === 'server') {
      if (!httpServerOf(this.host)) return this.#stayUnstarted();
      await server.load();
      await server.start();
    } else if (type === 'client' && this.client) {
      await this.client.load();
      connectInBackground(this.client);
    }
  }

  /** Stops all servers at once, because Nest calls one module after the other. */
  async beforeApplicationShutdown(): Promise<void> {
    this.client?.disconnect();
    await Promise.all(this.#registrations.map(({ server }) => server.stop({ endsApplication: true })));
  }

  /** Runs after all code that may still send: a worker finishes its jobs while the application shuts down. */
  async onApplicationShutdown(): Promise<void> {
    await this.emitter?.close();
  }

  get #registrations(): Registration[] {
    return this.moduleRef.get(REGISTRATION, { strict: false, each: true });
  }

  /** A testing module, an application context or a microservice: Nest doesn't start gateways there either. */
  #stayUnstarted(): void {
    if (saidUnstarted.has(this.host)) return;
    saidUnstarted.add(this.host);
    this.#logger.debug(
      'There is no HTTP server here, so the WebSocket server is not started, and nothing is sent. It starts with an ' +
        "application that listens. To send from a process without sockets, use forRoot({ type: 'emitter', redis }).",
    );
  }

  /** A handler of a server or client that doesn't exist would never be called. */
  #checkNames(): void {
    const explored = this.explorer.explore();
    checkServerNames(explored, this.#registrations);
    for (const { client, place } of explored.clientRoutes) {
      if (client === undefined || this.#hasClient(client)) continue;
      throw new InvalidRouteError(
        `${place} handles messages of the client "${client}", which doesn't exist. ` +
          `Import PxlWebSocketModule.forClient({ name: '${client}', url }), or correct the name.`,
      );
    }
  }

  #hasClient(name: string): boolean {
    try {
      this.moduleRef.get(getWebSocketClientToken(name), { strict: false });
      return true;
    } catch {
      return false; // Nest throws for a token without a provider.
    }
  }
}
