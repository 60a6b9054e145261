import { InvalidRouteError } from '../errors.js';
import { isRouteName } from '../protocol/names.js';

/** The handlers of each route, in the order they were added. */
export class RouteHandlers<H> {
  /** Names have no slash, so two routes never share a key. */
  readonly #byRoute = new Map<string, readonly { handler: H }[]>();

  /** @returns a function that removes this handler. */
  add(type: string, action: string, handler: H): () => void {
    assertRoute(type, action);
    const key = `${type}/${action}`;
    const entry = { handler };
    this.#byRoute.set(key, [...(this.#byRoute.get(key) ?? []), entry]);
    return () => {
      const rest = (this.#byRoute.get(key) ?? []).filter((other) => other !== entry);
      if (rest.length > 0) this.#byRoute.set(key, rest);
      else this.#byRoute.delete(key);
    };
  }

  find(type: string, action: string): readonly H[] {
    return (this.#byRoute.get(`${type}/${action}`) ?? []).map(({ handler }) => handler);
  }
}

/** @throws {InvalidRouteError} */
export function assertRoute(type: unknown, action: unknown): void {
  if (isRouteName(type) && isRouteName(action)) return;
  throw new InvalidRouteError(
    'The type and the action of a route must each have 1–64 characters of A–Z a–z 0–9 _ . - Rename it.',
  );
}
