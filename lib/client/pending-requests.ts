import { RemoteError, TimeoutError } from '../errors.js';
import type { DecodedFrame } from '../protocol/codec.js';
import type { MessageFrame, RequestId } from '../protocol/message.js';
import { abortReason } from './abort-reason.js';

export type ReplyFrame = Extract<DecodedFrame, { kind: 'reply' }>;
export type AnswerFrame = Extract<DecodedFrame, { kind: 'reply' | 'error' }>;

/** Who waits for the answers to one request. */
export interface ReplySink {
  /** Called again only after a reply with `more: true`. @param text the whole frame as it came */
  onReply(reply: ReplyFrame, text: string): void;
  onFail(error: Error): void;
}

export interface OpenRequest {
  /** Takes no more answers, and asks the server to send none. */
  cancel(): void;
}

/** The way out. `send` throws when the connection can't take a frame; `trySend` doesn't. */
export interface FrameSender {
  send(frame: MessageFrame): void;
  trySend(frame: MessageFrame): void;
}

/** The open requests of one connection: ids count up from 1 and are never used twice. */
export class PendingRequests {
  readonly #sinks = new Map<RequestId, ReplySink>();
  readonly #sender: FrameSender;
  #lastId = 0;

  constructor(sender: FrameSender) {
    this.#sender = sender;
  }

  open(message: MessageFrame, sink: ReplySink): OpenRequest {
    const id = this.#lastId + 1;
    this.#sender.send({ ...message, id });
    this.#lastId = id;
    this.#sinks.set(id, sink);
    return {
      cancel: () => {
        if (this.#sinks.delete(id)) this.#sender.trySend({ type: 'system', action: 'cancel', id });
      },
    };
  }

  /** One request, one reply. A handler that streams is taken at its first value and cancelled. */
  request<T>(message: MessageFrame, { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal }): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted) throw abortReason(signal);
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const request = this.open(message, {
        onReply: (reply) => {
          settle();
          request.cancel();
          resolve(reply.response as T);
        },
        onFail: (error) => {
          settle();
          reject(error);
        },
      });
      const give = (error: Error): void => {
        settle();
        request.cancel(); // its handler may begin a stream later, which nobody would end
        reject(error);
      };
      const onAbort = (): void => give(abortReason(signal as AbortSignal));
      const timer = setTimeout(
        () => give(new TimeoutError(`The reply to "${message.type}/${message.action}"`, timeoutMs)),
        timeoutMs,
      );
      signal?.addEventListener('abort', onAbort);
    });
  }

  /** Hands an answer to whoever waits for it. False when its id is none of ours. */
  settle(frame: AnswerFrame, text: string): boolean {
    const { id } = frame;
    const sink = id === undefined ? undefined : this.#sinks.get(id);
    if (id === undefined || !sink) return this.#wasOpen(id);
    const isLast = frame.kind === 'error' || !frame.more || frame.done;
    if (isLast) this.#sinks.delete(id);
    if (frame.kind === 'error') sink.onFail(new RemoteError(frame.data.code, frame.data.error, frame.data.details));
    else sink.onReply(frame, text);
    return true;
  }

  /** An answer came that can't be read. False when its id is none of ours. */
  reject(id: RequestId | undefined, error: Error): boolean {
    const sink = id === undefined ? undefined : this.#sinks.get(id);
    if (id === undefined || !sink) return this.#wasOpen(id);
    this.#sinks.delete(id);
    // Of a stream, more would follow.
    this.#sender.trySend({ type: 'system', action: 'cancel', id });
    sink.onFail(error);
    return true;
  }

  failAll(error: Error): void {
    const sinks = [...this.#sinks.values()];
    this.#sinks.clear();
    for (const sink of sinks) sink.onFail(error);
  }

  /** An answer to a request that was given up is late, not wrong. */
  #wasOpen(id: RequestId | undefined): boolean {
    return typeof id === 'number' && id >= 1 && id <= this.#lastId;
  }
}
