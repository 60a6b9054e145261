import { RemoteError } from '../errors.js';
import type { PendingRequests } from '../pending-requests.js';
import type { DecodedFrame } from '../protocol/codec.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ErrorFrameData } from '../protocol/message.js';
import type { RouteCall } from '../routing/route-call.js';

/** Open requests to the client that were made while a handler of its own messages ran. */
export class Questions {
  /** For each, how many messages of the connection had been started at that time. */
  readonly #askedAt = new Set<{ turn: number }>();

  /** @param turns the number of messages that have been started */
  add(answer: Promise<unknown>, turns: number): void {
    const question = { turn: turns };
    this.#askedAt.add(question);
    const answered = (): void => void this.#askedAt.delete(question);
    answer.then(answered, answered);
  }

  /** Counts handlers that may be waiting for the client: for each request, one handler that was running when it was made. */
  countAsking(running: readonly RouteCall[]): number {
    if (this.#askedAt.size === 0) return 0;
    const turns = running.map(({ turn }) => turn).toSorted((a, b) => a - b);
    let asking = 0;
    for (const { turn } of this.#askedAt) if ((turns[asking] ?? Infinity) <= turn) asking++;
    return asking;
  }
}

/** Passes the client's answer to the request that waits for it. @returns false for any other frame */
export function takeAnswer(frame: DecodedFrame, waiting: PendingRequests<unknown>): boolean {
  const request = waiting.find(frame.id);
  if (!request || frame.kind === 'message' || (frame.kind === 'bad' && !frame.isAnswer)) return false;
  if (frame.kind === 'reply') request.answer(frame.response, true);
  else request.settle(frame.kind === 'error' ? remoteError(frame.data) : unreadable(frame.reason));
  return true;
}

const remoteError = ({ code, error, details }: ErrorFrameData): RemoteError => new RemoteError(code, error, details);

const unreadable = (reason: string): RemoteError =>
  new RemoteError(ErrorCode.BadFrame, `The client's answer can't be read. ${reason}`);
