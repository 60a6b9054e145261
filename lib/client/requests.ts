import { RemoteError } from '../errors.js';
import { PendingRequests, type ReplySink } from '../pending-requests.js';
import type { DecodedFrame } from '../protocol/codec.js';
import type { MessageFrame, RequestId } from '../protocol/message.js';
import { abortReason } from './abort-reason.js';

export type ReplyFrame = Extract<DecodedFrame, { kind: 'reply' }>;
export type AnswerFrame = Extract<DecodedFrame, { kind: 'reply' | 'error' }>;

export interface OpenRequest {
  /** Ignores further answers, and asks the server to stop. */
  cancel(): void;
}

/** Sends frames. `send` throws when the connection can't send one; `trySend` doesn't. */
export interface FrameSender {
  send(frame: MessageFrame): void;
  trySend(frame: MessageFrame): void;
}

/** The open requests of one connection. */
export class Requests {
  readonly #pending = new PendingRequests<ReplyFrame>();
  readonly #sender: FrameSender;

  constructor(sender: FrameSender) {
    this.#sender = sender;
  }

  /** Sends a request. `sink.onReply` is called again only after a reply with `more: true`. */
  open(message: MessageFrame, sink: ReplySink<ReplyFrame>): OpenRequest {
    const id = this.#pending.open(sink, (id) => this.#sender.send({ ...message, id }));
    return {
      cancel: () => {
        if (this.#pending.close(id)) this.#cancel(id);
      },
    };
  }

  /** Sends a request that has one reply. A handler that streams is cancelled after its first value. */
  request<T>(message: MessageFrame, { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal }): Promise<T> {
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    let asked = 0;
    const reply = this.#pending.ask(
      `The reply to "${message.type}/${message.action}"`,
      timeoutMs,
      (id) => this.#sender.send({ ...message, id: (asked = id) }),
      (id) => this.#cancel(id), // its handler might start a stream that nobody ends
    );
    if (signal) {
      const onAbort = (): void => {
        if (this.#pending.fail(asked, abortReason(signal))) this.#cancel(asked);
      };
      const settled = (): void => signal.removeEventListener('abort', onAbort);
      signal.addEventListener('abort', onAbort);
      reply.then(settled, settled);
    }
    return reply.then(({ response }) => response as T);
  }

  /** Passes an answer to its request. False when its id was never used. */
  settle(frame: AnswerFrame, text: string): boolean {
    const { id } = frame;
    const isTaken =
      frame.kind === 'error'
        ? this.#pending.fail(id, new RemoteError(frame.data.code, frame.data.error, frame.data.details))
        : this.#pending.reply(id, frame, !frame.more || frame.done, text);
    return isTaken || this.#pending.wasUsed(id);
  }

  /** An answer is malformed. False when its id was never used. */
  reject(id: RequestId | undefined, error: Error): boolean {
    if (!this.#pending.has(id)) return this.#pending.wasUsed(id);
    this.#cancel(id); // a stream would go on
    return this.#pending.fail(id, error);
  }

  failAll(error: Error): void {
    this.#pending.failAll(error);
  }

  #cancel(id: RequestId | undefined): void {
    this.#sender.trySend({ type: 'system', action: 'cancel', id });
  }
}
