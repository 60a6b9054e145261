import { isUtf8 } from 'node:buffer';
import type { WebSocket } from 'ws';
import { monotonicMs, wallMs } from '../clock.js';
import { ClientNotFoundError, ConnectionError, NotSerializableError, PeerError, TimeoutError } from '../errors.js';
import { CloseCode } from '../protocol/close-codes.js';
import { decodeFrame, type DecodedFrame, encodeFrame, encodeReply, encodeStreamEnd } from '../protocol/codec.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { RequestId } from '../protocol/message.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { describeError, encodeErrorFrame, errorFrame } from '../routing/error-frame.js';
import { isPromise, RouteCall, type RoutePeer, STREAMED } from '../routing/route-call.js';
import type { MessageLimits } from '../limits/message-limits.js';
import type { Meter } from '../limits/meter.js';
import type { Router } from '../routing/router.js';
import { ClientRequests } from './client-requests.js';
import type { RegisteredClient } from './registered-client.js';
import type { Outbox } from './outbox.js';
import { isA } from '../protocol/thrown.js';
import type { TimeoutQueue } from './timeout-queue.js';

/** A stream waits for the socket above this many bytes not yet sent. */
const STREAM_HIGH_WATER_MARK = 65_536;
const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;

/** What a connection needs of its server. */
export interface ConnectionHost {
  readonly router: Router;
  readonly messages: ResolvedOptions['messages'];
  readonly timeouts: TimeoutQueue<RouteCall>;
  readonly limits: MessageLimits<Connection>;
  /** A well-formed message is about to be handled. */
  received(connection: Connection, call: RouteCall): void;
  /** A handler failed in a way that is the application's bug. */
  failed(error: unknown, place: string): void;
  /** Closes the client's socket and ends its connection at once. */
  disconnect(client: RegisteredClient, code: number, reason: string): void;
}

const NO_CALLS: readonly RouteCall[] = [];

/** One socket: frames come in here, wait their turn, go through their handler, and the answers leave here. */
export class Connection implements RoutePeer {
  isPaused = false;
  hasSpoken = false;
  meter: Meter | undefined;
  /** When it was last heard, by the monotonic clock: `client.lastActivity` is for people. */
  activeAt = monotonicMs();
  /** Of the queue that closes it when it says nothing. */
  deadline = 0;
  earlier: Connection | undefined;
  later: Connection | undefined;
  /** Settles when the connection's hooks have finished. */
  opened: Promise<void> = Promise.resolve();
  // Made when they are first needed: an idle connection has none of them.
  #waiting: RouteCall[] | undefined;
  #running: RouteCall[] | undefined;
  #streams: Set<RouteCall> | undefined;
  #requests: ClientRequests | undefined;
  #isReady = false;
  #isGone = false;
  #badFrames = 0;

  constructor(
    readonly ws: WebSocket,
    readonly client: RegisteredClient,
    private readonly outbox: Outbox,
    private readonly host: ConnectionHost,
  ) {
    client.isServedBy(this);
  }

  get clientId(): string {
    return this.client.clientId;
  }

  /** The connection's hooks have finished: what arrived meanwhile is handled now. */
  ready(): void {
    this.#isReady = true;
    this.#next();
  }

  /** The peer is there. */
  noteActivity(): void {
    this.activeAt = monotonicMs();
    this.client.lastActivity = wallMs();
  }

  /** @returns whether a pong answers the outbox, which asks at times whether the peer reads */
  isAnswer(payload: Buffer): boolean {
    return this.outbox.isAnswered(payload);
  }

