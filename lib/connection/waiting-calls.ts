import type { RequestId } from '../protocol/message.js';
import type { RouteCall } from '../routing/route-call.js';
import type { QueueBudget } from './queue-budget.js';

/** The data of a longer frame is dropped while the frame waits, and parsed again at its turn. */
const SHORT_FRAME_BYTES = 1_024;
/** With more waiting bytes in the process, the data of every frame is dropped: parsed, it may take twenty times as much memory. */
const FEW_BYTES = 1_048_576;

interface WaitingCall {
  call: RouteCall;
  /** The whole frame. Undefined where the call still has its data. */
  text: string | undefined;
  bytes: number;
}

/**
 * The waiting messages of one connection, in order. Each is parsed when it comes, so that a bad one is answered at once and a
 * request can be cancelled. The data of long frames, or of many, is dropped and parsed again at the message's turn.
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
    const isSmall = bytes <= SHORT_FRAME_BYTES && this.budget.bytes <= FEW_BYTES;
    if (!isSmall) call.data = undefined;
    this.#waiting.push({ call, text: isSmall ? undefined : text, bytes });
    this.#count(bytes);
  }

  /** Takes the next one, with its data. */
  next(): RouteCall | undefined {
    const waiting = this.#waiting.shift();
    if (!waiting) return undefined;
    this.#count(-waiting.bytes);
    const { call, text } = waiting;
    if (text !== undefined) call.data = (JSON.parse(text) as { data?: unknown }).data;
    return call;
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
