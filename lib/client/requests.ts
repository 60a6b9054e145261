import { RemoteError, TimeoutError } from '../errors.js';
import { overdue } from '../overdue.js';
import { PendingRequests } from '../pending-requests.js';
import type { DecodedFrame } from '../protocol/codec.js';
import type { MessageFrame, RequestId } from '../protocol/message.js';
import { abortReason } from './abort-reason.js';

export type ReplyFrame = Extract<DecodedFrame, { kind: 'reply' }>;
export type AnswerFrame = Extract<DecodedFrame, { kind: 'reply' | 'error' }>;

/** A request under way. */
export interface Asking {
  /** Resolves after the last response. @throws {RemoteError} {ConnectionError} {TimeoutError} */
  readonly ended: Promise<void>;
  /** Asks the server to stop. */
  stop(error?: Error): void;
}

interface AskOptions {
  /** For each response. @default for ever */
  timeoutMs?: number;
  /** Aborting rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Takes the first response and cancels the rest. */
  isOne?: boolean;
}

/** Sends frames. `send` throws when the connection can't send one; `trySend` doesn't. */
export interface FrameSender {
  send(frame: MessageFrame): void;
  trySend(frame: MessageFrame): void;
}

/** The open requests of one connection. */
export class Requests extends PendingRequests<ReplyFrame> {
  readonly #sender: FrameSender;

  constructor(sender: FrameSender) {
    super();
    this.#sender = sender;
  }

  /**
   * Sends a request, and calls `answered` with each response in the turn in which it is read: what the server sent after it is
   * handled after it.
   */
  ask(
    message: MessageFrame,
    { timeoutMs, signal, isOne }: AskOptions,
    answered: (response: unknown, text: string) => void,
  ): Asking {
    let id: number | undefined;
    let cancelTimeout: (() => void) | undefined;
    let settle!: (error?: Error) => void;
    const stop = (error?: Error): void => {
      if (this.close(id)) this.#cancel(id);
      settle(error);
    };
    const onAbort = (): void => stop(abortReason(signal as AbortSignal));
    const wait = (): void => {
      cancelTimeout?.();
      if (timeoutMs === undefined) return;
      const what = `The reply to "${message.type}/${message.action}"`;
      cancelTimeout = overdue(timeoutMs, () => stop(new TimeoutError(what, timeoutMs)));
    };
    const onReply = ({ response, more, done }: ReplyFrame, text: string): void => {
      if (!done) answered(response, text);
      if (!more) settle();
      else if (isOne) stop();
      else wait();
    };
    const ended = new Promise<void>((resolve, reject) => {
      settle = (error) => {
        cancelTimeout?.();
        signal?.removeEventListener('abort', onAbort);
        if (error) reject(error);
        else resolve();
      };
      if (signal?.aborted) throw abortReason(signal);
      id = this.open({ onReply, onFail: settle }, (id) => this.#sender.send({ ...message, id }));
      signal?.addEventListener('abort', onAbort);
      wait();
    });
    return { ended, stop };
  }

  /** Sends a request that has one reply. A handler that streams is cancelled after its first value. */
  async request<T>(message: MessageFrame, options: Pick<AskOptions, 'timeoutMs' | 'signal'>): Promise<T> {
    let first: unknown;
    await this.ask(message, { ...options, isOne: true }, (response) => (first = response)).ended;
    return first as T;
  }

  /** Passes an answer to its request. False when its id was never used. */
  settle(frame: AnswerFrame, text: string): boolean {
    const { id } = frame;
    const isTaken =
      frame.kind === 'error'
        ? this.fail(id, new RemoteError(frame.data.code, frame.data.error, frame.data.details))
        : this.reply(id, frame, !frame.more || frame.done, text);
    return isTaken || this.wasUsed(id);
  }

  /** An answer is malformed. False when its id was never used. */
  reject(id: RequestId | undefined, error: Error): boolean {
    if (!this.has(id)) return this.wasUsed(id);
    this.#cancel(id); // a stream would go on
    return this.fail(id, error);
  }

  #cancel(id: RequestId | undefined): void {
    this.#sender.trySend({ type: 'system', action: 'cancel', id });
  }
}
