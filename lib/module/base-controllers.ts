import { Inject, Optional } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { WebSocketClient } from '../client/websocket-client.js';
import type { DatabaseInstance, QueueManager, RedisInstance, Resources } from '../resources.js';
import { WebSocketServer } from '../server.js';
import { findResources } from './resources.js';

/** What a controller gets when it is created by hand. Inside a Nest application, injection provides it. */
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

export interface WebSocketServerBaseControllerConstructorParams extends BaseControllerParams {
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

export interface WebSocketClientBaseControllerConstructorParams extends BaseControllerParams {
  /**
   * Without it: the client of `forRoot({ type: 'client' })`. Pass the one of `@InjectWebSocketClient(name)` for another.
   */
  webSocketClient?: Pick<WebSocketClient, 'sendMessage'>;
}

/** For controllers of a client. */
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
