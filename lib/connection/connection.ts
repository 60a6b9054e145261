import { isUtf8 } from 'node:buffer';
import type { WebSocket } from 'ws';
import { monotonicMs, wallMs } from '../clock.js';
import { ConnectionError, RemoteError } from '../errors.js';
import { encode } from '../json-value.js';
import type { MessageLimits } from '../limits/message-limits.js';
import type { Meter } from '../limits/meter.js';
import { PendingRequests } from '../pending-requests.js';
import { CloseCode } from '../protocol/close-codes.js';
import { decodeFrame, type DecodedFrame, encodeReply } from '../protocol/codec.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ErrorFrameData, RequestId } from '../protocol/message.js';
import { errorFrame } from '../protocol/error-frame.js';
import type { RouteCall } from '../routing/route-call.js';
import { Calls, type CallsHost } from './calls.js';
import type { Outbox } from '../outbound/outbox.js';
import type { RegisteredClient } from '../clients/registered-client.js';

const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;
/** A peer that was told to go may have so much under way. Of one that sends more, no more is read. */
const MAX_LEFTOVER_BYTES = 65_536;
/** What a frame costs, however short it is. */
const FRAME_HEAD_BYTES = 6;

/** What a connection needs of its server. */
export interface ConnectionHost extends CallsHost {
  readonly limits: MessageLimits<Connection>;
  close(connection: Connection, code: number, reason: string): void;
}

/** One socket: frames come in here and are told apart; its answers to our questions go to whoever asked. */
export class Connection {
  /** Nothing is read of it until messages that wait have been handled. */
  isPaused = false;
  /** Its hooks have finished: its messages are handled. */
  isReady = false;
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
  #calls: Calls | undefined;
  #questions: PendingRequests<unknown> | undefined;
  #isGone = false;
  #badFrames = 0;
  #leftoverBytes = 0;

  constructor(
    readonly ws: WebSocket,
    readonly client: RegisteredClient,
    /** The handshake said who it is. */
    readonly isAuthenticated: boolean,
    private readonly outbox: Outbox,
    private readonly host: ConnectionHost,
  ) {
    client.serveBy(this);
  }

  get clientId(): string {
    return this.client.clientId;
  }

  /** Bytes of its messages that wait for their turn. */
  get waitingBytes(): number {
    return this.#calls?.waitingBytes ?? 0;
  }

  /** The connection's hooks have finished: what arrived meanwhile is handled now. */
  ready(): void {
    this.isReady = true;
    this.#calls?.next();
  }

  /** The peer is there. */
  noteActivity(): void {
    this.activeAt = monotonicMs();
    this.client.lastActivity = wallMs();
  }

  /** @returns whether a pong answers the outbox, which asks at times whether the peer reads */
  takePong(payload: Buffer): boolean {
    return this.outbox.takePong(payload);
  }

