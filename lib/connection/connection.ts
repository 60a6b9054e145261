import { isUtf8 } from 'node:buffer';
import type { WebSocket } from 'ws';
import type { Clock } from '../clock.js';
import { ConnectionError } from '../errors.js';
import { encode } from '../json-value.js';
import type { MessageLimits } from '../limits/message-limits.js';
import type { Meter } from '../limits/meter.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { askOnce, PendingRequests } from '../pending-requests.js';
import { CloseCode } from '../protocol/close-codes.js';
import { decodeFrame, type DecodedFrame, encodeReply } from '../protocol/codec.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { RequestId } from '../protocol/message.js';
import { errorFrame } from '../protocol/error-frame.js';
import { flawOfTry } from '../protocol/names.js';
import type { RouteCall } from '../routing/route-call.js';
import type { Caller } from '../routing/caller.js';
import { Calls, type CallsParts } from './calls.js';
import { Leftovers } from './leftovers.js';
import { takeAnswer } from './questions.js';
import { callerOf, presenceIdOf, sessionFrom } from './session.js';
import type { Outbox } from '../outbound/outbox.js';
import type { RegisteredClient } from '../clients/registered-client.js';

const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;

/** What all connections share. */
export interface ConnectionParts {
  readonly clock: Clock;
  readonly messages: Pick<ResolvedOptions['messages'], 'maxDepth' | 'maxBadFrames'>;
  readonly limits: MessageLimits<Connection>;
  readonly calls: CallsParts;
  close(connection: Connection, code: number, reason: string): void;
  /** The client sent its session. */
  named(client: RegisteredClient): void;
}

/** One socket: receives its frames. Passes messages to `Calls`, and answers to the requests that wait for them. */
export class Connection {
  /** Reading is paused until waiting messages have been handled. */
  isPaused = false;
  /** When reading was resumed last, by the monotonic clock. */
  resumedAt = 0;
  /** Its connection hooks have finished, so its messages are handled. */
  isReady = false;
  hasSpoken = false;
  meter: Meter | undefined;
  refusedRound: number | undefined;
  /** By the monotonic clock. */
  readonly openedAt: number;
  /** The last activity, by the monotonic clock. `client.lastActivity` is the time of day. */
  activeAt: number;
  /** Owned by the queue that closes silent connections. */
  deadline = 0;
  earlier: Connection | undefined;
  later: Connection | undefined;
  /** Settles when the connection's hooks have finished. */
  opened: Promise<void> = Promise.resolve();
  // Created when they are first needed: an idle connection has none of them.
  #calls: Calls | undefined;
  #questions: PendingRequests<unknown> | undefined;
  #caller: Caller | undefined;
  #leftovers: Leftovers | undefined;
  #badFrames = 0;

  constructor(
    readonly ws: WebSocket,
    readonly client: RegisteredClient,
    /** It was authenticated by its handshake. */
    readonly isAuthenticated: boolean,
    private readonly outbox: Outbox,
    private readonly parts: ConnectionParts,
  ) {
    this.openedAt = this.activeAt = parts.clock.now();
    client.serveBy(this);
  }

