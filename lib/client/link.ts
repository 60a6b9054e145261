import { ConnectionError, RemoteError } from '../errors.js';
import { CloseCode, fitReason, utf8Length } from '../protocol/close-codes.js';
import { type DecodedFrame, decodeFrame, MAX_DEPTH } from '../protocol/codec.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { errorFrame } from '../protocol/error-frame.js';
import type { MessageFrame, RequestId } from '../protocol/message.js';
import { type After, type Asking, type AskOptions, PendingRequests } from '../pending-requests.js';
import { BadFrameError, endError, MessageTooLargeError, messageOf } from './client-errors.js';
import { deferred } from './deferred.js';
import { encode } from './encode.js';
import { readGreeting } from './greeting.js';
import type { Greeting, ServerMessage } from './greeting.js';
import { SOCKET_OPEN, textOf } from './socket-like.js';
import type {
  SocketCloseEvent,
  SocketErrorEvent,
  SocketEventName,
  SocketLike,
  SocketMessageEvent,
} from './socket-like.js';
import { Stopwatch } from './stopwatch.js';

type ReplyFrame = Extract<DecodedFrame, { kind: 'reply' }>;
type ErrorFrame = Extract<DecodedFrame, { kind: 'error' }>;
/** Takes one response, and its frame. */
export type Answered = (response: unknown, text: string, stop: Asking['stop']) => void;

export interface LinkEnd {
  code: number;
  reason: string;
  error: ConnectionError;
}

export interface LinkHandlers<S extends SocketLike> {
  onMessage(message: ServerMessage, link: Link<S>): void;
  onError(error: Error): void;
  onEnd(link: Link<S>): void;
  after: After;
}

interface LinkAskOptions extends AskOptions {
  /** Makes the frame, as JSON, with this id. @default the message with the id */
  write?(id: number): string;
}

/** How much one connection may keep, in bytes. */
export interface LinkBudgets {
  maxHeldBytes: number;
  maxUnsentBytes: number;
}

/** Error frames without a request are reported. Of a longer one, only this many characters and no details. */
const MAX_REPORTED_CHARACTERS = 2_000;

