import type { Clock } from '../clock.js';
import { withinMs } from '../deadline.js';
import type { RouteCall } from '../routing/route-call.js';
import { KeptReply } from '../routing/kept-reply.js';
import type { Route, RouteHandler } from '../routing/router.js';
import { isPromise } from '../routing/stream-source.js';
import type { KeyRule, ReplyStore } from './reply-store.js';
import { type Running, Try, type TryParts } from './try.js';

export interface IdempotentCallsParts {
  store: ReplyStore;
  clock: Pick<Clock, 'now' | 'after'>;
  /** How long a sender waits for a handler, in ms. */
  handlerTimeoutMs: number;
  /** A unique id of this process. With a number, it makes the token of each try. */
  process: string;
}

/** How long a stop waits for handlers that still run, in ms, even if nothing is left of its time. */
const LEAST_WAIT_MS = 1_000;

/** Routes that handle each key once. */
export class IdempotentCalls {
  /** True if there is an idempotent route. */
  #isUsed = false;
  #isStarted = false;
  readonly #running = new Map<string, Running>();
  #tries = 0;
  readonly #parts: TryParts;

  constructor(private readonly parts: IdempotentCallsParts) {
    this.#parts = { ...parts, running: this.#running };
  }

  /** Wraps the handler of a route. The handler, or what calls it, must call `call.try.claim()`. */
  wrap({ type, action, handler }: Pick<Route, 'type' | 'action' | 'handler'>, once: KeyRule): RouteHandler {
    const route = `${type}/${action}`;
    const rule = { ...once, runMs: Math.max(once.windowMs, this.parts.handlerTimeoutMs) };
    this.#isUsed = true;
    return (call) => {
      const { key } = call;
      const owner = key === undefined ? undefined : call.peer.caller?.owner;
      if (owner === undefined) return handler(call);
      return this.#handle(handler, call, new Try(this.#parts, call, owner, route, rule, ++this.#tries));
    };
  }

  async start(): Promise<void> {
    if (!this.#isUsed || this.#isStarted) return;
    this.#isStarted = true;
    await this.parts.store.start();
  }

  /** Waits for the handlers that still run: their clients ask for the replies elsewhere. @param ms at most */
  async finish(ms: number): Promise<void> {
    const ends = [...this.#running.values()].map(({ waiting }) => new Promise<void>((ended) => waiting.add(ended)));
    await withinMs(this.parts.clock, Math.max(ms, LEAST_WAIT_MS), Promise.all(ends));
  }

  async stop(): Promise<void> {
    if (!this.#isStarted) return;
    this.#isStarted = false;
    await this.parts.store.stop();
    this.#running.clear();
  }

  #handle(handler: RouteHandler, call: RouteCall, attempt: Try): unknown {
    call.try = attempt;
    let result: unknown;
    try {
      result = handler(call);
    } catch (thrown) {
      attempt.failed(thrown);
      throw thrown;
    }
    return isPromise(result) ? this.#wait(attempt, call, result) : answered(attempt, call, result);
  }

  async #wait(attempt: Try, call: RouteCall, result: PromiseLike<unknown>): Promise<unknown> {
    attempt.goesOn();
    let value: unknown;
    try {
      value = await result;
    } catch (thrown) {
      attempt.failed(thrown);
      throw thrown;
    }
    return answered(attempt, call, value);
  }
}

function answered(attempt: Try, call: RouteCall, result: unknown): unknown {
  if (!(result instanceof KeptReply)) return attempt.succeeded(result);
  if (result.refusal) throw result.refusal;
  // As for the first try, a message without an id gets no empty answer.
  if (call.id !== undefined || result.json !== 'null') call.peer.answerJson(call, result.json as string);
  return undefined;
}
