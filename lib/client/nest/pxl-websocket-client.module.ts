import {
  type BeforeApplicationShutdown,
  type DynamicModule,
  type FactoryProvider,
  Inject,
  Logger,
  Module,
  type ModuleMetadata,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { NestWebSocketClient } from './nest-websocket-client.js';
import type { NodeWebSocketClientOptions } from '../websocket-client.js';
import { FLAG } from '../../protocol/check.js';
import { InvalidOptionsError } from '../../errors.js';
import { RouteExplorer } from '../../routing/route.explorer.js';
import { getWebSocketClientToken } from '../../module/tokens.js';

/** Options of `PxlWebSocketModule.forClient()`. */
export interface WebSocketClientModuleOptions extends NodeWebSocketClientOptions {
  /** Named in `@InjectWebSocketClient(name)` and `@WsRoute(type, action, { client: name })`. */
  name: string;
  /** Connect with the application, in the background. False: call `connectToServer()` yourself. @default true */
  autoConnect?: boolean;
}

/**
 * Options of `PxlWebSocketModule.forClientAsync()`. The name is needed at once; the other options may come from a provider.
 */
export interface WebSocketClientModuleAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  name: string;
  inject?: FactoryProvider['inject'];
  // The tokens of `inject` decide what arrives, as in Nest's own FactoryProvider.
  // oxlint-disable-next-line typescript/no-explicit-any
  useFactory: (...args: any[]) => ClientSettings | Promise<ClientSettings>;
}

type ClientSettings = Omit<WebSocketClientModuleOptions, 'name'>;

interface ManagedClient {
  client: NestWebSocketClient;
  autoConnect: boolean;
}

const MANAGED = Symbol('pxl:managed-client');

/** One client: created with the application, connected when the application is up, disconnected before it stops. */
@Module({ imports: [DiscoveryModule], providers: [RouteExplorer] })
export class PxlWebSocketClientModule implements OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(@Inject(MANAGED) private readonly managed: ManagedClient) {}

  /** @param isGlobal so that any module can inject the client */
  static register({ name, imports = [], inject = [], useFactory }: WebSocketClientModuleAsyncOptions): DynamicModule {
    if (typeof name !== 'string' || name === '') {
      throw new InvalidOptionsError([
        '"name" is missing: forClient({ name, url }) needs it for @InjectWebSocketClient(name)',
      ]);
    }
    const token = getWebSocketClientToken(name);
    return {
      module: PxlWebSocketClientModule,
      global: true,
      imports,
      providers: [
        {
          provide: MANAGED,
          inject: [RouteExplorer, ...inject],
          useFactory: async (explorer: RouteExplorer, ...args: unknown[]): Promise<ManagedClient> => {
            const { autoConnect = true, ...settings } = await useFactory(...args);
            if (!FLAG.holds(autoConnect)) throw new InvalidOptionsError([`"autoConnect" must be ${FLAG.must}`]);
            return {
              autoConnect,
              client: new NestWebSocketClient(withRetry(settings), name, () => explorer.explore()),
            };
          },
        },
        { provide: token, inject: [MANAGED], useFactory: ({ client }: ManagedClient) => client },
      ],
      exports: [token],
    };
  }

  async onApplicationBootstrap(): Promise<void> {
    const { client, autoConnect } = this.managed;
    await client.load();
    if (autoConnect) connectInBackground(client);
  }

  beforeApplicationShutdown(): void {
    this.managed.client.disconnect();
  }
}

/** The application starts even if the server isn't up yet. The client keeps trying. */
export function withRetry<T extends NodeWebSocketClientOptions>(options: T): T {
  const { reconnect = {} } = options;
  return typeof reconnect === 'object' ? { ...options, reconnect: { initial: true, ...reconnect } } : options;
}

export function connectInBackground(client: NestWebSocketClient): void {
  client.connectToServer().catch((error: unknown) => {
    new Logger('WebSocketClient').warn(error instanceof Error ? error.message : String(error));
  });
}
