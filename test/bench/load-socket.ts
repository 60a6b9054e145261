import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { Dialect } from './dialects.js';
import { FIRST_SEQ } from './contract.js';

/** What the sockets do with what they read. One object for all of them. */
export interface Traffic {
  /** A data frame: `size` bytes of payload from `start` on. The bytes are overwritten once this returns. */
  frame(socket: LoadSocket, bytes: Buffer, start: number, size: number): void;
  /** Bytes came. */
  arrived?(): void;
  /** All frames of one read were handed over. */
  read?(socket: LoadSocket): void;
}

/** Read into by every socket in turn: what is left of a frame is copied out of it. */
const SHARED = Buffer.allocUnsafe(65_536);
const MASK = randomBytes(4).map((byte) => byte | 1); // never zero, which servers may take a shortcut for

/** A WebSocket client reduced to what a load needs: it reads headers, skips payloads and writes ready frames. */
export class LoadSocket {
  /** Sequence number of the last message; 0 before the first. */
  last = 0;
  /** Frames of the read under way; the number of the last request. For the traffic to use. */
  pending = 0;
  asked = 0;
  isClosed = false;
  traffic: Traffic | undefined;
  readonly #socket: Socket;
  #rest: Buffer | undefined;
  #isUpgraded = false;

  private constructor(
    port: number,
    private readonly dialect: Dialect,
    private readonly opened: (error?: Error) => void,
  ) {
    const onread = { buffer: SHARED, callback: (length: number) => this.#read(length) };
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread });
    this.#socket.write(upgrade(port, dialect.path));
    this.#socket.on('error', (error) => opened(error));
    this.#socket.on('close', () => {
      this.isClosed = true;
      opened(new Error(`The server closed a connection: ${this.#rest?.toString('latin1')}`));
    });
  }

  /** Resolves once the server takes messages. */
  static open(port: number, dialect: Dialect): Promise<LoadSocket> {
    return new Promise((resolve, reject) => {
      const socket: LoadSocket = new LoadSocket(port, dialect, (error) => (error ? reject(error) : resolve(socket)));
    });
  }

  write(frames: Buffer): void {
    this.#socket.write(frames);
  }

  say(text: string): void {
    this.write(new Template(text).frames(0, 1));
  }

  stopReading(): void {
    this.#socket.pause();
  }

  goOnReading(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.resetAndDestroy();
  }

  #read(length: number): boolean {
    this.traffic?.arrived?.();
    let bytes = SHARED;
    let end = length;
    if (this.#rest) {
      bytes = Buffer.concat([this.#rest, SHARED.subarray(0, length)]);
      end = bytes.length;
    }
    const done = this.#isUpgraded ? this.#walk(bytes, 0, end) : this.#upgrade(bytes, end);
    this.#rest = done < end ? Buffer.from(bytes.subarray(done, end)) : undefined;
    this.traffic?.read?.(this);
    return true;
  }

  #upgrade(bytes: Buffer, end: number): number {
    const head = bytes.subarray(0, end).indexOf('\r\n\r\n');
    if (head < 0) return 0;
    if (!bytes.toString('latin1', 0, 12).endsWith('101')) {
      this.opened(new Error(`The upgrade was refused: ${bytes.toString('latin1', 0, end)}`));
      return end;
    }
    this.#isUpgraded = true;
    if (!this.dialect.greeted) this.opened();
    return this.#walk(bytes, head + 4, end);
  }

  /** Hands over every whole frame. Returns where the first that isn't whole begins. */
  #walk(bytes: Buffer, from: number, end: number): number {
    let at = from;
    while (end - at >= 2) {
      const form = (bytes[at + 1] as number) & 0x7f;
      const head = form < 126 ? 2 : form === 126 ? 4 : 10;
      if (end - at < head) break;
      const size = form < 126 ? form : form === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
      if (end - at < head + size) break;
      const opcode = (bytes[at] as number) & 0x0f;
      const start = at + head;
      if (opcode > 2) this.#control(opcode, bytes.subarray(start, start + size));
      else if (this.traffic && size > 2) this.traffic.frame(this, bytes, start, size);
      else this.#greet(bytes.toString('latin1', start, start + size));
      at = start + size;
    }
    return at;
  }

  #greet(text: string): void {
    if (text === '2') return this.say('3'); // Socket.IO's ping
    const answer = this.dialect.greeted?.(text);
    if (answer === 'ready') this.opened();
    else if (answer) this.say(answer.say);
  }

  #control(opcode: number, payload: Buffer): void {
    if (opcode === 9) this.write(masked(Buffer.from(payload), 10));
  }
}

/** A client's frame whose sequence numbers can be changed without building it again. */
export class Template {
  readonly #frame: Buffer;
  readonly #places: number[] = [];
  readonly #start: number;

  constructor(text: string) {
    this.#frame = masked(Buffer.from(text), 1);
    this.#start = this.#frame.length - Buffer.byteLength(text);
    const digits = String(FIRST_SEQ);
    for (let at = text.indexOf(digits); at >= 0; at = text.indexOf(digits, at + 1)) this.#places.push(at);
  }

  /** `count` frames with the numbers from `seq` on, to be written at once. */
  frames(seq: number, count: number): Buffer {
    const { length } = this.#frame;
    const bytes = Buffer.allocUnsafe(length * count);
    for (let n = 0; n < count; n++) {
      this.#frame.copy(bytes, n * length);
      for (const place of this.#places) this.#number(bytes, n * length + this.#start, place, seq + n);
    }
    return bytes;
  }

  #number(bytes: Buffer, start: number, place: number, seq: number): void {
    let rest = seq;
    for (let at = place + 9; at >= place; at--) {
      bytes[start + at] = (48 + (rest % 10)) ^ (MASK[at & 3] as number);
      rest = Math.floor(rest / 10);
    }
  }
}

function masked(payload: Buffer, opcode: number): Buffer {
  const isShort = payload.length < 126;
  const head = Buffer.alloc(isShort ? 2 : 4);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (isShort ? payload.length : 126);
  if (!isShort) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, MASK, payload.map((byte, at) => byte ^ (MASK[at & 3] as number))]);
}

/** With the headers that every browser sends. */
const upgrade = (port: number, path: string): string =>
  [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'User-Agent: bench',
    `Origin: http://127.0.0.1:${port}`,
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    '\r\n',
  ].join('\r\n');
