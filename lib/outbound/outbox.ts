import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { FlushedOutbox, Flusher } from './flusher.js';
import { FrameRun } from './frame-run.js';
import { LatestMessages } from './latest-messages.js';
import type { OutgoingMessage } from './outgoing-message.js';
import { frameLength, writeTextFrame } from './wire.js';

export type SentCallback = (error?: Error) => void;

/** A frame for one socket alone. It becomes bytes when it is written, together with the frames around it. */
interface OwnFrame {
  text: string;
  /** The length of the text in UTF-8. */
  bytes: number;
}

/**
 * The messages that wait for one socket. Those of one turn are written at once, in order. What `ws` writes itself
 * (pings, pongs, close frames, the application's own `ws.send()`) comes after what was queued before it.
 */
export class Outbox implements FlushedOutbox {
  /** The session of the client, which is the same on all of its connections. */
  session: string | undefined;
  /** Bytes queued in this turn. */
  queuedBytes = 0;
  /** How many bytes it was behind at the last check. 0 for a socket that keeps up. */
  waitingBytes = 0;
  /** When it fell behind, by the monotonic clock. */
  behindSince = 0;
  flushedAt = 0;
  isTouched = false;
  #run: FrameRun | undefined;
  /** What was queued before the current run: runs, and frames for this socket alone. */
  #parts: (FrameRun | OwnFrame)[] | undefined;
  #latest: LatestMessages | undefined;
  #waiters: (() => void)[] | undefined;
  #isOver = false;
  /** Bytes written since the last ping that asked whether the peer reads. */
  #unaskedBytes: number;
  /** The payload of that ping. 0 while none is under way. */
  #question = 0;
  /** How many bytes had been read from the peer when that ping was sent. */
  #heardBytes = 0;
  /** Nothing is written until the peer shows that it reads. */
  #isHeld = false;
  #wasOverBudget = false;
  /** Waiting bytes of messages that were only offered. They close nobody. */
  #offeredBytes = 0;
  #awaitsDrain = false;
  /** `ws` has its own queue for compressed messages and for what it has begun. Then everything goes through it. */
  #isByWs: boolean;
  #onSent: (() => void) | undefined;

  constructor(
    readonly clientId: string,
    readonly ws: WebSocket,
    /** The socket that was passed to `handleUpgrade()`. */
    private readonly socket: Duplex,
    private readonly flusher: Flusher,
  ) {
    this.#isByWs = ws.extensions !== '';
    this.#unaskedBytes = flusher.headStart();
  }

