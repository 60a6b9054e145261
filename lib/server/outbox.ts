import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Flusher } from './flusher.js';
import type { FrameRun } from './frame-run.js';
import { OutgoingMessage } from './outgoing-message.js';
import { frameText } from './wire.js';

/**
 * What one socket is still to get. Messages of one event-loop turn leave in one write, in the order they came; what `ws`
 * writes by itself (pings, pongs, close frames, the application's own `ws.send()`) comes after what was queued before it.
 */
export class Outbox {
  /** Queued in this turn. */
  queuedBytes = 0;
  /** Written, but not taken by the operating system. 0 for a socket that keeps up. */
  waitingBytes = 0;
  /** `performance.now()` of when it fell behind. */
  behindSince = 0;
  flushedAt = 0;
  isTouched = false;
  #run: FrameRun | undefined;
  /** What was queued before the run: runs, and frames for this socket alone. */
  #parts: (FrameRun | Buffer)[] | undefined;
  #latest: Map<string, OutgoingMessage> | undefined;
  #latestBytes = 0;
  #waiters: (() => void)[] | undefined;
  /** `ws` keeps a queue of its own for compressed messages, and knows what it has begun: then all goes by way of it. */
  #isByWs: boolean;

  constructor(
    readonly clientId: string,
    readonly ws: WebSocket,
    /** The one handed to `handleUpgrade()`. */
    private readonly socket: Duplex,
    private readonly flusher: Flusher,
  ) {
    this.#isByWs = ws.extensions !== '';
  }

  get bufferedBytes(): number {
    return this.queuedBytes + (this.#isByWs ? this.ws.bufferedAmount : this.socket.writableLength);
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

  /** Writes what is queued, at once. Called at the end of the turn, and before `ws` writes something itself. */
  flush(): void {
    if (this.queuedBytes === 0) return;
    const { queuedBytes } = this;
    const frames = this.#takeFrames();
    if (this.ws.readyState !== this.ws.OPEN) return;
    if (this.waitingBytes > 0 && this.socket.writableLength + queuedBytes > this.flusher.limits.maxBufferedBytes) {
      this.flusher.tooSlow(this);
    } else if (!this.socket.write(frames)) this.#fellBehind();
  }

  /** Resolves when the socket has room again, or is gone. */
  whenDrained(): Promise<void> {
    this.flush();
    if (this.waitingBytes === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#waiters ??= []).push(resolve));
  }

  /** The socket is gone: what waits is dropped. */
  end(): void {
    this.queuedBytes = 0;
    this.#run = this.#parts = undefined;
    this.#caughtUp();
    this.#latest = undefined;
    for (const resolve of this.#waiters ?? []) resolve();
    this.#waiters = undefined;
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
    if (this.ws.readyState !== this.ws.OPEN) return;
    const { length } = payload;
    if (this.waitingBytes > 0 && this.ws.bufferedAmount + length > this.flusher.limits.maxBufferedBytes) {
      return this.flusher.tooSlow(this);
    }
    this.ws.send(payload, { binary: false });
    if (this.socket.writableNeedDrain) this.#fellBehind();
  }

  /** @returns true when the message is dropped, or kept for later */
  #holdsBack(message: OutgoingMessage): boolean {
    const { limits, counters } = this.flusher;
    const isFarBehind = this.waitingBytes > limits.volatileBytes;
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
    const latest = (this.#latest ??= new Map<string, OutgoingMessage>());
    const before = latest.get(key);
    if (before) {
      this.flusher.counters.conflated++;
      this.#latestBytes -= before.payload.length;
      latest.delete(key);
    }
    latest.set(key, message);
    this.#latestBytes += message.payload.length;
    if (this.#latestBytes > this.flusher.limits.maxBufferedBytes) this.flusher.tooSlow(this);
  }

  #fellBehind(): void {
    if (this.waitingBytes === 0) {
      this.socket.once('drain', () => this.#drained());
      this.behindSince = performance.now();
    }
    this.flusher.waits(this, this.bufferedBytes);
  }

  #drained(): void {
    this.#caughtUp();
    const latest = this.#latest;
    this.#latest = undefined;
    this.#latestBytes = 0;
    for (const message of latest?.values() ?? []) this.push(message);
    for (const resolve of this.#waiters?.splice(0) ?? []) resolve();
  }

  #caughtUp(): void {
    if (this.waitingBytes > 0) this.flusher.waits(this, 0);
  }
}
