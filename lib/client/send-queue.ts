import { ConnectionError, RemoteError } from '../errors.js';
import { utf8Length } from '../protocol/close-codes.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { WebSocketMessage } from '../protocol/message.js';
import { abortReason } from './abort-reason.js';
import { ExpiredError, QueueFullError } from './client-errors.js';
import type { QueueOptions } from './client-options.js';
import { encode } from './encode.js';
import { fieldsOf } from './greeting.js';
import type { Link } from './link.js';
import { pause } from './room-joins.js';
import type { SocketLike } from './socket-like.js';

type AnyLink = Link<SocketLike>;

/** A request that is sent again after a reconnect, until it is answered. */
interface Entry {
  /** As it was when the request was made. */
  readonly message: KeyedMessage;
  readonly bytes: number;
  readonly number: number;
  readonly since: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** The connection that it was made or sent on. */
  link: AnyLink | undefined;
  wasSent: boolean;
  /** Runs while it waits. */
  timer?: ReturnType<typeof setTimeout> | undefined;
  settle(outcome: { value: unknown } | { error: unknown }): void;
}

export type KeyedMessage = WebSocketMessage & { key?: string | undefined };

/**
 * Requests that survive a lost connection. Those without an answer count, whether they wait or are under way. What was lost
 * with a connection waits in its old order, and goes out one by one, so that a refusal can't mix up the order.
 */
export class SendQueue {
  readonly #open = new Set<Entry>();
  readonly #waiting: Entry[] = [];
  readonly #limits: Required<QueueOptions>;
  #bytes = 0;
  #count = 0;
  #link: AnyLink | undefined;
  /** The last one that was open: says which user the next requests are for. */
  #lastLink: AnyLink | undefined;
  #isDraining = false;
  /** Milliseconds between two messages, where the server has asked for a pause. */
  #gapMs = 0;

  constructor(limits: Required<QueueOptions>) {
    this.#limits = limits;
  }

  /** @throws {QueueFullError} {NotSerializableError} {ExpiredError} {ConnectionError} and what `Requests.request()` throws */
  ask<T>(message: KeyedMessage, timeoutMs: number, signal?: AbortSignal): Promise<T> {
    const { maxMessages, maxBytes } = this.#limits;
    const text = encode(message);
    const bytes = utf8Length(text);
    if (signal?.aborted) throw abortReason(signal);
    if (this.#open.size >= maxMessages || this.#bytes + bytes > maxBytes) throw new QueueFullError(this.#limits);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => entry.settle({ error: abortReason(signal as AbortSignal) });
      const entry: Entry = {
        message: JSON.parse(text) as KeyedMessage,
        bytes,
        number: ++this.#count,
        since: performance.now(),
        timeoutMs,
        signal,
        link: this.#lastLink,
        wasSent: false,
        settle: (outcome) => {
          if (!this.#open.delete(entry)) return;
          this.#bytes -= bytes;
          this.#unqueue(entry);
          signal?.removeEventListener('abort', onAbort);
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.value as T);
        },
      };
      this.#open.add(entry);
      this.#bytes += bytes;
      signal?.addEventListener('abort', onAbort);
      if (this.#link?.isOpen && !this.#waiting.length && !this.#isDraining) void this.#send(entry, this.#link);
      else this.#wait(entry);
    });
  }

  opened(link: AnyLink): void {
    this.#link = this.#lastLink = link;
    void this.#drain(link);
  }

  lost(): void {
    this.#link = undefined;
  }

  /** Nobody connects again by itself. What is under way ends as its connection did. */
  closed(): void {
    for (const entry of this.#waiting.slice()) entry.settle({ error: new ConnectionError('The client was closed.') });
    for (const entry of this.#open) entry.link = undefined;
  }

  async #send(entry: Entry, link: AnyLink): Promise<void> {
    const { message, timeoutMs, signal } = entry;
    this.#unqueue(entry);
    entry.link = link;
    try {
      const asked = link.requests.request(message, { timeoutMs, signal });
      entry.wasSent = true;
      entry.settle({ value: await asked });
    } catch (error) {
      const isLost = error instanceof ConnectionError && entry.link !== undefined;
      if (isLost || this.#mustWait(error)) this.#wait(entry);
      else entry.settle({ error });
    }
  }

  /** The server refused it because of its rate, and says when it will take the next one. */
  #mustWait(error: unknown): boolean {
    if (!(error instanceof RemoteError) || error.code !== ErrorCode.RateLimited) return false;
    const { retryAfterMs } = fieldsOf(error.details);
    if (typeof retryAfterMs !== 'number') return false;
    this.#gapMs += retryAfterMs;
    return true;
  }

  /** Puts a request back in its place. */
  #wait(entry: Entry): void {
    if (!this.#open.has(entry)) return;
    const at = this.#waiting.findIndex(({ number }) => number > entry.number);
    this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, entry);
    const leftMs = entry.since + this.#limits.maxAgeMs - performance.now();
    entry.timer = setTimeout(() => entry.settle({ error: new ExpiredError(entry.wasSent) }), leftMs);
    if (this.#link && !this.#isDraining) void this.#drain(this.#link);
  }

  #unqueue(entry: Entry): void {
    clearTimeout(entry.timer);
    const at = this.#waiting.indexOf(entry);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  /** The next one goes when the one before is answered. */
  async #drain(link: AnyLink): Promise<void> {
    this.#isDraining = true;
    for (let entry = this.#waiting[0]; entry && link.isOpen; entry = this.#waiting[0]) {
      if (this.#gapMs > 0) await pause(link, this.#gapMs);
      if (!link.isOpen || this.#waiting[0] !== entry) continue;
      const isOther = entry.link && entry.link.greeting?.user?.userId !== link.greeting?.user?.userId;
      if (isOther || (entry.wasSent && !link.greeting?.features.includes('keys')))
        entry.settle({ error: new ConnectionError('The user is another one now, or the server knows no keys.') });
      else await this.#send(entry, link);
    }
    this.#isDraining = false;
    this.#gapMs = 0;
  }
}