  get #isGone(): boolean {
    return this.#leftovers !== undefined;
  }

  get caller(): Caller {
    return (this.#caller = callerOf(this, this.outbox.session, this.#caller));
  }

  get clientId(): string {
    return this.client.clientId;
  }

  get presenceId(): string {
    return presenceIdOf(this, this.outbox.session);
  }

  /** Bytes of its waiting messages. */
  get waitingBytes(): number {
    return this.#calls?.waitingBytes ?? 0;
  }

  /** The connection hooks have finished: messages that arrived meanwhile are handled now. */
  ready(): void {
    this.isReady = true;
    this.#calls?.next();
  }

  /** Notes a sign of life. */
  noteActivity(): void {
    this.activeAt = this.parts.clock.now();
    this.client.lastActivity = this.parts.clock.wall();
  }

  /** @returns true for a pong that answers a ping of the outbox */
  takePong(payload: Buffer): boolean {
    return this.outbox.takePong(payload);
  }

  /** @returns true for a ping or pong that came after the end and must be ignored */
  dropLeftover(payload: Buffer): boolean {
    this.#leftovers?.ignore(payload);
    return this.#isGone;
  }

  /** Handles one frame. Answers to our own requests, pings and cancels don't wait for earlier messages. */
  receive(data: Buffer, isBinary: boolean): void {
    if (this.#leftovers) return this.#leftovers.ignore(data);
    this.noteActivity();
    if (this.#questions?.size) return this.#receiveWhileAsking(data, isBinary, this.#questions);
    if (this.parts.limits.countMessage(this, data)) return;
    if (isBinary && !isUtf8(data)) return this.close(CloseCode.InvalidUtf8, 'not UTF-8');
    const text = data.toString();
    this.#take(decodeFrame(text, this.parts.messages.maxDepth), text, data.length);
  }

  /** @throws {NotSerializableError} */
  send(frame: unknown): void {
    this.outbox.pushText(encode(frame));
  }

  /** Sends a frame that is text already. */
  sendText(text: string): void {
    this.outbox.pushText(text);
  }

  /** Closes the socket and forgets the client at once, however long the peer takes to answer. */
  close(code: number, reason: string): void {
    this.parts.close(this, code, reason);
  }

  /** The socket is closed or ignored: waiting messages are dropped, streams end, requests fail. */
  end(): void {
    this.#leftovers ??= new Leftovers(this.ws);
    this.#calls?.end();
    this.failQuestions();
    this.outbox.end();
  }

  expire(call: RouteCall): void {
    this.#calls?.expire(call);
  }

  /** Fails all requests to the client: no answer can come any more. */
  failQuestions(): void {
    this.#questions?.failAll(new ConnectionError('The client disconnected before it answered.'));
  }

  /** Sends a request to the client and resolves with its answer. */
  ask(type: string, action: string, data: unknown, timeoutMs = DEFAULT_REQUEST_TIMEOUT_MS): Promise<unknown> {
    if (this.#isGone) return Promise.reject(new ConnectionError('The client is no longer connected.'));
    this.#questions ??= new PendingRequests((ms, late) => this.parts.clock.after(ms, late));
    const answer = askOnce(this.#questions, `The client's answer to "${type}/${action}"`, timeoutMs, (id) =>
      this.send({ type, action, ...(data === undefined ? {} : { data }), id }),
    );
    this.#calls?.asked(answer);
    return answer;
  }

  /** Reads from the socket again, because there is room for messages. */
  readOn(): void {
    if (!this.isPaused || this.#isGone) return;
    this.isPaused = false;
    this.noteActivity(); // its pong may be in what wasn't read yet
    this.resumedAt = this.activeAt;
    this.ws.resume();
  }

  /**
   * Handles a frame while requests to the client are open. Answers don't count against the message rate: otherwise a server that
   * sends many requests would close its clients for their answers. There can't be more answers than requests.
   */
  #receiveWhileAsking(data: Buffer, isBinary: boolean, questions: PendingRequests<unknown>): void {
    const isText = !isBinary || isUtf8(data);
    const text = isText ? data.toString() : '';
    const frame = decodeFrame(text, this.parts.messages.maxDepth);
    if (takeAnswer(frame, questions)) return void (this.hasSpoken = true);
    if (this.parts.limits.countMessage(this, data, frame)) return;
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
        return; // nobody waits for this answer
      default:
        return frame satisfies never;
    }
  }

  #accept(frame: Extract<DecodedFrame, { kind: 'message' }>, text: string, bytes: number): void {
    const { type, action, id } = frame;
    const reason = flawOfTry(frame);
    if (reason) return this.#refuse({ reason, id, isAnswer: false });
    if (type === 'system' && action === 'ping') return this.#pong(id);
    if (type === 'system' && action === 'cancel') return this.#calls?.cancel(id);
    if (type === 'system' && action === 'session') return this.#takeSession(frame);
    const calls = (this.#calls ??= new Calls(this, this.outbox, this.parts.calls));
    calls.accept(frame, text, bytes);
    if (this.isPaused || this.#isGone || !calls.isFull) return;
    this.isPaused = true;
    this.ws.pause();
  }

  /** Sends an error frame, without the id of an answer: that is one of ours, and a request of the peer may have it, too. */
  #refuse({ reason, id, isAnswer }: Omit<Extract<DecodedFrame, { kind: 'bad' }>, 'kind'>): void {
    this.send(errorFrame({ error: reason, code: ErrorCode.BadFrame }, isAnswer ? {} : { id }));
    if (++this.#badFrames >= this.parts.messages.maxBadFrames) this.close(CloseCode.BadFrames, 'too many bad frames');
  }

  /** Takes the client's session at once, because later messages belong to it. It stays for the life of the connection. */
  #takeSession({ type, action, id, data }: Extract<DecodedFrame, { kind: 'message' }>): void {
    const session = sessionFrom(data, this);
    if (session === undefined) {
      const error = '"session" must be 16–64 characters of A–Z a–z 0–9 _ -';
      return this.send(errorFrame({ error, code: ErrorCode.BadRequest }, { type, action, id }));
    }
    this.outbox.session ??= session;
    this.parts.named(this.client);
    if (id !== undefined) this.outbox.pushText(encodeReply({ type, action, id }, null));
  }

  #pong(id: RequestId | undefined): void {
    if (id === undefined) this.send({ type: 'system', action: 'pong' });
    else this.outbox.pushText(encodeReply({ type: 'system', action: 'ping', id }, null));
  }
}
