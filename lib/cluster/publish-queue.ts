import { NotPublishedError } from '../errors.js';
import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import type { Outlet } from './transport.js';

/** How many publications ioredis may hold at once. Each costs it one or two kilobytes besides its content. */
const MAX_IN_FLIGHT = 10_000;
const MAX_BYTES_IN_FLIGHT = 16 * 1_024 * 1_024;
/** What a waiting publication costs here besides its content, in bytes. */
const OVERHEAD_BYTES = 300;
/** Receivers drop what is older than 5 s, so a publication that waited this long isn't sent, in ms. */
const MAX_WAIT_MS = 5_000;
/** 64 MiB */
const MAX_BYTES = 64 * 1_024 * 1_024;

interface PublishQueueOptions {
  clock: Clock;
  /** Called for each publication that was refused or failed. Never throws. */
  lost(error: Error): void;
  /** Most bytes that may wait or be under way. @default 67108864 */
  maxBytes?: number | undefined;
}

interface Waiting {
  readonly channel: string;
  readonly payload: string | Buffer;
  readonly until: number;
  resolve(answer: unknown): void;
  reject(error: Error): void;
  next: Waiting | undefined;
}

/**
 * Publications that Redis hasn't answered yet. A burst waits in order, bounded by memory and time, not by the size of
 * one turn. Each publication settles with Redis's answer; nobody has to handle a rejection.
 */
export class PublishQueue {
  #inFlight = 0;
  #bytes = 0;
  #bytesWaiting = 0;
  #first: Waiting | undefined;
  #last: Waiting | undefined;
  #expireNoMore: () => void = () => undefined;
  #idle: (() => void)[] = [];
  /** Of publications, while too much waits. */
  readonly #full: SharedRefusal;

  constructor(
    private readonly outlet: Outlet,
    private readonly options: PublishQueueOptions,
  ) {
    this.#full = new SharedRefusal((error) => options.lost(error));
  }

  push(channel: string, payload: string | Buffer): Promise<unknown> {
    if (this.#first === undefined && this.#hasRoom()) return this.#send(channel, payload);
    const bytes = payload.length + OVERHEAD_BYTES;
    if (this.#bytes + this.#bytesWaiting + bytes > (this.options.maxBytes ?? MAX_BYTES))
      return this.#full.refuse('more waits for Redis than delivery.maxBusBytes allows');
    return this.#wait(channel, payload, bytes);
  }

  /** Resolves when nothing waits any more. */
  async drained(): Promise<void> {
    if (this.#first) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Drops everything that waits: after an outage it would be stale. */
  abandon(reason: string): void {
    this.#expireNoMore();
    let waiting = this.#first;
    this.#first = this.#last = undefined;
    this.#bytesWaiting = 0;
    if (!waiting) return;
    const error = new NotPublishedError(reason);
    while (waiting) {
      this.#lose(waiting, error);
      waiting = waiting.next;
    }
  }

  #hasRoom(): boolean {
    return this.#inFlight < MAX_IN_FLIGHT && this.#bytes < MAX_BYTES_IN_FLIGHT;
  }

  #send(channel: string, payload: string | Buffer): Promise<unknown> {
    const size = payload.length;
    this.#inFlight++;
    this.#bytes += size;
    const answer = this.outlet.publish(channel, payload);
    answer.then(
      () => this.#answered(size),
      (error: Error) => {
        this.options.lost(error);
        this.#answered(size);
      },
    );
    return answer;
  }

  #answered(size: number): void {
    this.#inFlight--;
    this.#bytes -= size;
    this.#full.forget();
    if (this.#first) this.#sendWaiting();
    if (!this.#first) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #sendWaiting(): void {
    if (!this.outlet.isOpen) return this.abandon('the connection to Redis broke');
    while (this.#first && this.#hasRoom()) {
      const { channel, payload, resolve, reject } = this.#take();
      this.#send(channel, payload).then(resolve, reject);
    }
    if (!this.#first) this.#expireNoMore();
  }

  #wait(channel: string, payload: string | Buffer, bytes: number): Promise<unknown> {
    this.#bytesWaiting += bytes;
    const answer = new Promise<unknown>((resolve, reject) => {
      const waiting = {
        channel,
        payload,
        until: this.options.clock.now() + MAX_WAIT_MS,
        resolve,
        reject,
        next: undefined,
      };
      if (this.#last) this.#last.next = waiting;
      else this.#first = waiting;
      this.#last = waiting;
      if (waiting === this.#first) this.#expireIn(MAX_WAIT_MS);
    });
    answer.catch(() => undefined); // counted; the caller may still handle it
    return answer;
  }

  #take(): Waiting {
    const waiting = this.#first as Waiting;
    this.#first = waiting.next;
    if (!this.#first) this.#last = undefined;
    this.#bytesWaiting -= waiting.payload.length + OVERHEAD_BYTES;
    return waiting;
  }

  #expireIn(ms: number): void {
    this.#expireNoMore();
    const expire = guarded('publishing', this.options.lost, () => this.#expire());
    this.#expireNoMore = this.options.clock.after(ms, expire);
  }

  #expire(): void {
    const now = this.options.clock.now();
    let error: Error | undefined;
    while (this.#first && this.#first.until <= now) {
      error ??= new NotPublishedError(`Redis was too slow for ${MAX_WAIT_MS} ms`);
      this.#lose(this.#take(), error);
    }
    if (this.#first) this.#expireIn(this.#first.until - now);
  }

  #lose({ reject }: Waiting, error: Error): void {
    this.options.lost(error);
    reject(error);
  }
}

/** The rejection that all publications share for a while. One error for each would cost more than the publication. */
export class SharedRefusal {
  #refusal: ReturnType<typeof refusal> | undefined;

  constructor(private readonly lost: (error: Error) => void) {}

  refuse(reason: string): Promise<never> {
    this.#refusal ??= refusal(reason);
    this.lost(this.#refusal.error);
    return this.#refusal.promise;
  }

  forget(): void {
    this.#refusal = undefined;
  }
}

/** A rejection that nobody has to handle. */
function refusal(reason: string): { error: Error; promise: Promise<never> } {
  const error = new NotPublishedError(reason);
  const promise = Promise.reject(error);
  promise.catch(() => undefined); // counted; the caller may still handle it
  return { error, promise };
}

export const refused = (reason: string): Promise<never> => refusal(reason).promise;
