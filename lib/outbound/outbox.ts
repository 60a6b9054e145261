import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { monotonicMs } from '../clock.js';
import type { FlushedOutbox, Flusher } from './flusher.js';
import type { FrameRun } from './frame-run.js';
import { LatestMessages } from './latest-messages.js';
import type { OutgoingMessage } from './outgoing-message.js';
import { canFrame, frameText } from './wire.js';

export type SentCallback = (error?: Error) => void;

/**
 * What one socket is still to get. Messages of one event-loop turn leave in one write, in the order they came; what `ws`
 * writes by itself (pings, pongs, close frames, the application's own `ws.send()`) comes after what was queued before it.
 */
export class Outbox implements FlushedOutbox {
  /** What the client calls itself on all of its connections. */
  session: string | undefined;
  /** Queued in this turn. */
  queuedBytes = 0;
  /** What it was found to be behind by, when it was last looked at. 0 for a socket that keeps up. */
  waitingBytes = 0;
  /** When it fell behind, by the monotonic clock. */
  behindSince = 0;
  flushedAt = 0;
  isTouched = false;
  #run: FrameRun | undefined;
  /** What was queued before the run: runs, and frames for this socket alone. */
  #parts: (FrameRun | Buffer)[] | undefined;
  #latest: LatestMessages | undefined;
  #waiters: (() => void)[] | undefined;
  #isOver = false;
  /** Written since the last ping that asked whether the peer reads. */
  #unaskedBytes = 0;
  /** The payload of the ping that asks; 0 while none is under way. */
  #question = 0;
  /** What had been read of the peer when it was asked. */
  #heardBytes = 0;
  /** Nothing is written until the peer shows that it reads. */
  #isHeld = false;
  #wasOverBudget = false;
  /** Of what waits, so much was offered: nobody is closed for it. */
  #offeredBytes = 0;
  #awaitsDrain = false;
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

