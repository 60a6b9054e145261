import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Flusher } from './flusher.js';
import type { FrameRun } from './frame-run.js';
import { LatestMessages } from './latest-messages.js';
import type { OutgoingMessage } from './outgoing-message.js';
import { canFrame, frameText } from './wire.js';

export type SentCallback = (error?: Error) => void;

/**
 * What one socket is still to get. Messages of one event-loop turn leave in one write, in the order they came; what `ws`
 * writes by itself (pings, pongs, close frames, the application's own `ws.send()`) comes after what was queued before it.
 *
 * Long because every message for every member comes through here: a part of it elsewhere would cost a look-up each.
 */
export class Outbox {
  /** Queued in this turn. */
  queuedBytes = 0;
  /** What it was found to be behind by, when it was last looked at. 0 for a socket that keeps up. */
  waitingBytes = 0;
  /** `performance.now()` of when it fell behind. */
  behindSince = 0;
  flushedAt = 0;
  isTouched = false;
  #run: FrameRun | undefined;
  /** What was queued before the run: runs, and frames for this socket alone. */
  #parts: (FrameRun | Buffer)[] | undefined;
  #latest: LatestMessages | undefined;
  #waiters: (() => void)[] | undefined;
  #isOver = false;
  /** `ws` keeps a queue of its own for compressed messages, and knows what it has begun: then all goes by way of it. */
  #isByWs: boolean;
  #onSent: (() => void) | undefined;

  constructor(
    readonly clientId: string,
    readonly ws: WebSocket,
    /** The one handed to `handleUpgrade()`. */
    private readonly socket: Duplex,
    private readonly flusher: Flusher,
  ) {
    this.#isByWs = !canFrame || ws.extensions !== '';
  }

