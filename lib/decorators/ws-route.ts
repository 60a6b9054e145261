import { InvalidRouteError } from '../errors.js';

/** Where `@WsRoute()` keeps its routes, on the method. */
export const WS_ROUTES = 'pxl:ws-routes';
/** Where `@WsGateway()` keeps its type, on the class. */
export const WS_GATEWAY = 'pxl:ws-gateway';

export interface WsRouteOptions {
  /** The name of the outbound client whose messages this method handles. Left out: the server's, or the main client's. */
  client?: string;
  /** The name of the server, as in `forRoot({ name })`. Left out: that of `@WsGateway()`, or the server without a name. */
  server?: string;
}

export interface WsGatewayOptions {
  /** Of the methods that name their action alone. */
  type?: string;
  /**
   * The name of the server, as in `forRoot({ name })`, to which the routes, subscribers and connection hooks of the class
   * belong. Left out: the server without a name.
   */
  server?: string;
}

export interface WsRouteMetadata extends WsRouteOptions {
  /** Left out when the class says it with `@WsGateway(type)`. */
  type?: string;
  action: string;
}

export function WsRoute(action: string, options?: WsRouteOptions): MethodDecorator;
export function WsRoute(type: string, action: string, options?: WsRouteOptions): MethodDecorator;
/**
 * Handles frames of `type`/`action`. What the method returns, if anything, is the reply; an Observable or an async
 * iterable streams. Works on methods of any provider or controller, several times on one method too.
 * @throws {InvalidRouteError} on something that isn't a method
 */
export function WsRoute(first: string, second?: string | WsRouteOptions, third?: WsRouteOptions): MethodDecorator {
  const route: WsRouteMetadata =
    typeof second === 'string' ? { type: first, action: second, ...third } : { action: first, ...second };
  return (target, key, descriptor) => {
    if (typeof descriptor?.value !== 'function') {
      throw new InvalidRouteError(
        `@WsRoute() stands on ${target.constructor.name}.${String(key)}, which is not a method. ` +
          `Write "${String(key)}(ws, clientId, data) { … }" instead of a property.`,
      );
    }
    const known = (Reflect.getMetadata(WS_ROUTES, descriptor.value) as WsRouteMetadata[] | undefined) ?? [];
    Reflect.defineMetadata(WS_ROUTES, [...known, route], descriptor.value);
  };
}

/**
 * Gives the class's `@WsRoute(action)` methods their `type`, and says which server the class is for. Add `@Injectable()` when
 * the class injects anything.
 */
export const WsGateway = (options?: string | WsGatewayOptions): ClassDecorator => {
  const metadata: WsGatewayOptions = typeof options === 'string' ? { type: options } : { ...options };
  return (target) => Reflect.defineMetadata(WS_GATEWAY, metadata, target);
};
