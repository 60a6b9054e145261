import type { WebSocket } from 'ws';
import { CancelledError, ClientNotFoundError, ConnectionError, TimeoutError } from '../errors.js';
import { type DecodedFrame, encodeJsonReply, encodeReply, encodeStreamEnd } from '../protocol/codec.js';
import type { RequestId } from '../protocol/message.js';
import { isA } from '../protocol/thrown.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { Router } from '../routing/router.js';
import type { QueueBudget } from './queue-budget.js';
import type { TimeoutQueue } from './timeout-queue.js';
import { describeError } from '../routing/describe-error.js';
import { encodeErrorFrame } from '../protocol/error-frame.js';
import { RouteCall, type RoutePeer } from '../routing/route-call.js';
import { isPromise, STREAMED } from '../routing/stream-source.js';
import { goesBehind, isBehind, isForNow, latestRound } from '../limits/round.js';
import type { CallsOwner } from './calls-owner.js';
import { OpenStreams } from './open-streams.js';
import { Questions } from './questions.js';
import type { Outbox } from '../outbound/outbox.js';
import { WaitingCalls } from './waiting-calls.js';

/** Above this many unsent bytes, streams wait for the socket. */
const STREAM_HIGH_WATER_MARK = 65_536;

const NO_CALLS: readonly RouteCall[] = [];

/** What the calls of all connections share. */
export interface CallsParts {
  readonly router: Router;
  readonly messages: ResolvedOptions['messages'];
  readonly timeouts: TimeoutQueue<RouteCall>;
  readonly queued: QueueBudget;
  /** Called for every valid message before its handler. */
  readonly received: ((call: RouteCall) => void) | undefined;
  /** Reports an error of a handler that is a bug of the application. */
  failed(error: unknown, place: string): void;
}

/** Handles the messages of one connection: they wait for their turn, run, stream, and are answered. */
export class Calls implements RoutePeer {
  #waiting: WaitingCalls | undefined;
  #running: RouteCall[] | undefined;
  #streams: OpenStreams | undefined;
  /** A handler is being called at this moment. */
  #isCalling = false;
  /** Messages that were started. */
  #turns = 0;
  /** Requests to the client, made while a handler of its messages ran. */
  #questions: Questions | undefined;
  #isOver = false;
  #refusedRound: number | undefined; // the last one of which a handler refused a request for now

  constructor(
    private readonly connection: CallsOwner,
    private readonly outbox: Outbox,
    private readonly parts: CallsParts,
  ) {}

  get ws(): WebSocket {
    return this.connection.ws;
  }

  get clientId(): string {
    return this.connection.clientId;
  }

  get client(): unknown {
    return this.connection.client;
  }

  get caller(): RoutePeer['caller'] {
    return this.connection.caller;
  }

  get waitingBytes(): number {
    return this.#waiting?.bytes ?? 0;
  }

  /** True while nothing more must be read. */
  get isFull(): boolean {
    const { maxQueued, maxQueuedBytes } = this.parts.messages;
    return this.#waiting !== undefined && (this.#waiting.size >= maxQueued || this.#waiting.bytes >= maxQueuedBytes);
  }

