import { InvalidRouteError } from '../errors.js';
import { readMessageName } from './stock-results.js';

/** Nest's own metadata keys (`@nestjs/websockets`), not exported from its root. `ws-adapter.test.ts` guards them. */
const GATEWAY = 'websockets:is_gateway';
const OPTIONS = 'websockets:gateway_options';
const PORT = 'port';
const IS_HANDLER = 'websockets:message_mapping';
const PATTERN = 'message';

/** The fields of a server by which stock gateways choose it. */
export interface StockHome {
  /** Undefined for the server without a name, to which gateways without a path belong. */
  server?: string | undefined;
  stockPath?: string | undefined;
}

/**
 * True for a stock `@WebSocketGateway()` that belongs to a server: it has the same port, and the server's path or none.
 */
export function isOurs(port: number | undefined, path: string | undefined, { server, stockPath }: StockHome): boolean {
  if (port || stockPath === undefined) return false;
  if (path === undefined || path === '') return server === undefined;
  return `/${path.replace(/^\/+|\/+$/g, '')}` === stockPath;
}

/** Nest's gateway metadata of a class that is a gateway on that server. */
export function readStockGateway(metatype: object, home: StockHome): object | undefined {
  if (!Reflect.getMetadata(GATEWAY, metatype)) return undefined;
  const options = (Reflect.getMetadata(OPTIONS, metatype) ?? {}) as { path?: string };
  return isOurs(Reflect.getMetadata(PORT, metatype) as number | undefined, options.path, home) ? options : undefined;
}

/** `@SubscribeMessage('chat/send')` as a route. */
export function stockRoutes(method: object, place: string): { type: string; action: string }[] {
  if (!Reflect.getMetadata(IS_HANDLER, method)) return [];
  const pattern: unknown = Reflect.getMetadata(PATTERN, method);
  const name = readMessageName(pattern);
  if (!name)
    throw new InvalidRouteError(
      `${place} subscribes to the message "${String(pattern)}". On this server a message is named 'type/action', ` +
        `e.g. @SubscribeMessage('chat/send'). Rename it, or give the gateway a path of its own.`,
    );
  return [name];
}