  /** A ping or a pong. @returns true for one that comes after the end: then it means nothing any more */
  dropLeftover(payload: Buffer): boolean {
    if (this.#isGone) this.#ignore(payload);
    return this.#isGone;
  }

  /** One frame of the peer. Answers to our own requests, pings and cancels don't wait for the handlers before them. */
  receive(data: Buffer, isBinary: boolean): void {
    if (this.#isGone) return this.#ignore(data);
    this.noteActivity();
    if (this.#questions?.size) return this.#receiveWhileAsking(data, isBinary, this.#questions);
    if (this.host.limits.countMessage(this, data)) return;
    if (isBinary && !isUtf8(data)) return this.close(CloseCode.InvalidUtf8, 'not UTF-8');
    const text = data.toString();
    this.#take(decodeFrame(text, this.host.messages.maxDepth), text, data.length);
  }

  /** @throws {NotSerializableError} */
  send(frame: unknown): void {
    this.outbox.pushText(encode(frame));
  }

  /** Closes the socket and forgets the client at once, however long the peer takes to answer. */
  close(code: number, reason: string): void {
    this.host.close(this, code, reason);
  }

  /** The socket is gone, or no longer listened to: nothing waits, streams end, requests fail. */
  end(): void {
    this.#isGone = true;
    this.#calls?.end();
    this.#questions?.failAll(new ConnectionError('The client disconnected before it answered.'));
    this.outbox.end();
  }

  expire(call: RouteCall): void {
    this.#calls?.expire(call);
  }

  /** What was asked of the client gets no answer any more. */
  failQuestions(): void {
    this.#questions?.failAll(new ConnectionError('The client disconnected before it answered.'));
  }

  /** Asks the client; resolves with its answer. */
  ask(type: string, action: string, data: unknown, timeoutMs = DEFAULT_REQUEST_TIMEOUT_MS): Promise<unknown> {
    if (this.#isGone) return Promise.reject(new ConnectionError('The client is no longer connected.'));
    this.#questions ??= new PendingRequests();
    const answer = this.#questions.ask(`The client's answer to "${type}/${action}"`, timeoutMs, (id) =>
      this.send({ type, action, ...(data === undefined ? {} : { data }), id }),
    );
    this.#calls?.asked(answer);
    return answer;
  }

  /** There is room for messages again. */
  readOn(): void {
    if (!this.isPaused || this.#isGone) return;
    this.isPaused = false;
    this.noteActivity(); // its pong may be among what we didn't read
    this.ws.resume();
  }

  /**
   * An answer that we asked for is no message of the peer's own making, so it doesn't count against its rate: whoever asks much
   * would close its clients for answering. No more of them come than were asked for.
   */
  #receiveWhileAsking(data: Buffer, isBinary: boolean, questions: PendingRequests<unknown>): void {
    const isText = !isBinary || isUtf8(data);
    const text = isText ? data.toString() : '';
    const frame = decodeFrame(text, this.host.messages.maxDepth);
    if (frame.kind !== 'message' && questions.has(frame.id)) {
      this.hasSpoken = true;
      if (frame.kind === 'reply') return void questions.reply(frame.id, frame.response);
      if (frame.kind === 'error') return void questions.fail(frame.id, remoteError(frame.data));
      if (frame.isAnswer) return void questions.fail(frame.id, unreadable(frame.reason));
    }
    if (this.host.limits.countMessage(this, data, frame)) return;
    if (isText) this.#take(frame, text, data.length);
    else this.close(CloseCode.InvalidUtf8, 'not UTF-8');
  }

  #take(frame: DecodedFrame, text: string, bytes: number): void {
    switch (frame.kind) {
      case 'message':
        this.#badFrames = 0;
        return this.#accept(frame, text, bytes);
      case 'bad':
        return this.#refuse(frame);
      case 'reply':
      case 'error':
        return; // nobody waits for it any more
      default:
        return frame satisfies never;
    }
  }

  #accept(frame: Extract<DecodedFrame, { kind: 'message' }>, text: string, bytes: number): void {
    const { type, action, id } = frame;
    if (type === 'system' && action === 'ping') return this.#pong(id);
    if (type === 'system' && action === 'cancel') return this.#calls?.cancel(id);
    const calls = (this.#calls ??= new Calls(this, this.outbox, this.host));
    calls.accept(frame, text, bytes);
    if (this.isPaused || this.#isGone || !calls.isFull) return;
    this.isPaused = true;
    this.ws.pause();
  }

  /** The id of an answer is ours: in an error frame it would end a request of the peer's own that has the same. */
  #refuse({ reason, id, isAnswer }: Extract<DecodedFrame, { kind: 'bad' }>): void {
    const to = isAnswer ? {} : { id };
    this.send(errorFrame({ error: reason, code: ErrorCode.BadFrame }, to));
    if (++this.#badFrames >= this.host.messages.maxBadFrames) this.close(CloseCode.BadFrames, 'too many bad frames');
  }

  #pong(id: RequestId | undefined): void {
    if (id === undefined) this.send({ type: 'system', action: 'pong' });
    else this.outbox.pushText(encodeReply({ type: 'system', action: 'ping', id }, null));
  }

  /** It was told to go. What it sends until it does isn't handled, and not much of it is even read. */
  #ignore(data: Buffer): void {
    this.#leftoverBytes += data.length + FRAME_HEAD_BYTES;
    if (this.#leftoverBytes > MAX_LEFTOVER_BYTES && !this.ws.isPaused) this.ws.pause();
  }
}

const remoteError = ({ code, error, details }: ErrorFrameData): RemoteError => new RemoteError(code, error, details);

/** An answer that breaks the protocol: there won't be another. */
const unreadable = (reason: string): RemoteError =>
  new RemoteError(ErrorCode.BadFrame, `The client's answer can't be read. ${reason}`);