  /** One frame of the peer. Answers to our own requests, pings and cancels don't wait for the handlers before them. */
  receive(data: Buffer, isBinary: boolean): void {
    if (this.#isGone) return;
    this.noteActivity();
    if (this.host.limits.refuses(this, data)) return;
    if (isBinary && !isUtf8(data)) return this.#close(CloseCode.InvalidUtf8, 'not UTF-8');
    const frame = decodeFrame(data.toString(), this.host.messages.maxDepth);
    switch (frame.kind) {
      case 'message':
        this.#badFrames = 0;
        return this.#accept(frame);
      case 'reply':
        return this.#requests?.answered(frame.id, frame.response);
      case 'error':
        return this.#requests?.refused(frame.id, frame.data);
      case 'bad':
        return this.#refuse(frame);
      default:
        return frame satisfies never;
    }
  }

  /** @throws {NotSerializableError} */
  send(frame: unknown): void {
    let text: string;
    try {
      text = encodeFrame(frame);
    } catch (error) {
      throw new NotSerializableError(error);
    }
    this.outbox.pushText(text);
  }

  /** The socket is gone, or no longer listened to: nothing waits, streams end, requests fail. */
  end(): void {
    this.#isGone = true;
    const calls = [this.#waiting, this.#running, this.#streams].flatMap((some) => [...(some ?? NO_CALLS)]);
    this.#waiting = this.#streams = undefined;
    for (const call of calls) {
      call.settled = true;
      this.#release(call);
      call.cancel();
    }
    this.#requests?.disconnected();
    this.outbox.end();
  }

  expire(call: RouteCall): void {
    this.#fail(call, new TimeoutError('The handler', this.host.messages.handlerTimeoutMs));
    this.#release(call);
  }

  streamStarted(call: RouteCall): void {
    if (call.settled) throw new ConnectionError('The stream started after its request had ended.');
    const streams = (this.#streams ??= new Set());
    if (streams.size >= this.host.messages.maxStreams) {
      throw new PeerError(
        ErrorCode.StreamLimit,
        `A connection may have ${this.host.messages.maxStreams} streams open at once.`,
      );
    }
    if (this.#findStream(call.id)) throw new PeerError(ErrorCode.DuplicateId, 'Another stream has this id.');
    streams.add(call);
    this.#release(call);
  }

  emit(call: RouteCall, value: unknown): Promise<void> | undefined {
    if (call.settled) return undefined;
    this.outbox.pushText(encodeReply(call, value, true));
    return this.outbox.bufferedBytes >= STREAM_HIGH_WATER_MARK ? this.outbox.whenDrained() : undefined;
  }

  /** Asks the client; resolves with its answer. */
  ask(type: string, action: string, data: unknown, timeoutMs = DEFAULT_REQUEST_TIMEOUT_MS): Promise<unknown> {
    if (this.#isGone) return Promise.reject(new ConnectionError('The client is no longer connected.'));
    this.#requests ??= new ClientRequests();
    return this.#requests.ask(`The client's answer to "${type}/${action}"`, timeoutMs, (id) =>
      this.send({ type, action, ...(data === undefined ? {} : { data }), id }),
    );
  }

  #accept({ type, action, data, id }: Extract<DecodedFrame, { kind: 'message' }>): void {
    if (type === 'system' && action === 'ping') return this.#pong(id);
    if (type === 'system' && action === 'cancel') return this.#findStream(id)?.cancel();
    const call = new RouteCall(this, type, action, data, id);
    if (this.#mayStart() && !this.#waiting?.length) return this.#start(call);
    const waiting = (this.#waiting ??= []);
    waiting.push(call);
    if (id !== undefined) this.host.timeouts.add(call); // the asker's time runs from here, not from its turn
    if (waiting.length >= this.host.messages.maxQueued && !this.isPaused) {
      this.isPaused = true;
      this.ws.pause();
    }
  }

  #refuse({ reason, id }: Extract<DecodedFrame, { kind: 'bad' }>): void {
    this.send(errorFrame({ error: reason, code: ErrorCode.BadFrame, isMeantForPeer: true }, { id }));
    if (++this.#badFrames >= this.host.messages.maxBadFrames) this.#close(CloseCode.BadFrames, 'too many bad frames');
  }

  #mayStart(): boolean {
    return this.#isReady && (this.#running?.length ?? 0) < this.host.messages.concurrency;
  }

  /** Those that waited, as far as there is room. */
  #next(): void {
    while (this.#waiting?.length && this.#mayStart()) {
      const call = this.#waiting.shift() as RouteCall;
      if (this.host.timeouts.isOver(call)) this.expire(call);
      else if (!call.settled) this.#start(call); // else it was told so while it waited
    }
    if (this.isPaused && (this.#waiting?.length ?? 0) <= this.host.messages.maxQueued / 2) {
      this.isPaused = false;
      this.noteActivity(); // its pong may be among what we didn't read
      this.ws.resume();
    }
  }

  /** A handler that answers at once is done here; only one that takes its time is waited for, and timed. */
  #start(call: RouteCall): void {
    try {
      this.host.received(this, call);
      const result = this.host.router.dispatch(call);
      if (isPromise(result)) return this.#wait(call, result);
      this.#reply(call, result);
    } catch (error) {
      this.#fail(call, error);
    }
    this.host.timeouts.delete(call);
  }

  #wait(call: RouteCall, result: PromiseLike<unknown>): void {
    if (!call.isStream) {
      call.slot = (this.#running ??= []).push(call) - 1;
      this.host.timeouts.add(call);
    }
    void this.#finish(call, result);
  }

  async #finish(call: RouteCall, result: PromiseLike<unknown>): Promise<void> {
    try {
      this.#reply(call, await result);
    } catch (error) {
      this.#fail(call, error);
    } finally {
      this.#streams?.delete(call);
      this.#release(call);
    }
  }

  #release(call: RouteCall): void {
    this.host.timeouts.delete(call);
    const running = this.#running;
    if (running?.[call.slot] !== call) return;
    // The last one takes its place. Not a Set: see TimeoutQueue.
    const last = running.pop() as RouteCall;
    if (last !== call) running[(last.slot = call.slot)] = last;
    this.#next();
  }

  #reply(call: RouteCall, result: unknown): void {
    if (call.settled) return;
    if (result === STREAMED) this.outbox.pushText(encodeStreamEnd(call));
    else if (result !== undefined || call.id !== undefined) this.outbox.pushText(encodeReply(call, result));
    call.settled = true;
  }

  #fail(call: RouteCall, error: unknown): void {
    const described = describeError(error);
    // Of a client that left meanwhile, these say only that it left.
    const isOver = call.settled && (isA(error, ConnectionError) || isA(error, ClientNotFoundError));
    if (!described.isMeantForPeer && !isOver) {
      this.host.failed(error, `${call.type}/${call.action}`);
    }
    if (call.settled) return;
    call.settled = true;
    const { type, action, id } = call;
    this.outbox.pushText(encodeErrorFrame(described, { type, action, id }));
  }

  #pong(id: RequestId | undefined): void {
    if (id === undefined) this.send({ type: 'system', action: 'pong' });
    else this.outbox.pushText(encodeReply({ type: 'system', action: 'ping', id }, null));
  }

  #findStream(id: RequestId | undefined): RouteCall | undefined {
    if (id === undefined) return undefined;
    for (const call of this.#streams ?? NO_CALLS) if (call.id === id) return call;
    return undefined;
  }

  #close(code: number, reason: string): void {
    this.host.disconnect(this.client, code, reason);
  }
}
