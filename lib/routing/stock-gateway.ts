import { InvalidRouteError } from '../errors.js';

/** Nest's own metadata keys (`@nestjs/websockets`), not exported from its root. `ws-adapter.test.ts` guards them. */
const GATEWAY = 'websockets:is_gateway';
const OPTIONS = 'websockets:gateway_options';
const PORT = 'port';
const IS_HANDLER = 'websockets:message_mapping';
const PATTERN = 'message';

/** True for a stock `@WebSocketGateway()` that belongs to our server: same port, and our path or none. */
export function isOurs(port: number | undefined, path: string | undefined, ourPath: string): boolean {
  if (port) return false;
  return path === undefined || path === '' || `/${path.replace(/^\/+|\/+$/g, '')}` === ourPath;
}

/** Nest's gateway metadata of a class, if it is a gateway on our server. */
export function readStockGateway(metatype: object, ourPath: string): object | undefined {
  if (!Reflect.getMetadata(GATEWAY, metatype)) return undefined;
  const options = (Reflect.getMetadata(OPTIONS, metatype) ?? {}) as { path?: string };
  return isOurs(Reflect.getMetadata(PORT, metatype) as number | undefined, options.path, ourPath) ? options : undefined;
}

/** `@SubscribeMessage('chat/send')` as a route. */
export function stockRoutes(method: object, place: string): { type: string; action: string; client?: string }[] {
  if (!Reflect.getMetadata(IS_HANDLER, method)) return [];
  const pattern: unknown = Reflect.getMetadata(PATTERN, method);
  const [type, action, ...rest] = typeof pattern === 'string' ? pattern.split('/') : [];
  if (!type || !action || rest.length > 0) {
    throw new InvalidRouteError(
      `${place} subscribes to the message "${String(pattern)}". On this server a message is named 'type/action', ` +
        `e.g. @SubscribeMessage('chat/send'). Rename it, or give the gateway a path of its own.`,
    );
  }
  return [{ type, action }];
}
