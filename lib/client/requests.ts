import { RemoteError, TimeoutError } from '../errors.js';
import { overdue } from './overdue.js';
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

interface OpenRequest extends Pick<Asking, 'stop'> {
  answer(reply: ReplyFrame, text: string): void;
  /** Ends it, without a word to the server. */
  settle(error?: Error): void;
}

/** The open requests of one connection. Their ids count up from 1 and are never used again. */
export abstract class Requests {
  readonly #open = new Map<unknown, OpenRequest>();
  #lastId = 0;

  /** @throws when the connection can't send a frame */
  abstract send(frame: MessageFrame): void;

  abstract trySend(frame: MessageFrame): void;

  /**
   * Sends a request, and calls `answered` with each response in the turn in which it is read: what the server sent after it is
   * handled after it.
   */
  ask(
    message: MessageFrame,
    { timeoutMs, signal, isOne }: AskOptions,
    answered: (response: unknown, text: string) => void,
  ): Asking {
    const id = ++this.#lastId;
    let cancelTimeout: (() => void) | undefined;
    let settle!: (error?: Error) => void;
    const stop = (error?: Error): void => {
      if (this.#open.delete(id)) this.trySend({ type: 'system', action: 'cancel', id });
      settle(error);
    };
    const onAbort = (): void => stop(abortReason(signal as AbortSignal));
    const wait = (): void => {
      cancelTimeout?.();
      if (timeoutMs === undefined) return;
      const what = `The reply to "${message.type}/${message.action}"`;
      cancelTimeout = overdue(timeoutMs, () => stop(new TimeoutError(what, timeoutMs)));
    };
    const answer = ({ response, more, done }: ReplyFrame, text: string): void => {
      const isLast = !more || done;
      if (isLast) this.#open.delete(id);
      if (!done) answered(response, text);
      if (isLast) settle();
      else if (isOne) stop();
      else wait();
    };
    const ended = new Promise<void>((resolve, reject) => {
      settle = (error) => {
        this.#open.delete(id);
        cancelTimeout?.();
        signal?.removeEventListener('abort', onAbort);
        if (error) reject(error);
        else resolve();
      };
      if (signal?.aborted) throw abortReason(signal);
      this.send({ ...message, id });
      this.#open.set(id, { answer, settle, stop });
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
  protected settle(frame: AnswerFrame, text: string): boolean {
    const request = this.#open.get(frame.id);
    if (frame.kind === 'reply') request?.answer(frame, text);
    else request?.settle(new RemoteError(frame.data.code, frame.data.error, frame.data.details));
    return this.#wasUsed(frame.id);
  }

  /** An answer is malformed. False when its id was never used. */
  protected reject(id: RequestId | undefined, error: Error): boolean {
    this.#open.get(id)?.stop(error); // a stream would go on
    return this.#wasUsed(id);
  }

  protected failAll(error: Error): void {
    for (const { settle } of this.#open.values()) settle(error);
  }

  /** An answer to a request that was given up is late, but not wrong. */
  #wasUsed(id: unknown): boolean {
    return typeof id === 'number' && id >= 1 && id <= this.#lastId;
  }
}
