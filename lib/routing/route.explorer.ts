import { Injectable, Logger } from '@nestjs/common';
import {
  ApplicationConfig,
  type ContextId,
  ContextIdFactory,
  DiscoveryService,
  ExternalContextCreator,
  MetadataScanner,
  ModuleRef,
} from '@nestjs/core';
import { SKIPS_GLOBAL_GUARDS } from '../decorators/skip-global-guards.js';
import { WS_GATEWAY, WS_ROUTES, type WsGatewayOptions, type WsRouteMetadata } from '../decorators/ws-route.js';
import { WS_SUBSCRIPTIONS, type WsSubscribeMetadata } from '../decorators/ws-subscribe.js';
import { InvalidRouteError } from '../errors.js';
import { keyRuleOf } from '../idempotency/key-rule.js';
import { NestPipeline, type WrapOptions } from './nest-pipeline.js';
import type { RouteCall } from './route-call.js';
import type { Route, RouteHandler } from './router.js';
import { ScopedEnhancers } from './scoped-enhancers.js';
import { readStockGateway, stockRoutes } from './stock-gateway.js';

/** A method that subscribes to bus events. */
export interface SubscriberMethod extends WsSubscribeMetadata {
  handler: (event: unknown) => unknown;
  place: string;
}

/** The hooks of a class with routes: Nest's `OnGatewayInit`, `OnGatewayConnection`, `OnGatewayDisconnect`. */
export interface GatewayHooks {
  place: string;
  afterInit?: (server: unknown) => unknown;
  handleConnection?: (client: unknown, request: unknown) => unknown;
  handleDisconnect?: (client: unknown, reason: string, disconnection: unknown) => unknown;
}

/** What to look for. */
export interface Exploration {
  /** The server whose routes are wanted; left out for the server without a name. */
  server?: string | undefined;
  /** The path of that server if the application uses `PxlWsAdapter`: then stock gateways on it are routes, too. */
  stockPath?: string | undefined;
  /** False: without global guards. @default true */
  globalGuards?: boolean | undefined;
}

export interface Explored {
  routes: Route[];
  /** Every server that any route, gateway or subscriber names. */
  servers: { server: string | undefined; place: string }[];
  /** Routes of clients. `client` is the name given to `@WsRoute()`, or undefined. */
  clientRoutes: (Route & { client: string | undefined })[];
  subscribers: SubscriberMethod[];
  hooks: GatewayHooks[];
}

type InstanceWrapper = ReturnType<DiscoveryService['getProviders']>[number];

/** Finds the decorated methods, once at start, and wraps each with Nest's pipeline. */
@Injectable()
export class RouteExplorer {
  readonly #discovery: DiscoveryService;
  readonly #scanner: MetadataScanner;
  readonly #moduleRef: ModuleRef;
  readonly #pipeline: NestPipeline;
  readonly #scoped: ScopedEnhancers;

  constructor(
    discovery: DiscoveryService,
    scanner: MetadataScanner,
    moduleRef: ModuleRef,
    creator: ExternalContextCreator,
    config: ApplicationConfig,
  ) {
    this.#discovery = discovery;
    this.#scanner = scanner;
    this.#moduleRef = moduleRef;
    this.#pipeline = new NestPipeline(creator);
    this.#scoped = new ScopedEnhancers(config, moduleRef);
  }

