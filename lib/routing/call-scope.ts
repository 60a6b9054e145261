import { AsyncLocalStorage } from 'node:async_hooks';
import type { RouteCall } from './route-call.js';

/** Knows in whose handler something is done, also after an `await`. A server has one only where somebody asks. */
export class CallScope {
  readonly #storage = new AsyncLocalStorage<RouteCall>();

  run(call: RouteCall, handler: (call: RouteCall) => unknown): unknown {
    return this.#storage.run(call, handler, call);
  }

  /** The message whose handler is running. */
  get current(): RouteCall | undefined {
    return this.#storage.getStore();
  }
}
