import { RemoteError } from '../errors.js';
import { PendingRequests, type ReplySink } from '../pending-requests.js';
import type { DecodedFrame } from '../protocol/codec.js';
import type { MessageFrame, RequestId } from '../protocol/message.js';
import { abortReason } from './abort-reason.js';

export type ReplyFrame = Extract<DecodedFrame, { kind: 'reply' }>;
export type AnswerFrame = Extract<DecodedFrame, { kind: 'reply' | 'error' }>;

export interface OpenRequest {
  /** Takes no more answers, and asks the server to send none. */
  cancel(): void;
}

/** The way out. `send` throws when the connection can't take a frame; `trySend` doesn't. */
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

  /** `sink.onReply` is called again only after a reply with `more: true`. */
  open(message: MessageFrame, sink: ReplySink<ReplyFrame>): OpenRequest {
    const id = this.#pending.open(sink, (id) => this.#sender.send({ ...message, id }));
    return {
      cancel: () => {
        if (this.#pending.close(id)) this.#cancel(id);
      },
    };
  }

  /** One request, one reply. A handler that streams is taken at its first value and cancelled. */
  request<T>(message: MessageFrame, { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal }): Promise<T> {
    if (signal?.aborted) return Promise.reject(abortReason(signal));
    let asked = 0;
    const reply = this.#pending.ask(
      `The reply to "${message.type}/${message.action}"`,
      timeoutMs,
      (id) => this.#sender.send({ ...message, id: (asked = id) }),
      (id) => this.#cancel(id), // its handler may begin a stream later, which nobody would end
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

  /** Hands an answer to whoever waits for it. False when its id is none of ours. */
  settle(frame: AnswerFrame, text: string): boolean {
    const { id } = frame;
    const isTaken =
      frame.kind === 'error'
        ? this.#pending.fail(id, new RemoteError(frame.data.code, frame.data.error, frame.data.details))
        : this.#pending.reply(id, frame, !frame.more || frame.done, text);
    return isTaken || this.#pending.wasUsed(id);
  }

  /** An answer came that can't be read. False when its id is none of ours. */
  reject(id: RequestId | undefined, error: Error): boolean {
    if (!this.#pending.has(id)) return this.#pending.wasUsed(id);
    this.#cancel(id); // of a stream, more would follow
    return this.#pending.fail(id, error);
  }

  failAll(error: Error): void {
    this.#pending.failAll(error);
  }

  #cancel(id: RequestId | undefined): void {
    this.#sender.trySend({ type: 'system', action: 'cancel', id });
  }
}