  /**
   * @throws {InvalidRouteError}
   * @throws {InvalidOptionsError} for a global guard, pipe, interceptor or filter that is transient
   */
  explore(exploration: Exploration = {}): Explored {
    const found: Explored = { routes: [], servers: [], clientRoutes: [], subscribers: [], hooks: [] };
    for (const wrapper of [...this.#discovery.getProviders(), ...this.#discovery.getControllers()]) {
      if (wrapper.isAlias || !isClassProvider(wrapper)) continue;
      this.#exploreClass(wrapper, exploration, found);
    }
    return found;
  }

  #exploreClass(wrapper: InstanceWrapper, exploration: Exploration, found: Explored): void {
    const metatype = wrapper.metatype as { name: string; prototype: object };
    const gateway = Reflect.getMetadata(WS_GATEWAY, metatype) as WsGatewayOptions | undefined;
    const stock = readStockGateway(metatype, exploration);
    const isOurs = (server: string | undefined): boolean => server === exploration.server;
    let serves = stock !== undefined || (gateway !== undefined && isOurs(gateway.server));
    const module = wrapper.host?.name ?? 'unknown module';
    if (gateway) found.servers.push({ server: gateway.server, place: `${metatype.name} (${module})` });

    for (const name of this.#scanner.getAllMethodNames(metatype.prototype)) {
      const method = (metatype.prototype as Record<string, object>)[name] as object;
      const place = `${metatype.name}.${name} (${module})`;
      const skipsGlobalGuards = exploration.globalGuards === false || skipsGuards(metatype) || skipsGuards(method);
      const declared = (Reflect.getMetadata(WS_ROUTES, method) as WsRouteMetadata[] | undefined) ?? [];
      for (const { type = gateway?.type, action, client, server = gateway?.server, idempotent } of declared) {
        if (type === undefined) throw new InvalidRouteError(missingType(place, action));
        const route = {
          type,
          action,
          place,
          handler: this.#wrap(wrapper, name, { isStock: false, skipsGlobalGuards }),
          once: keyRuleOf(idempotent, place, { method, returns: returnTypeOf(metatype, name) }),
        };
        if (client !== undefined && idempotent) throw new InvalidRouteError(idempotentClient(place));
        if (client === undefined) {
          found.servers.push({ server, place });
          if (isOurs(server)) found.routes.push(route);
          serves ||= isOurs(server);
        }
        if (client !== undefined || server === undefined) found.clientRoutes.push({ ...route, client });
      }
      for (const named of stock ? stockRoutes(method, place) : []) {
        const handler = this.#wrap(wrapper, name, { isStock: true, skipsGlobalGuards });
        found.routes.push({ ...named, place, handler, isLogged: true });
      }
      const subscriptions = (Reflect.getMetadata(WS_SUBSCRIPTIONS, method) as WsSubscribeMetadata[] | undefined) ?? [];
      for (const { server = gateway?.server, ...subscription } of subscriptions) {
        found.servers.push({ server, place });
        if (isOurs(server)) found.subscribers.push({ ...subscription, place, handler: this.#call(wrapper, name) });
      }
    }
    if (serves) found.hooks.push(this.#hooksOf(wrapper, metatype, stock !== undefined));
  }

  /**
   * A static instance is wrapped now. An instance that is request-scoped, or has request-scoped guards, pipes, interceptors or
   * filters, is wrapped for each message.
   */
  #wrap(wrapper: InstanceWrapper, methodName: string, options: WrapOptions): RouteHandler {
    const areScoped = this.#scoped.areThere;
    const isStatic = wrapper.isDependencyTreeStatic();
    if (isStatic && !areScoped) return this.#pipeline.wrap(wrapper.instance as object, methodName, options);
    return async (call: RouteCall) => {
      const { data } = call;
      const contextId = this.#contextOf(call);
      if (areScoped) await this.#scoped.make(contextId);
      const instance: object = isStatic
        ? (wrapper.instance as object)
        : await this.#moduleRef.resolve(wrapper.token as never, contextId, { strict: false });
      return this.#pipeline.wrap(instance, methodName, options, contextId, wrapper.id)(call, data);
    };
  }

  /** The `REQUEST` of everything that is created for this message. */
  #contextOf(call: RouteCall): ContextId {
    const request = {
      client: call.ws,
      clientId: call.clientId,
      data: call.data,
      pattern: `${call.type}/${call.action}`,
    };
    const contextId = ContextIdFactory.getByRequest(request);
    this.#moduleRef.registerRequestByContextId(request, contextId);
    return contextId;
  }

  #call(wrapper: InstanceWrapper, methodName: string): (event: unknown) => unknown {
    return async (event) => {
      const instance = wrapper.isDependencyTreeStatic()
        ? (wrapper.instance as object)
        : await this.#moduleRef.resolve<object>(wrapper.token as never, undefined, { strict: false });
      return (instance as Record<string, (event: unknown) => unknown>)[methodName]?.(event);
    };
  }

  /**
   * The hooks of a class. Nest itself calls `afterInit` of its own gateways. Hooks of request-scoped classes aren't called,
   * because there is no request yet.
   */
  #hooksOf(wrapper: InstanceWrapper, metatype: { name: string }, isStock: boolean): GatewayHooks {
    const place = `${metatype.name} (${wrapper.host?.name ?? 'unknown module'})`;
    if (!wrapper.isDependencyTreeStatic()) {
      this.#warnOfScopedHooks(wrapper, place);
      return { place };
    }
    const instance = wrapper.instance as Record<string, ((...args: unknown[]) => unknown) | undefined>;
    return {
      place,
      ...(isStock ? {} : { afterInit: instance['afterInit']?.bind(instance) }),
      handleConnection: instance['handleConnection']?.bind(instance),
      handleDisconnect: instance['handleDisconnect']?.bind(instance),
    };
  }

  #warnOfScopedHooks(wrapper: InstanceWrapper, place: string): void {
    const prototype = (wrapper.metatype as { prototype: object }).prototype;
    const hooks = ['afterInit', 'handleConnection', 'handleDisconnect'].filter((hook) => hook in prototype);
    if (hooks.length === 0) return;
    new Logger(RouteExplorer.name).warn(
      `${place} is request-scoped: its ${hooks.join(', ')} will not be called. Move them to a provider of the default scope.`,
    );
  }
}

const skipsGuards = (target: object): boolean => Reflect.getMetadata(SKIPS_GLOBAL_GUARDS, target) === true;

/** Factories and values have no decorated methods. */
function isClassProvider(wrapper: InstanceWrapper): boolean {
  return typeof wrapper.metatype === 'function' && !wrapper.inject && Boolean(wrapper.metatype.prototype);
}

const returnTypeOf = (metatype: { prototype: object }, name: string): unknown =>
  Reflect.getMetadata('design:returntype', metatype.prototype, name);

const idempotentClient = (place: string): string =>
  `${place} is a route of a client, and only routes of a server can be idempotent. Leave "idempotent" out.`;

const missingType = (place: string, action: string): string =>
  `${place} declares @WsRoute('${action}') without a type. Write @WsRoute('type', '${action}'), or @WsGateway('type') on the class.`;
