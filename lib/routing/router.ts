import type { WebSocket } from 'ws';
import { DuplicateRouteError, InvalidRouteError, UnknownRouteError } from '../errors.js';
import { isRouteName, RESERVED_TYPES } from '../protocol/names.js';
import type { KeyRule } from '../idempotency/reply-store.js';
import type { CallScope } from './call-scope.js';
import type { RouteCall } from './route-call.js';

/** Handles one call. Its awaited result is the reply. */
export type RouteHandler = (call: RouteCall) => unknown;

export interface Route {
  type: string;
  action: string;
  handler: RouteHandler;
  /** Where it is declared, for logs: `ChatGateway.send (ChatModule)`. */
  place: string;
  /** True for a route of the protocol itself. */
  isBuiltIn?: boolean;
  /** True for a route that Nest has logged already, because it belongs to one of Nest's own gateways. */
  isLogged?: boolean;
  /** Each key is handled once. */
  once?: KeyRule | undefined;
}

/** Finds the handler of a `type`/`action` pair. The two are never joined into one key, so two pairs can't share one. */
export class Router {
  readonly #routes = new Map<string, Map<string, Route>>();
  readonly #scope: CallScope | undefined;
  readonly #isReserved: (type: string) => boolean;

  /**
   * @param options.side a client may handle messages of type `system`; a server may not
   * @param options.scope knows in which call's handler code is running
   */
  constructor({ side = 'server', scope }: { side?: 'server' | 'client'; scope?: CallScope | undefined } = {}) {
    this.#scope = scope;
    this.#isReserved = side === 'server' ? (type) => RESERVED_TYPES.has(type) : (type) => type === 'error';
  }

  /** @throws {InvalidRouteError} for an invalid name @throws {DuplicateRouteError} */
  add(route: Route): void {
    for (const name of [route.type, route.action]) {
      if (!isRouteName(name)) {
        throw new InvalidRouteError(
          `${route.place} declares the route "${route.type}/${route.action}". ` +
            'A type and an action have 1–64 characters of A–Z a–z 0–9 _ . - each.',
        );
      }
    }
    if (this.#isReserved(route.type) && !route.isBuiltIn) {
      throw new InvalidRouteError(
        `${route.place} declares the route "${route.type}/${route.action}", but "${route.type}" belongs to the protocol. Choose another type.`,
      );
    }
    const actions = this.#routes.get(route.type) ?? new Map<string, Route>();
    const known = actions.get(route.action);
    if (known) throw new DuplicateRouteError(`${route.type}/${route.action}`, known.place, route.place);
    actions.set(route.action, route);
    this.#routes.set(route.type, actions);
  }

  /** Adds a route outside of a Nest application. @throws as `add()` */
  addByHand(type: string, action: string, handler: (ws: WebSocket, clientId: string, data: unknown) => unknown): void {
    const place = `route('${type}', '${action}')`;
    this.add({ type, action, place, handler: (call) => call.take(handler(call.ws, call.clientId, call.data)) });
  }

  /** @throws {UnknownRouteError} */
  dispatch(call: RouteCall): unknown {
    const route = this.#routes.get(call.type)?.get(call.action);
    if (!route) throw new UnknownRouteError(call.type, call.action);
    return this.#scope && !route.isBuiltIn ? this.#scope.run(call, route.handler) : route.handler(call);
  }

  has(type: string, action: string): boolean {
    return this.#routes.get(type)?.has(action) ?? false;
  }

  clear(): void {
    this.#routes.clear();
  }

  /** Logs the application's routes as Nest does, one line each. */
  mapped(path: string): string[] {
    const routes = this.#all().filter(({ isBuiltIn, isLogged }) => !isBuiltIn && !isLogged);
    return routes.map(({ type, action }) => `Mapped {${path}, ${type}/${action}} route`);
  }

  /** Logs all routes and where each is declared, the protocol's own included. */
  print(): string[] {
    return this.#all()
      .map(({ type, action, place }) => `${type}/${action} → ${place}`)
      .toSorted();
  }

  #all(): Route[] {
    return [...this.#routes.values()].flatMap((actions) => [...actions.values()]);
  }
}