  /** All that waits for the client: queued, kept back for later, not yet taken by the operating system. */
  get bufferedBytes(): number {
    const unsent = this.#isByWs ? this.ws.bufferedAmount : this.socket.writableLength;
    return this.queuedBytes + unsent + (this.#latest?.bytes ?? 0);
  }

  /** A message that others get, too. */
  push(message: OutgoingMessage): void {
    if (this.waitingBytes > 0 && this.#holdsBack(message)) return;
    if (this.#isByWs) return this.#sendByWs(message.payload);
    const { frame } = message;
    this.#run = (this.#run ?? this.flusher.run).plus(frame);
    this.#queued(frame.length);
  }

  /** A message for this client alone. */
  pushText(text: string): void {
    if (this.#isByWs) return this.#sendByWs(text);
    const frame = frameText(Buffer.from(text));
    this.#setRunAside();
    (this.#parts ??= []).push(frame);
    this.#queued(frame.length);
  }

  /** From now on everything goes by way of `ws`, after what is queued. */
  leaveToWs(): void {
    this.flush();
    this.#isByWs = true;
  }

  /**
   * Writes what is queued, at once: at the end of the turn, and before `ws` writes something itself.
   * @returns false when the socket may have fallen behind
   */
  flush(): boolean {
    if (this.queuedBytes === 0) return false;
    const { queuedBytes } = this;
    const frames = this.#takeFrames();
    if (this.ws.readyState !== this.ws.OPEN) return false;
    if (this.waitingBytes > 0 && this.bufferedBytes + queuedBytes > this.flusher.limits.maxBufferedBytes) {
      this.flusher.tooSlow(this);
      return true;
    }
    return this.socket.write(frames);
  }

  turnEnded(): void {
    this.isTouched = false;
    if (!this.flush()) this.#lookBehind();
  }

  /** `ws` was given something, by us or by the application. What that comes to is seen at the end of the turn. */
  sentByWs(): void {
    if (this.waitingBytes > 0 && this.bufferedBytes > this.flusher.limits.maxBufferedBytes) this.flusher.tooSlow(this);
    else if (!this.isTouched) this.flusher.touch(this);
  }

  /** What `ws` is to call once it has written a message: nobody else tells when its own queue is empty. */
  whenSent(callback: SentCallback | undefined): SentCallback | undefined {
    if (!this.#isByWs) return callback;
    const onSent = (this.#onSent ??= () => this.#drained());
    if (!callback) return onSent;
    return (error) => {
      onSent();
      callback(error);
    };
  }

  /**
   * Resolves when the socket has room again, or is gone; in another turn at the earliest, so that whoever has more to send
   * than its peer can read doesn't keep everybody else waiting.
   */
  whenDrained(): Promise<void> {
    this.flush();
    this.#lookBehind();
    return new Promise((resolve) => {
      if (this.waitingBytes === 0) setImmediate(resolve);
      else (this.#waiters ??= []).push(resolve);
    });
  }

  /** The socket is gone: what waits is dropped. */
  end(): void {
    this.#isOver = true;
    this.queuedBytes = 0;
    this.#run = this.#parts = this.#latest = undefined;
    this.#caughtUp();
  }

  #queued(bytes: number): void {
    this.queuedBytes += bytes;
    if (!this.isTouched) this.flusher.touch(this);
  }

  #setRunAside(): void {
    if (!this.#run) return;
    (this.#parts ??= []).push(this.#run);
    this.#run = undefined;
  }

  #takeFrames(): Buffer {
    const run = this.#run;
    if (this.#parts) this.#setRunAside();
    const parts = this.#parts;
    this.#run = this.#parts = undefined;
    this.queuedBytes = 0;
    if (!parts) return (run as FrameRun).joined();
    const [only] = parts;
    if (parts.length === 1) return Buffer.isBuffer(only) ? only : (only as FrameRun).joined();
    return Buffer.concat(parts.map((part) => (Buffer.isBuffer(part) ? part : part.joined())));
  }

  #sendByWs(payload: Uint8Array | string): void {
    if (this.ws.readyState === this.ws.OPEN) this.ws.send(payload, { binary: false });
  }

  /** @returns true when the message is dropped, or kept for later */
  #holdsBack(message: OutgoingMessage): boolean {
    const { limits, counters } = this.flusher;
    const isFarBehind = this.bufferedBytes > limits.volatileBytes;
    if (message.conflateKey !== undefined && (isFarBehind || this.#latest)) {
      this.#keepLatest(message, message.conflateKey);
      return true;
    }
    if (message.isVolatile && isFarBehind) {
      counters.dropped++;
      return true;
    }
    return false;
  }

  /** It is sent when the socket has drained, unless a newer one takes its place. */
  #keepLatest(message: OutgoingMessage, key: string): void {
    if ((this.#latest ??= new LatestMessages()).put(key, message)) this.flusher.counters.conflated++;
    const { bufferedBytes } = this;
    if (bufferedBytes > this.flusher.limits.maxBufferedBytes) this.flusher.tooSlow(this);
    else this.flusher.waits(this, bufferedBytes);
  }

  /** `ws` doesn't say when its own queue is full: it is above the mark at which a socket would say so. */
  get #isBehind(): boolean {
    return this.#isByWs ? this.ws.bufferedAmount > this.socket.writableHighWaterMark : this.socket.writableNeedDrain;
  }

  #lookBehind(): void {
    if (this.#isOver || !this.#isBehind) return;
    const { bufferedBytes } = this;
    if (bufferedBytes === 0) return; // much, but the operating system took it at once
    if (this.waitingBytes === 0) {
      this.behindSince = performance.now();
      if (!this.#isByWs) this.socket.once('drain', () => this.#drained());
    }
    this.flusher.waits(this, bufferedBytes);
  }

  #drained(): void {
    if (this.waitingBytes === 0 || (this.#isByWs && this.#isBehind)) return;
    const latest = this.#latest;
    this.#latest = undefined;
    this.#caughtUp();
    for (const message of latest?.inOrder() ?? []) this.push(message);
  }

  #caughtUp(): void {
    if (this.waitingBytes > 0) this.flusher.waits(this, 0);
    const waiters = this.#waiters;
    this.#waiters = undefined;
    for (const resolve of waiters ?? []) resolve();
  }
}