/** One socket from its creation to its end, which comes once. After its end it calls no handler any more. */
export class Link<S extends SocketLike> extends PendingRequests<[reply: ReplyFrame, text: string]> {
  /** Resolves with the server's first frame; rejects when the link ends before it. */
  readonly greeted = deferred();
  /** Resolved when the rooms may not be waited for any longer. */
  readonly hurried = deferred();
  declare greeting: Greeting | undefined;
  declare end: LinkEnd | undefined;
  /** Since the last frame came. */
  silence = new Stopwatch();
  /** Messages of a new connection wait until `onConnected` was called, so that no handler runs before it. */
  #held: ServerMessage[] | undefined = [];
  #heldBytes = 0;
  #socketError: string | undefined;
  readonly #handlers: LinkHandlers<S>;
  readonly #budgets: LinkBudgets;
  readonly #listeners: readonly [SocketEventName, (event: object) => void][] = [
    ['message', (event) => this.#receive((event as SocketMessageEvent).data)],
    ['error', (event) => this.#failed(event)],
    ['close', (event) => this.#finish((event as SocketCloseEvent).code, (event as SocketCloseEvent).reason)],
  ];

  constructor(
    readonly socket: S,
    handlers: LinkHandlers<S>,
    budgets: LinkBudgets,
  ) {
    super(handlers.after, (id) => this.trySend({ type: 'system', action: 'cancel', id }));
    this.#handlers = handlers;
    this.#budgets = budgets;
    socket.binaryType = 'arraybuffer';
    for (const [type, listener] of this.#listeners) socket.addEventListener(type, listener);
  }

  get isOpen(): boolean {
    return !this.end && this.socket.readyState === SOCKET_OPEN;
  }

  /** @throws {ConnectionError} that says how the link ended, if it has ended. */
  throwIfEnded(): void {
    if (this.end) throw this.end.error;
  }

  /**
   * Sends a frame that is JSON already.
   * @throws {ConnectionError} when the socket isn't open. @throws {MessageTooLargeError}
   */
  send(text: string, binary = false): void {
    if (!this.isOpen) throw new ConnectionError('The client is not open.');
    const maxBytes = this.greeting?.maxPayload as number; // nothing is above undefined
    if (utf8Length(text) > maxBytes) throw new MessageTooLargeError(maxBytes);
    // A server that doesn't read must not make this process buffer more and more.
    const { maxUnsentBytes } = this.#budgets;
    if (this.socket.bufferedAmount > maxUnsentBytes) {
      const error = new ConnectionError(`More than ${maxUnsentBytes} bytes wait (maxUnsentBytes).`);
      this.close(CloseCode.SlowConsumer, 'too slow', error);
      throw error;
    }
    this.socket.send(binary ? new TextEncoder().encode(text) : text);
  }

  /**
   * Answers a request of the server. @throws as `send()`, and {BadFrameError} when the server would refuse the frame
   */
  answer(frame: unknown): void {
    const text = encode(frame);
    const read = decodeFrame(text, this.greeting?.maxDepth);
    if (read.kind === 'bad') throw new BadFrameError(`Bad frame: ${read.reason}`);
    this.send(text);
  }

  /** Sends a frame whose failure nobody awaits. Never throws: a failure is reported. */
  trySend(frame: unknown): void {
    try {
      if (this.isOpen) this.send(encode(frame));
    } catch (error) {
      this.#handlers.onError(error as Error);
    }
  }

  /** Sends a request. It ends with {RemoteError}, {ConnectionError} or {TimeoutError}, if it fails. */
  ask(message: MessageFrame, options: LinkAskOptions, answered: Answered): Asking {
    return this.begin(
      `The reply to "${message.type}/${message.action}"`,
      options,
      (id) => this.send(options.write?.(id) ?? encode({ ...message, id })),
      ([{ response, done }, text], stop) => done || answered(response, text, stop),
    );
  }

  /** Sends a request that has one reply. A handler that streams is cancelled after its first value. */
  async request<T>(message: MessageFrame, options: LinkAskOptions): Promise<T> {
    let first: unknown;
    await this.ask(message, options, (response, _, stop) => {
      first = response;
      stop();
    }).ended;
    return first as T;
  }

  /** Passes an answer to its request. False when its id was never used. */
  protected settle(frame: ReplyFrame | ErrorFrame, text: string): boolean {
    const request = this.find(frame.id);
    if (frame.kind === 'reply') request?.answer([frame, text], !frame.more || frame.done);
    else request?.settle(new RemoteError(frame.data.code, frame.data.error, frame.data.details));
    return this.wasUsed(frame.id);
  }

  /** Delivers the messages that waited. Later ones don't wait. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const message of held) if (!this.end) this.#handlers.onMessage(message, this);
  }

  /** Ends the link at once. Nobody waits for the closing handshake. */
  close(code: number, reason: string, error = new ConnectionError('The client is closed.')): void {
    if (this.end) return;
    const sent = fitReason(reason);
    try {
      this.socket.close(code, sent);
    } catch {
      // Not every code may be sent. Browsers send only 1000 and 3000–4999.
      code = CloseCode.Normal;
      this.socket.close(code, sent);
    }
    this.#finish(code, reason, error);
  }

  #finish(code: number, reason: string, error = endError(code, reason, this.#socketError)): void {
    if (this.end) return;
    this.end = { code, reason, error };
    for (const [type, listener] of this.#listeners) this.socket.removeEventListener(type, listener);
    this.greeted.reject(error);
    this.failAll(error);
    this.hurried.resolve();
    this.#handlers.onEnd(this);
  }

  /** The close event that follows ends the link. This event explains why. */
  #failed({ error, message }: SocketErrorEvent): void {
    this.#socketError = error ? messageOf(error) : message;
    if (this.greeting && this.#socketError) this.#handlers.onError(endError(1006, '', this.#socketError));
  }

  #receive(data: unknown): void {
    this.silence = new Stopwatch();
    const text = textOf(data);
    if (text === undefined) return this.#skip('It is not UTF-8.');
    const frame = decodeFrame(text, Math.max(MAX_DEPTH, this.greeting?.maxDepth ?? 0));
    if (frame.kind === 'bad') return this.#skip(frame.reason, frame.id, frame.isAnswer);
    if (frame.kind !== 'message') return this.settle(frame, text) ? undefined : this.#handUnasked(frame, text);
    if (this.greeting) return this.#hand(frame, text);
    this.greeting = readGreeting(frame);
    if (this.greeting) this.greeted.resolve();
    else this.#skip('It is not "system/connected".');
  }

  /**
   * A malformed frame. If it is a reply, its request fails at once; if it is a request, the server gets an error frame.
   */
  #skip(reason: string, id?: RequestId, isAnswer = false): void {
    const error = new BadFrameError(`Bad frame: ${reason}`);
    if (isAnswer) {
      this.find(id)?.stop(error); // a stream would go on
      if (this.wasUsed(id)) return;
    }
    this.#handlers.onError(error);
    if (!isAnswer && id !== undefined) this.trySend(errorFrame({ error: reason, code: ErrorCode.BadFrame }, { id }));
  }

  /** An answer without a request: an error is reported, a response is handled like a message. */
  #handUnasked(frame: ReplyFrame | ErrorFrame, text: string): void {
    if (frame.kind === 'error') {
      const { code, error, details } = frame.data;
      const isShort = text.length <= MAX_REPORTED_CHARACTERS;
      this.#handlers.onError(new RemoteError(short(code), short(error), isShort ? details : undefined));
    } else if (this.greeting && !frame.done) {
      this.#hand({ type: frame.type, action: frame.action, data: frame.response, id: undefined }, text);
    }
  }

  #hand(message: ServerMessage, text: string): void {
    if (!this.#held) return this.#handlers.onMessage(message, this);
    this.#held.push(message);
    this.#heldBytes += utf8Length(text);
    if (this.#heldBytes > this.#budgets.maxHeldBytes) this.hurried.resolve();
  }
}

const short = (text: string): string => text.slice(0, MAX_REPORTED_CHARACTERS);
