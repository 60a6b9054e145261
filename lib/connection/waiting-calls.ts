import type { RequestId } from '../protocol/message.js';
import type { RouteCall } from '../routing/route-call.js';
import type { QueueBudget } from './queue-budget.js';

interface WaitingCall {
  call: RouteCall;
  /** The whole frame. Parsed, it may take twenty times as much memory. */
  text: string;
  bytes: number;
}

/**
 * Waiting messages of one connection, in order. Each was parsed when it came, so that a bad one is answered at once and a
 * request can be cancelled. Its data is dropped then, and parsed again at its turn.
 */
export class WaitingCalls {
  /** Bytes of their frames. */
  bytes = 0;
  #waiting: WaitingCall[] = [];

  constructor(private readonly budget: QueueBudget) {}

  get size(): number {
    return this.#waiting.length;
  }

  add(call: RouteCall, text: string, bytes: number): void {
    call.data = undefined;
    this.#waiting.push({ call, text, bytes });
    this.#count(bytes);
  }

  /** Takes the next one, with its data. */
  next(): RouteCall | undefined {
    const waiting = this.#waiting.shift();
    if (!waiting) return undefined;
    this.#count(-waiting.bytes);
    waiting.call.data = (JSON.parse(waiting.text) as { data?: unknown }).data;
    return waiting.call;
  }

  /** @returns the request of this id, which no longer waits */
  take(id: RequestId): RouteCall | undefined {
    return this.#remove((call) => call.id === id);
  }

  /** Does nothing for a call that doesn't wait. */
  remove(removed: RouteCall): void {
    this.#remove((call) => call === removed);
  }

  /** Removes all. @returns them */
  clear(): RouteCall[] {
    const calls = this.#waiting.map(({ call }) => call);
    this.#waiting = [];
    this.#count(-this.bytes);
    return calls;
  }

  #remove(isIt: (call: RouteCall) => boolean): RouteCall | undefined {
    const index = this.#waiting.findIndex(({ call }) => isIt(call));
    if (index < 0) return undefined;
    const [{ call, bytes }] = this.#waiting.splice(index, 1) as [WaitingCall];
    this.#count(-bytes);
    return call;
  }

  #count(bytes: number): void {
    this.bytes += bytes;
    this.budget.count(bytes);
  }
}