  /** Starts the message, or lets it wait. */
  accept(
    { type, action, data, id, key, sentMsAgo, round }: Extract<DecodedFrame, { kind: 'message' }>,
    text: string,
    bytes: number,
  ): void {
    const call = new RouteCall(this, type, action, data, id, key as string | undefined, sentMsAgo, round);
    if (this.#mayStart() && !this.#waiting?.size) return this.#start(call);
    (this.#waiting ??= new WaitingCalls(this.parts.queued)).add(call, text, bytes);
    if (id !== undefined) this.parts.timeouts.add(call); // its time runs from now, not from its turn
  }

  /** Starts waiting messages while there is room. */
  next(): void {
    while (this.#waiting?.size && this.#mayStart()) {
      const call = this.#waiting.next() as RouteCall;
      if (this.parts.timeouts.isOver(call)) this.expire(call);
      else this.#start(call);
    }
    this.#readOn();
  }

  cancel(id: RequestId | undefined): void {
    if (id === undefined) return;
    const waiting = this.#waiting?.take(id);
    if (waiting) {
      this.parts.timeouts.delete(waiting);
      this.#fail(waiting, new CancelledError());
      return this.#readOn();
    }
    for (const calls of [this.#streams?.calls ?? NO_CALLS, this.#running ?? NO_CALLS]) {
      for (const call of calls) if (call.id === id && !call.settled) return call.end(new CancelledError());
    }
  }

  expire(call: RouteCall): void {
    const error = new TimeoutError('The handler', this.parts.messages.handlerTimeoutMs);
    this.#waiting?.remove(call);
    this.#fail(call, error);
    call.end(error);
    this.#release(call);
    this.#readOn();
  }

  /** The client has left: waiting messages are dropped, streams end, and results of running handlers are ignored. */
  end(): void {
    this.#isOver = true;
    const waiting = this.#waiting?.clear() ?? NO_CALLS;
    const calls = new Set([...waiting, ...(this.#running ?? NO_CALLS), ...(this.#streams?.calls ?? NO_CALLS)]);
    this.#running = this.#streams = undefined;
    const reason = new ConnectionError('The client has disconnected.');
    for (const call of calls) {
      call.settled = true;
      this.parts.timeouts.delete(call);
      call.drop(reason);
    }
  }

  /** A handler sent the client a request. While it waits, it doesn't hold up later messages: the client may need them to answer. */
  asked(answer: Promise<unknown>): void {
    if (!this.#isCalling && !this.#running?.length) return;
    (this.#questions ??= new Questions()).add(answer, this.#turns);
    // Not in this turn: the handler may ask again, and those requests must not count for the next message.
    if (!this.#isCalling) queueMicrotask(() => this.next());
  }

  streamStarted(call: RouteCall): void {
    (this.#streams ??= new OpenStreams(this.parts.messages.maxStreams)).add(call);
    this.#release(call);
  }

  streamEnded(call: RouteCall): void {
    this.#streams?.delete(call);
  }

  emit(call: RouteCall, value: unknown): Promise<void> | undefined {
    if (call.settled) return undefined;
    const isOpen = this.ws.readyState === this.ws.OPEN; // or it is closing: nothing more can be sent
    if (isOpen) this.outbox.pushText(encodeReply(call, value, true));
    return isOpen && this.outbox.bufferedBytes < STREAM_HIGH_WATER_MARK ? undefined : this.outbox.whenDrained();
  }

  answer(call: RouteCall, value: unknown): void {
    if (call.settled) return;
    if (value === STREAMED) this.outbox.pushText(encodeStreamEnd(call));
    else if (value !== undefined || call.id !== undefined) this.outbox.pushText(encodeReply(call, value));
    call.settled = true;
  }

  answerJson(call: RouteCall, json: string): void {
    if (!call.settled) this.outbox.pushText(encodeJsonReply(call, json));
    call.settled = true;
  }

  #mayStart(): boolean {
    const running = this.#running ?? NO_CALLS;
    const holding = running.length - (this.#questions?.countAsking(running) ?? 0);
    return this.connection.isReady && !this.#isOver && holding < this.parts.messages.concurrency;
  }

  #readOn(): void {
    const { maxQueued, maxQueuedBytes } = this.parts.messages;
    if ((this.#waiting?.size ?? 0) <= maxQueued / 2 && this.waitingBytes <= maxQueuedBytes / 2)
      this.connection.readOn();
  }

  /** A handler with a synchronous answer is done here. Only an asynchronous one is awaited and timed. */
  #start(call: RouteCall): void {
    this.#isCalling = true;
    call.turn = ++this.#turns;
    try {
      if (isBehind(call.round, this.#refusedRound)) throw goesBehind();
      this.parts.received?.(call);
      const result = this.parts.router.dispatch(call);
      if (isPromise(result)) return this.#wait(call, result);
      this.answer(call, result);
    } catch (error) {
      this.#fail(call, error);
    } finally {
      this.#isCalling = false;
    }
    this.parts.timeouts.delete(call);
  }

  #wait(call: RouteCall, result: PromiseLike<unknown>): void {
    call.data = undefined; // the handler has it
    if (!call.isStream && !this.#isOver) {
      call.slot = (this.#running ??= []).push(call) - 1;
      this.parts.timeouts.add(call);
    }
    void this.#finish(call, result);
  }

  async #finish(call: RouteCall, result: PromiseLike<unknown>): Promise<void> {
    try {
      this.answer(call, await result);
    } catch (error) {
      this.#fail(call, error);
    } finally {
      this.#release(call);
    }
  }

  #release(call: RouteCall): void {
    this.parts.timeouts.delete(call);
    const running = this.#running;
    if (running?.[call.slot] !== call) return;
    // The last one moves to its place. Not a Set: see TimeoutQueue.
    const last = running.pop() as RouteCall;
    if (last !== call) running[(last.slot = call.slot)] = last;
    this.next();
  }

  #fail(call: RouteCall, thrown: unknown): void {
    const error = call.reasonOf(thrown);
    const described = describeError(error);
    // These errors only say that the client has left.
    const isOver = call.settled && (isA(error, ConnectionError) || isA(error, ClientNotFoundError));
    if (!described.isMeantForPeer && !isOver) this.parts.failed(error, `${call.type}/${call.action}`);
    if (!call.runs) this.#streams?.delete(call); // its stream never started
    if (call.settled) return;
    call.settled = true;
    const { type, action, id, round } = call;
    if (isForNow(described)) this.#refusedRound = latestRound(round, this.#refusedRound);
    this.outbox.pushText(encodeErrorFrame(described, { type, action, id }));
  }
}
