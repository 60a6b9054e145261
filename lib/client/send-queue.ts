import { ConnectionError, type RemoteError } from '../errors.js';
import { abortReason } from '../pending-requests.js';
import { utf8Length } from '../protocol/close-codes.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { WebSocketMessage } from '../protocol/message.js';
import { ExpiredError, QueueFullError } from './client-errors.js';
import type { QueueOptions } from './client-options.js';
import { encode } from './encode.js';
import type { Link } from './link.js';
import { pause, readWait } from './room-joins.js';
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
  /** While it is under way. Settles when it is answered, or waits. */
  trying?: Promise<void> | undefined;
  /** Runs while it waits. */
  timer?: ReturnType<typeof setTimeout> | undefined;
  /** Makes the frame of this time. */
  write?(id: number): string;
  settle(error: unknown, value?: unknown): void;
}

/** What a server may ask for, in ms. Requests that wait meanwhile may expire. */
const LONGEST_PAUSE_MS = 30_000;

export type KeyedMessage = WebSocketMessage & { key?: string | undefined };

/**
 * Requests that survive a lost connection. Those without an answer count, whether they wait or are under way. What was lost
 * with a connection, or refused because of the rate, waits in its old order, and goes out one by one.
 */
export class SendQueue {
  /** In the order of the calls. */
  readonly #open = new Set<Entry>();
  readonly #limits: Required<QueueOptions>;
  #bytes = 0;
  /** The last one that was open: says which user the next requests are for. */
  #link: AnyLink | undefined;
  #isDraining = false;
  /** Milliseconds between two messages, where the server has asked for a pause. */
  #gapMs = 0;
  /** After one refusal, the server refuses whatever was sent in the same round. So the order holds. */
  #round = 0;

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
      const onAbort = (): void => entry.settle(abortReason(signal as AbortSignal));
      const entry: Entry = {
        type: message.type,
        action: message.action,
        text,
        age: new Stopwatch(),
        timeoutMs,
        signal,
        link: this.#link,
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
      if (this.#link?.isOpen && !this.#isDraining) entry.trying = this.#try(entry, this.#link);
      else this.#wait(entry);
    });
  }

  opened(link: AnyLink): void {
    this.#link = link;
    void this.#drain(link);
  }

  /** The client doesn't connect again by itself. Requests under way fail with their connection. */
  closed(): void {
    this.#link = undefined; // the next connection may be another user's
    for (const entry of this.#open) {
      entry.link = undefined;
      if (!entry.trying) entry.settle(new ConnectionError('The client is closed.'));
    }
  }

  async #try(entry: Entry, link: AnyLink): Promise<void> {
    const { text, sent } = entry;
    const round = this.#round;
    clearTimeout(entry.timer);
    entry.link = link;
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
      if (!entry.link) return entry.settle(error); // the client was closed meanwhile
      if (this.#mustWait(round, error as Error))
        entry.sent = sent; // nothing was done
      else if (!(error instanceof ConnectionError)) return entry.settle(error);
      this.#wait(entry);
    }
  }

  /** The server refused it because of its rate, and says when it will take the next one. */
  #mustWait(round: number, { code, details }: Partial<RemoteError>): boolean {
    const waitMs = code === ErrorCode.RateLimited ? readWait(details) : undefined;
    if (waitMs === undefined) return false;
    if (round === this.#round) {
      this.#round += 1;
      this.#gapMs = Math.min(this.#gapMs + waitMs, LONGEST_PAUSE_MS);
    }
    return true;
  }

  #wait(entry: Entry): void {
    if (!this.#open.has(entry)) return;
    entry.trying = undefined;
    const leftMs = this.#limits.maxAgeMs - entry.age.ms;
    entry.timer = setTimeout(expire, leftMs, entry);
    if (this.#link?.isOpen && !this.#isDraining) void this.#drain(this.#link);
  }

  /** The next one goes when the one before is answered, those under way included. */
  async #drain(link: AnyLink): Promise<void> {
    this.#isDraining = true;
    for (let [entry] = this.#open; entry && link.isOpen; [entry] = this.#open) {
      if (entry.trying) {
        await entry.trying;
        continue;
      }
      if (this.#gapMs) await pause(link, this.#gapMs);
      if (!link.isOpen || !this.#open.has(entry)) continue;
      const isOther = entry.link && entry.link.greeting?.user?.userId !== link.greeting?.user?.userId;
      // Its timer stood still while the machine slept.
      if (entry.age.ms > this.#limits.maxAgeMs) expire(entry);
      else if (isOther || (entry.sent && !link.greeting?.features.includes('keys')))
        entry.settle(new ConnectionError('Another user or server is connected.'));
      else entry.trying = this.#try(entry, link);
    }
    this.#isDraining = false;
    this.#gapMs = 0;
  }
}

const expire = (entry: Entry): void => entry.settle(new ExpiredError(!!entry.sent));
