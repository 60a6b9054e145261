import { Inject, Optional } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { WebSocketClient } from '../client/websocket-client.js';
import type { DatabaseInstance, QueueManager, RedisInstance, Resources } from '../resources.js';
import { WebSocketServer } from '../server.js';
import { findResources } from './resources.js';

/** The arguments of a controller that is created by hand. Inside a Nest application, they are injected. */
export type BaseControllerParams = Partial<Resources>;

abstract class BaseController {
  @Optional()
  @Inject(ModuleRef)
  private readonly moduleRef?: ModuleRef;
  readonly #params: BaseControllerParams;
  #found: Resources | undefined;

  constructor(params: BaseControllerParams = {}) {
    this.#params = params;
  }

  /** The provider of `PXL_REDIS`. */
  protected get redisInstance(): RedisInstance {
    return this.#params.redisInstance ?? this.#resources?.redisInstance;
  }

  /** The provider of `PXL_QUEUE_MANAGER`. */
  protected get queueManager(): QueueManager {
    return this.#params.queueManager ?? this.#resources?.queueManager;
  }

  /** The provider of `PXL_DATABASE`. */
  protected get databaseInstance(): DatabaseInstance {
    return this.#params.databaseInstance ?? this.#resources?.databaseInstance;
  }

  get #resources(): Resources | undefined {
    this.#found ??= this.moduleRef && findResources(this.moduleRef);
    return this.#found;
  }
}

/** The arguments of a controller that is created by hand. Inside a Nest application, they are injected. */
export interface WebSocketServerBaseControllerConstructorParams extends BaseControllerParams {
  /** The server of the controller. @default the injected server without a name */
  webSocketServer?: WebSocketServer;
}

/** For controllers of the PXL framework: extend it, add `@Injectable()`, and put `@WsRoute()` on the methods. */
export abstract class WebSocketServerBaseController extends BaseController {
  @Optional()
  @Inject(WebSocketServer)
  protected readonly webSocketServer!: WebSocketServer;

  constructor(params: WebSocketServerBaseControllerConstructorParams = {}) {
    super(params);
    if (params.webSocketServer) this.webSocketServer = params.webSocketServer;
  }
}

/** The arguments of a controller that is created by hand. Inside a Nest application, they are injected. */
export interface WebSocketClientBaseControllerConstructorParams extends BaseControllerParams {
  /**
   * The client of the controller, e.g. the one of `@InjectWebSocketClient(name)`. @default the client of `forRoot({ type: 'client' })`
   */
  webSocketClient?: Pick<WebSocketClient, 'sendMessage'>;
}

/** For controllers of a client, as in the PXL framework. */
export abstract class WebSocketClientBaseController extends BaseController {
  @Optional()
  @Inject(WebSocketClient)
  private readonly mainClient?: WebSocketClient;
  readonly #given: Pick<WebSocketClient, 'sendMessage'> | undefined;

  constructor(params: WebSocketClientBaseControllerConstructorParams = {}) {
    super(params);
    this.#given = params.webSocketClient;
  }

  /** Sends to the server. @throws {ConnectionError} while not connected */
  protected readonly sendMessage = (data: unknown): void => {
    (this.#given ?? this.mainClient)?.sendMessage(data);
  };
}
