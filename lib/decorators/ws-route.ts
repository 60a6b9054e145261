import { InvalidRouteError } from '../errors.js';

/** The metadata key of `@WsRoute()`, on the method. */
export const WS_ROUTES = 'pxl:ws-routes';
/** The metadata key of `@WsGateway()`, on the class. */
export const WS_GATEWAY = 'pxl:ws-gateway';

/** The options of `@WsRoute()`. */
export interface WsRouteOptions {
  /**
   * The method handles messages that this client receives: the name in `forClient({ name })`. @default none: the method handles
   * messages of the server, or those of the client of `forRoot({ type: 'client' })`
   */
  client?: string;
  /**
   * The name of the server, as in `forRoot({ name })`. @default the server of `@WsGateway()`, or the server without a name
   */
  server?: string;
  /**
   * The handler runs once for each `key` of a user, however often the message is sent. Without a user, keys belong to the session
   * of the client. A later try gets the reply of the first one. Guards run each time. Not for handlers that stream. Scope: cluster.
   * @default false
   */
  idempotent?: boolean | IdempotentOptions;
}

/** How a route with `idempotent` handles keys. */
export interface IdempotentOptions {
  /**
   * Milliseconds that a key is known, from when its handler began, and again from when it ended: 1,000 to 86,400,000. While the
   * handler runs, it is known for `messages.handlerTimeoutMs` at least. @default 300_000
   */
  windowMs?: number;
  /**
   * True: the handler runs again if it isn't known whether it finished, because its process died or it failed unexpectedly.
   * False: the sender gets `IN_DOUBT`. @default false
   */
  rerun?: boolean;
}

/** The options of `@WsGateway()`. */
export interface WsGatewayOptions {
  /** The type of methods whose `@WsRoute()` only names an action. */
  type?: string;
  /**
   * The name of the server, as in `forRoot({ name })`, for the routes, subscribers and connection hooks of the class.
   * @default the server without a name
   */
  server?: string;
}

export interface WsRouteMetadata extends WsRouteOptions {
  /** Optional with `@WsGateway(type)` on the class. */
  type?: string;
  action: string;
}

export function WsRoute(action: string, options?: WsRouteOptions): MethodDecorator;
export function WsRoute(type: string, action: string, options?: WsRouteOptions): MethodDecorator;
/**
 * The method handles messages of `type`/`action`. Its return value is the reply; an Observable or an async iterable is streamed.
 * For methods of any provider or controller. A method may have several.
 * @throws {InvalidRouteError} on anything but a method
 */
export function WsRoute(first: string, second?: string | WsRouteOptions, third?: WsRouteOptions): MethodDecorator {
  const route: WsRouteMetadata =
    typeof second === 'string' ? { type: first, action: second, ...third } : { action: first, ...second };
  return (target, key, descriptor) => {
    if (typeof descriptor?.value !== 'function') {
      throw new InvalidRouteError(
        `@WsRoute() is on ${target.constructor.name}.${String(key)}, which is not a method. ` +
          `Write "${String(key)}(ws, clientId, data) { … }" instead of a property.`,
      );
    }
    const known = (Reflect.getMetadata(WS_ROUTES, descriptor.value) as WsRouteMetadata[] | undefined) ?? [];
    Reflect.defineMetadata(WS_ROUTES, [...known, route], descriptor.value);
  };
}

/**
 * Sets the `type` of the class's `@WsRoute(action)` methods, and the server of the class. Add `@Injectable()` when the class
 * injects anything.
 */
export const WsGateway = (options?: string | WsGatewayOptions): ClassDecorator => {
  const metadata: WsGatewayOptions = typeof options === 'string' ? { type: options } : { ...options };
  return (target) => Reflect.defineMetadata(WS_GATEWAY, metadata, target);
};