  /** All bytes that wait for the client: queued, kept back, or not yet taken by the operating system. */
  get bufferedBytes(): number {
    const unsent = this.#isByWs ? this.ws.bufferedAmount : this.socket.writableLength;
    return this.queuedBytes + unsent + (this.#latest?.bytes ?? 0);
  }

  /** The part of `bufferedBytes` to which the limits apply. */
  get owedBytes(): number {
    return Math.max(0, this.bufferedBytes - this.#offeredBytes);
  }

  /** The same as `owedBytes`, but at least 1 while anything waits. */
  get behindBytes(): number {
    return this.bufferedBytes === 0 ? 0 : Math.max(1, this.owedBytes);
  }

  /** Queues a message that other sockets may get, too. */
  push(message: OutgoingMessage): void {
    if (this.waitingBytes > 0 && this.#holdsBack(message)) return;
    if (this.#isByWs) return this.#sendByWs(message.payload);
    const { frame } = message;
    this.#run = (this.#run ?? this.flusher.run).plus(frame);
    this.#queued(frame.length);
  }

  /**
   * Takes a message, such as the client list, only if nothing waits. So at most one such message is ahead of other
   * messages, and it can't close a slow client.
   * @returns whether it was taken
   */
  offer(message: OutgoingMessage): boolean {
    if (this.waitingBytes > 0 || this.bufferedBytes > this.queuedBytes) return false;
    this.#offeredBytes = message.frame.length;
    this.push(message);
    return true;
  }

  /** Queues a message for this client alone. */
  pushText(text: string): void {
    if (this.#isByWs) return this.#sendByWs(text);
    const bytes = Buffer.byteLength(text);
    this.#setRunAside();
    (this.#parts ??= []).push({ text, bytes });
    this.#queued(frameLength(bytes));
    this.flusher.hurry(this);
  }

  get queuedMessages(): number {
    return (this.#run?.depth ?? 0) + (this.#parts?.length ?? 0);
  }

  /** From now on, everything goes through `ws`, after what is queued. */
  leaveToWs(): void {
    this.flush();
    this.#isByWs = true;
  }

  /**
   * Writes what is queued now: at the end of the turn, and before `ws` writes something itself.
   * @returns false if the socket may have fallen behind
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
   * Takes a pong. Any pong shows that the peer isn't silent: it may answer only the last of several pings (RFC 6455
   * section 5.5.3).
   * @returns whether it answers the ping that asked
   */
  takePong(payload: Buffer): boolean {
    const isAnswer = this.#question !== 0 && payload.length === 4 && payload.readUInt32BE() === this.#question;
    if (isAnswer) this.#question = 0;
    this.look();
    return isAnswer;
  }

  /** A peer that is held back may have sent something meanwhile. */
  look(): void {
    if (this.#isHeld) this.#settle();
  }

  /** Something was given to `ws`, by us or by the application. The end of the turn counts it. */
  sentByWs(): void {
    if (this.waitingBytes > 0 && this.owedBytes > this.flusher.limits.maxBufferedBytes) this.flusher.tooSlow(this);
    else if (!this.isTouched) this.flusher.touch(this);
  }

  /** The callback for `ws` after it has written a message: nothing else tells when its own queue is empty. */
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
   * Resolves when the socket has room again, or is closed. Never in the same turn, so that a stream to a fast reader
   * doesn't keep others waiting.
   */
  whenDrained(): Promise<void> {
    this.#settle();
    return new Promise((resolve) => {
      const isClosing = this.ws.readyState !== this.ws.OPEN;
      if (this.#isOver) setImmediate(resolve);
      else if (isClosing || this.waitingBytes > 0) (this.#waiters ??= []).push(resolve);
      else if (this.bufferedBytes === 0) setImmediate(resolve);
      else this.socket.write('', () => resolve()); // below the mark of the socket, which won't tell when it has drained
    });
  }

  giveUp(): void {
    this.flusher.tooSlow(this);
  }

  /** The socket is closed: drops what waits. */
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

  /** Sends a ping after what was just written. */
  #ask(): void {
    this.#question = 1 + Math.floor(this.flusher.system.ids.random() * 0xffffffff);
    this.#unaskedBytes = 0;
    this.#heardBytes = (this.socket as Socket).bytesRead;
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(this.#question);
    this.ws.ping(payload);
  }

  /**
   * True for a peer that may not be reading: it was asked, got as many bytes again, and has sent nothing since. Without
   * this check, the operating system would take some megabytes for it in vain. If a peer sends something, or is paused,
   * its pong may be behind a long message.
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
    if (this.waitingBytes === 0) this.behindSince = this.flusher.system.clock.now();
    this.flusher.waits(this, this.behindBytes);
  }

  /** Being over the limit once means little: one message may be large, or this process hasn't read the pong yet. */
  #keepBudget(): void {
    const isOverBudget = this.owedBytes > this.flusher.limits.maxBufferedBytes;
    if (isOverBudget && this.#wasOverBudget) return this.flusher.tooSlow(this);
    this.#wasOverBudget = isOverBudget;
  }

  #letGo(): void {
    this.#isHeld = this.#wasOverBudget = false;
    if (!this.#isBehind) this.flusher.waits(this, 0); // otherwise the operating system has been waiting since before
    this.flush();
    this.#lookBehind();
    if (this.waitingBytes === 0) this.#caughtUp();
  }

  #queued(bytes: number): void {
    const before = this.queuedBytes;
    this.queuedBytes = before + bytes;
    if (!this.isTouched) this.flusher.touch(this);
    const { fullBytes } = this.flusher;
    if (before <= fullBytes && before + bytes > fullBytes) this.flusher.hurry(this);
  }

  #setRunAside(): void {
    if (!this.#run) return;
    (this.#parts ??= []).push(this.#run);
    this.#run = undefined;
  }

  #takeFrames(): Buffer {
    const run = this.#run;
    const parts = this.#parts;
    const { queuedBytes } = this;
    this.#run = this.#parts = undefined;
    this.queuedBytes = 0;
    if (!parts) return (run as FrameRun).joined();
    const frames = Buffer.allocUnsafe(queuedBytes);
    let at = 0;
    for (const part of parts) {
      if (part instanceof FrameRun) at += part.joined().copy(frames, at);
      else at = writeTextFrame(frames, at, part.text, part.bytes);
    }
    run?.joined().copy(frames, at);
    return frames;
  }

  #sendByWs(payload: Uint8Array | string): void {
    if (this.ws.readyState === this.ws.OPEN) this.ws.send(payload, { binary: false });
  }

  /** @returns true if the message is dropped or kept for later */
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

  /** Sent when the socket has drained, unless a newer one replaces it. */
  #keepLatest(message: OutgoingMessage, key: string): void {
    if ((this.#latest ??= new LatestMessages()).put(key, message)) this.flusher.counters.conflated++;
    if (this.owedBytes > this.flusher.limits.maxBufferedBytes) this.flusher.tooSlow(this);
    else this.flusher.waits(this, this.behindBytes);
  }

  /** `ws` doesn't tell when its own queue is full. It counts as full above the mark of a socket. */
  get #isBehind(): boolean {
    return this.#isByWs ? this.ws.bufferedAmount > this.socket.writableHighWaterMark : this.socket.writableNeedDrain;
  }

  #lookBehind(): void {
    if (this.#isOver || !this.#isBehind) return;
    if (this.bufferedBytes === 0) return; // it was much, but the operating system took it at once
    if (this.waitingBytes === 0) this.behindSince = this.flusher.system.clock.now();
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
