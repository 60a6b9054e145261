import { AsyncLocalStorage } from 'node:async_hooks';
import type { RouteCall } from './route-call.js';

/** Knows in which call's handler code is running, also after an `await`. Only servers with rooms with history have one. */
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