  /** Of that, what the limits are for. */
  get owedBytes(): number {
    return Math.max(0, this.bufferedBytes - this.#offeredBytes);
  }

  /** The same for a socket that is behind: at least 1 while anything waits. */
  get behindBytes(): number {
    return this.bufferedBytes === 0 ? 0 : Math.max(1, this.owedBytes);
  }

  /** A message that others get, too. */
  push(message: OutgoingMessage): void {
    if (this.waitingBytes > 0 && this.#holdsBack(message)) return;
    if (this.#isByWs) return this.#sendByWs(message.payload);
    const { frame } = message;
    this.#run = (this.#run ?? this.flusher.run).plus(frame);
    this.#queued(frame.length);
  }

  /**
   * A message that nobody is closed for, such as the client list: taken only where nothing waits, so that at most one of them
   * lies in front of what counts.
   * @returns whether it was taken
   */
  offer(message: OutgoingMessage): boolean {
    if (this.waitingBytes > 0 || this.bufferedBytes > this.queuedBytes) return false;
    this.#offeredBytes = message.frame.length;
    this.push(message);
    return true;
  }

  /** A message for this client alone. */
  pushText(text: string): void {
    if (this.#isByWs) return this.#sendByWs(text);
    const frame = frameText(Buffer.from(text));
    this.#setRunAside();
    (this.#parts ??= []).push(frame);
    this.#queued(frame.length);
    this.flusher.hurry(this);
  }

  get queuedMessages(): number {
    return (this.#run?.depth ?? 0) + (this.#parts?.length ?? 0);
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
    if (this.waitingBytes > 0 && this.owedBytes + queuedBytes > this.flusher.limits.maxBufferedBytes) {
      this.flusher.tooSlow(this);
      return true;
    }
    const hasRoom = this.socket.write(frames);
    this.#unaskedBytes += queuedBytes;
    if (this.#unaskedBytes >= this.flusher.askEveryBytes && this.#question === 0) this.#ask();
    return hasRoom;
  }

  turnEnded(): void {
    this.isTouched = false;
    this.#settle();
    if (this.#isHeld) this.#keepBudget();
  }

  /**
   * A pong came. Whatever it answers, its peer isn't silent: it may answer only the last of several pings (RFC 6455 section
   * 5.5.3).
   * @returns whether it answers the ping that asked
   */
  takePong(payload: Buffer): boolean {
    const isAnswer = this.#question !== 0 && payload.length === 4 && payload.readUInt32BE() === this.#question;
    if (isAnswer) this.#question = 0;
    this.look();
    return isAnswer;
  }

  /** Whoever is held may have said something meanwhile. */
  look(): void {
    if (this.#isHeld) this.#settle();
  }

  /** `ws` was given something, by us or by the application. What that comes to is seen at the end of the turn. */
  sentByWs(): void {
    if (this.waitingBytes > 0 && this.owedBytes > this.flusher.limits.maxBufferedBytes) this.flusher.tooSlow(this);
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
    this.#settle();
    return new Promise((resolve) => {
      if (this.waitingBytes === 0) setImmediate(resolve);
      else (this.#waiters ??= []).push(resolve);
    });
  }

  giveUp(): void {
    this.flusher.tooSlow(this);
  }

  /** The socket is gone: what waits is dropped. */
  end(): void {
    this.#isOver = true;
    this.#isHeld = false;
    this.queuedBytes = 0;
    this.#run = this.#parts = this.#latest = undefined;
    this.#caughtUp();
  }

  /** Writes what is queued, unless the peer must first show that it reads. */
  #settle(): void {
    if (this.#mustWait()) return this.#hold();
    if (this.#isHeld) this.#letGo();
    else if (!this.flush()) this.#lookBehind();
  }

  /** A ping after what was just written. */
  #ask(): void {
    this.#question = 1 + Math.floor(Math.random() * 0xffffffff);
    this.#unaskedBytes = 0;
    this.#heardBytes = (this.socket as Socket).bytesRead;
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(this.#question);
    this.ws.ping(payload);
  }

  /**
   * A peer that was asked, was sent as much again, and has said nothing at all since, may not be reading: what the operating
   * system would still take for it, some megabytes, would be written in vain. One that says something may have its pong
   * behind a long message, and so may one that isn't listened to.
   */
  #mustWait(): boolean {
    if (this.#question === 0 || this.#isOver) return false;
    if (this.#unaskedBytes + this.queuedBytes <= this.flusher.askEveryBytes) return false;
    if ((this.socket as Socket).bytesRead === this.#heardBytes && !this.ws.isPaused) return true;
    this.#question = 0;
    return false;
  }

  #hold(): void {
    this.#isHeld = true;
    if (this.waitingBytes === 0) this.behindSince = monotonicMs();
    this.flusher.waits(this, this.behindBytes);
  }

  /** Over it once may be one large message, or this process was busy and hasn't read the pong yet. */
  #keepBudget(): void {
    const isOverBudget = this.owedBytes > this.flusher.limits.maxBufferedBytes;
    if (isOverBudget && this.#wasOverBudget) return this.flusher.tooSlow(this);
    this.#wasOverBudget = isOverBudget;
  }

  #letGo(): void {
    this.#isHeld = this.#wasOverBudget = false;
    if (!this.#isBehind) this.flusher.waits(this, 0); // else the operating system has been waiting for it since before
    this.flush();
    this.#lookBehind();
    if (this.waitingBytes === 0) this.#caughtUp();
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
    if (this.owedBytes > this.flusher.limits.maxBufferedBytes) this.flusher.tooSlow(this);
    else this.flusher.waits(this, this.behindBytes);
  }

  /** `ws` doesn't say when its own queue is full: it is above the mark at which a socket would say so. */
  get #isBehind(): boolean {
    return this.#isByWs ? this.ws.bufferedAmount > this.socket.writableHighWaterMark : this.socket.writableNeedDrain;
  }

  #lookBehind(): void {
    if (this.#isOver || !this.#isBehind) return;
    if (this.bufferedBytes === 0) return; // much, but the operating system took it at once
    if (this.waitingBytes === 0) this.behindSince = monotonicMs();
    if (!this.#isByWs && !this.#awaitsDrain) {
      this.#awaitsDrain = true;
      this.socket.once('drain', () => {
        this.#awaitsDrain = false;
        this.#drained();
      });
    }
    this.flusher.waits(this, this.behindBytes);
  }

  #drained(): void {
    if (this.waitingBytes === 0 || this.#isHeld || (this.#isByWs && this.#isBehind)) return;
    this.#caughtUp();
  }

  #caughtUp(): void {
    const latest = this.#latest;
    const waiters = this.#waiters;
    this.#latest = this.#waiters = undefined;
    this.#offeredBytes = 0;
    if (this.waitingBytes > 0) this.flusher.waits(this, 0);
    for (const resolve of waiters ?? []) resolve();
    for (const message of latest?.inOrder() ?? []) this.push(message);
  }
}
