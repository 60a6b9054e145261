import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.js';
import { withinMs } from '../deadline.js';
import type { RouteCall } from '../routing/route-call.js';
import { KeptReply } from '../routing/kept-reply.js';
import type { RouteHandler } from '../routing/router.js';
import type { KeyRule, ReplyStore } from './reply-store.js';
import { type Running, Try } from './try.js';

export interface IdempotentCallsParts {
  store: ReplyStore;
  clock: Pick<Clock, 'now' | 'after'>;
}

/** How long a stop waits for handlers that still run, in ms. */
const STOP_MS = 1_000;

/** Routes that handle each key once. */
export class IdempotentCalls {
  /** There is such a route. */
  #isUsed = false;
  #isStarted = false;
  readonly #running = new Map<string, Running>();

  constructor(private readonly parts: IdempotentCallsParts) {}

  /** Wraps a handler. It, or what calls it, must ask `call.try`. */
  wrap(handler: RouteHandler, rule: KeyRule): RouteHandler {
    this.#isUsed = true;
    return (call) => {
      const { key } = call;
      const owner = key === undefined ? undefined : call.peer.sender?.owner;
      if (owner === undefined) return handler(call);
      return this.#handle(handler, call, `${owner}\n${call.type}/${call.action}\n${key}`, rule);
    };
  }

  async start(): Promise<void> {
    if (!this.#isUsed || this.#isStarted) return;
    this.#isStarted = true;
    await this.parts.store.start();
  }

  async stop(): Promise<void> {
    if (!this.#isStarted) return;
    this.#isStarted = false;
    await withinMs(STOP_MS, Promise.all([...this.#running.values()].map(({ ended }) => ended)));
    await this.parts.store.stop();
    this.#running.clear();
  }

  async #handle(handler: RouteHandler, call: RouteCall, name: string, rule: KeyRule): Promise<unknown> {
    const attempt = new Try({ ...this.parts, running: this.#running }, call, name, randomUUID(), rule);
    call.try = attempt;
    let result: unknown;
    try {
      result = await handler(call);
    } catch (thrown) {
      attempt.failed(thrown);
      throw thrown;
    }
    if (!(result instanceof KeptReply)) return attempt.succeeded(result);
    if (result.refusal) throw result.refusal;
    // As for the first try, what has no id gets no empty answer.
    if (call.id !== undefined || result.json !== 'null') call.peer.answerJson(call, result.json as string);
    return undefined;
  }
}
