import { ConnectionError, NotSerializableError, RemoteError } from '../errors.js';
import { CloseCode, fitReason } from '../protocol/close-codes.js';
import { decodeFrame, encodeFrame } from '../protocol/codec.js';
import { BadFrameError, messageOf } from './client-errors.js';
import { readGreeting } from './greeting.js';
import type { Greeting, ServerMessage } from './greeting.js';
import { PendingRequests } from './pending-requests.js';
import type { AnswerFrame } from './pending-requests.js';
import { SOCKET_OPEN } from './socket-like.js';
import type { SocketCloseEvent, SocketErrorEvent, SocketLike, SocketMessageEvent } from './socket-like.js';

export interface LinkEnd {
  code: number;
  reason: string;
  error: ConnectionError;
}

export interface LinkHandlers<S extends SocketLike> {
  onMessage(message: ServerMessage, link: Link<S>): void;
  onError(error: Error): void;
  onEnd(end: LinkEnd, link: Link<S>): void;
}

/** Codes that stand for "no code was sent" (RFC 6455 section 7.4.1). */
const UNSENT_CODES: ReadonlySet<number> = new Set([1005, 1006, 1015]);

/**
 * One socket from its creation to its end, which comes once. Afterwards its events reach nobody: whoever holds a newer
 * link never hears of an old one.
 */
export class Link<S extends SocketLike> {
  /** Resolves with the server's first frame; rejects when the link ends before it. */
  readonly greeted: Promise<Greeting>;
  readonly ended: Promise<LinkEnd>;
  readonly requests: PendingRequests;
  greeting: Greeting | undefined;
  end: LinkEnd | undefined;
  /** Counts up with every frame: a sign of life. */
  framesHeard = 0;
  /** Messages wait here until the connection was announced, so that no handler runs before `onConnected`. */
  #held: ServerMessage[] | undefined = [];
  #socketError: string | undefined;
  #resolveGreeted!: (greeting: Greeting) => void;
  #rejectGreeted!: (error: Error) => void;
  #resolveEnded!: (end: LinkEnd) => void;
  readonly #handlers: LinkHandlers<S>;

  constructor(
    readonly socket: S,
    handlers: LinkHandlers<S>,
  ) {
    this.#handlers = handlers;
    this.requests = new PendingRequests(this);
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    this.greeted = new Promise((resolve, reject) => {
      this.#resolveGreeted = resolve;
      this.#rejectGreeted = reject;
    });
    // A link may be dropped before anybody waits for the greeting.
    this.greeted.catch(() => undefined);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', this.#onMessage);
    socket.addEventListener('error', this.#onError);
    socket.addEventListener('close', this.#onClose);
  }

  get isOpen(): boolean {
    return !this.end && this.socket.readyState === SOCKET_OPEN;
  }

  /** @throws {ConnectionError} that says how the link ended, if it did. */
  throwIfEnded(): void {
    if (this.end) throw this.end.error;
  }

  /** @throws {ConnectionError} when the socket isn't open. @throws {NotSerializableError} */
  send(frame: unknown, binary = false): void {
    const text = encode(frame);
    if (!this.isOpen)
      throw new ConnectionError('There is no open connection. Call connectToServer() and await it first.');
    this.socket.send(binary ? new TextEncoder().encode(text) : text);
  }

  /** Hands on what was held, and from now on everything at once. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const message of held) {
      if (!this.end) this.#handlers.onMessage(message, this);
    }
  }

  /** Ends the link here and now; the closing handshake goes on without anybody waiting for it. */
  close(code: number, reason: string, error = new ConnectionError('The connection was closed by this client.')): void {
    if (this.end) return;
    this.#finish(code, reason, error);
    try {
      this.socket.close(code, fitReason(reason));
    } catch {
      // Browsers may send only 1000 and 3000–4999.
      this.socket.close(CloseCode.Normal, fitReason(reason));
    }
  }

  #finish(code: number, reason: string, error = endError(code, reason, this.#socketError)): void {
    if (this.end) return;
    this.end = { code, reason, error };
    this.#held = undefined;
    const { socket } = this;
    socket.removeEventListener('message', this.#onMessage);
    socket.removeEventListener('error', this.#onError);
    socket.removeEventListener('close', this.#onClose);
    this.#rejectGreeted(error);
    this.requests.failAll(error);
    this.#resolveEnded(this.end);
    this.#handlers.onEnd(this.end, this);
  }

  readonly #onMessage = (event: object): void => this.#receive((event as SocketMessageEvent).data);

  readonly #onClose = (event: object): void => {
    const { code, reason } = event as SocketCloseEvent;
    this.#finish(code, reason);
  };

  /** The close event that follows ends the link; this is only the better explanation. */
  readonly #onError = (event: object): void => {
    const { error, message } = event as SocketErrorEvent;
    this.#socketError = error ? messageOf(error) : message;
    if (this.greeting && this.#socketError) {
      this.#handlers.onError(new ConnectionError(`The connection failed: ${this.#socketError}`));
    }
  };

  #receive(data: unknown): void {
    this.framesHeard += 1;
    const text = decodeText(data);
    const frame = text === undefined ? undefined : decodeFrame(text);
    if (!frame) return this.#handlers.onError(new BadFrameError('It is neither text nor UTF-8.'));
    if (frame.kind === 'bad') return this.#handlers.onError(new BadFrameError(frame.reason));
    if (frame.kind === 'message') return this.greeting ? this.#hand(frame) : this.#greet(frame);
    if (this.requests.settle(frame)) return;
    this.#handUnasked(frame);
  }

  #greet(frame: ServerMessage): void {
    const greeting = readGreeting(frame);
    if (!greeting) {
      return this.#handlers.onError(new BadFrameError('The first one must be "system/connected" with a clientId.'));
    }
    this.greeting = greeting;
    this.#resolveGreeted(greeting);
  }

  /** The answer to a message that was sent without an id of ours: its response arrives like any message. */
  #handUnasked(frame: AnswerFrame): void {
    if (frame.kind === 'error') {
      this.#handlers.onError(new RemoteError(frame.data.code, frame.data.error, frame.data.details));
    } else if (this.greeting && !frame.done) {
      this.#hand({ type: frame.type, action: frame.action, data: frame.response, id: undefined });
    }
  }

  #hand({ type, action, data, id }: ServerMessage): void {
    const message = { type, action, data, id };
    if (this.#held) this.#held.push(message);
    else this.#handlers.onMessage(message, this);
  }
}

function encode(frame: unknown): string {
  try {
    return encodeFrame(frame);
  } catch (error) {
    throw new NotSerializableError(error);
  }
}

function decodeText(data: unknown): string | undefined {
  if (typeof data === 'string') return data;
  if (!(data instanceof ArrayBuffer) && !ArrayBuffer.isView(data)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data);
  } catch {
    return undefined;
  }
}

function endError(code: number, reason: string, socketError: string | undefined): ConnectionError {
  if (UNSENT_CODES.has(code))
    return new ConnectionError(`The connection broke${socketError ? `: ${socketError}` : '.'}`);
  return new ConnectionError(`The server closed the connection with ${code}${reason ? `: ${reason}` : '.'}`, code);
}
