import { ConnectionError, type RemoteError } from '../errors.js';
import { abortReason } from '../pending-requests.js';
import { utf8Length } from '../protocol/close-codes.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { WebSocketMessage } from '../protocol/message.js';
import { ExpiredError, QueueFullError } from './client-errors.js';
import type { QueueOptions } from './client-options.js';
import { encode } from './encode.js';
import type { Link } from './link.js';
import { readMs, readWait } from './room-joins.js';
import type { SocketLike } from './socket-like.js';
import { Stopwatch } from './stopwatch.js';

type AnyLink = Link<SocketLike>;

/** A request that is sent again after a reconnect, until it is answered. */
interface Entry {
  readonly type: string;
  readonly action: string;
  /** The message as JSON, as it was when the request was made. */
  readonly text: string;
  readonly age: Stopwatch;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** The connection that it was made or sent on. */
  link: AnyLink | undefined;
  /** Since it was sent for the first time. */
  sent?: Stopwatch | undefined;
  /** Runs while it waits. Undefined while it is under way. */
  timer?: ReturnType<typeof setTimeout> | undefined;
  /** Makes the frame of this time. */
  write?(id: number): string;
  settle(error: unknown, value?: unknown): void;
}

/** Beside so many others one may be sent. A server that refuses one refuses no more than these. */
const MOST_OTHERS = 31;
/** The same once a server has refused one for now. */
const CAREFUL = 7;

export type KeyedMessage = WebSocketMessage & { key?: string | undefined };

/**
 * Requests that survive a lost connection. Those without an answer count, whether they wait or are under way. What was lost
 * with a connection, or refused for now, waits in its old place. Whoever waits goes out in the order of the calls.
 */
export class SendQueue {
  /** In the order of the calls. */
  readonly #open = new Set<Entry>();
  readonly #limits: Required<QueueOptions>;
  #bytes = 0;
  /** The last one that was open: says which user the next requests are for. */
  #link: AnyLink | undefined;
  #underWay = 0;
  /** Runs until the next one may be sent. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Milliseconds between two messages, as long as some wait and the server has asked for it. */
  #gapMs = 0;
  /** Beside so many others one may be sent. After a refusal one goes alone. */
  #others = MOST_OTHERS;
  /** After one refusal, the server refuses whatever was sent in the same round. So the order holds. */
  #round = 0;

  constructor(limits: Required<QueueOptions>) {
    this.#limits = limits;
  }

  /** @throws {QueueFullError} {NotSerializableError} {ExpiredError} {ConnectionError} and what `Requests.request()` throws */
  ask<T>(message: KeyedMessage, timeoutMs: number, signal?: AbortSignal, link = this.#link): Promise<T> {
    const { maxMessages, maxBytes } = this.#limits;
    const text = encode(message);
    const bytes = utf8Length(text);
    if (signal?.aborted) throw abortReason(signal);
    if (this.#open.size >= maxMessages || this.#bytes + bytes > maxBytes) throw new QueueFullError(this.#limits);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => entry.settle(abortReason(signal as AbortSignal));
      const entry: Entry = {
        type: message.type,
        action: message.action,
        text,
        age: new Stopwatch(),
        timeoutMs,
        signal,
        link,
        settle: (error, value) => {
          if (!this.#open.delete(entry)) return;
          this.#bytes -= bytes;
          clearTimeout(entry.timer);
          signal?.removeEventListener('abort', onAbort);
          if (error) reject(error);
          else resolve(value as T);
        },
      };
      this.#open.add(entry);
      this.#bytes += bytes;
      signal?.addEventListener('abort', onAbort);
      this.#wait(entry);
    });
  }

  opened(link: AnyLink): void {
    this.#link = link;
    this.#send();
  }

  /** The client doesn't connect again by itself. Requests under way fail with their connection. */
  closed(): void {
    this.#link = undefined; // the next connection may be another user's
    this.#pause(0);
    this.#gapMs = 0;
    for (const entry of this.#open) {
      entry.link = undefined;
      if (entry.timer) entry.settle(new ConnectionError('The client is closed.'));
    }
  }

  async #try(entry: Entry, link: AnyLink): Promise<void> {
    const { text, sent } = entry;
    const round = this.#round;
    entry.link = link;
    clearTimeout(entry.timer);
    entry.timer = undefined;
    this.#underWay += 1;
    try {
      // With the time, a server that has lost the key since then doesn't handle it twice. Each try is as long as the first:
      // a message that was handled must not be too large later.
      entry.write = (id) =>
        `${text.slice(0, -1)},"round":${round}${sent ? `,"sentMsAgo":${sent.ms}` : ''},"id":${id}}`.padEnd(
          text.length + 64,
        );
      entry.sent ??= new Stopwatch();
      entry.settle(undefined, await link.request(entry, entry));
    } catch (error) {
      if (entry.link && this.#mustWait(round, error as RemoteError)) entry.sent = sent;
      else if (!entry.link || !(error instanceof ConnectionError)) entry.settle(error); // or the client was closed meanwhile
    }
    if (round === this.#round) this.#others ||= CAREFUL;
    this.#underWay -= 1;
    this.#wait(entry);
  }

  /** The server refused it for now, so nothing was done, and says when it will take the next one. */
  #mustWait(round: number, { code, details }: Partial<RemoteError>): boolean {
    const isForNow = code === ErrorCode.RateLimited || code === ErrorCode.Unavailable;
    const waitMs = isForNow ? readWait(details) : undefined;
    if (waitMs === undefined) return false;
    if (round === this.#round) {
      this.#round += 1;
      this.#others = 0;
      this.#pause(waitMs);
      this.#gapMs = readMs((details as { gapMs?: unknown }).gapMs) ?? 0;
    }
    return true;
  }

  #pause(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#send();
    }, ms);
  }

  /** If it isn't settled. */
  #wait(entry: Entry): void {
    if (this.#open.has(entry)) entry.timer = setTimeout(expire, this.#limits.maxAgeMs - entry.age.ms, entry);
    this.#send();
  }

  /** Sends what waits, as far as the server takes it. */
  #send(): void {
    const link = this.#link;
    for (const entry of this.#open) {
      if (!entry.timer) continue;
      if (!link?.isOpen || this.#timer || this.#underWay > this.#others) return;
      const isOther = entry.link && entry.link.greeting?.user?.userId !== link.greeting?.user?.userId;
      // Its timer stood still while the machine slept.
      if (entry.age.ms > this.#limits.maxAgeMs) expire(entry);
      else if (isOther || (entry.sent && !link.greeting?.features.includes('keys')))
        entry.settle(new ConnectionError('Another user or server is connected.'));
      else {
        void this.#try(entry, link);
        if (this.#gapMs) this.#pause(this.#gapMs);
      }
    }
    this.#gapMs = 0;
  }
}

const expire = (entry: Entry): void => entry.settle(new ExpiredError(!!entry.sent));
