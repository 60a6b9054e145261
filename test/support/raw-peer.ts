import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { PATIENCE_MS } from './stopwatch.js';

export interface FrameParts {
  payload?: Buffer | string;
  opcode?: number;
  isFinal?: boolean;
  /** The three reserved bits, 0–7. */
  reserved?: number;
  isMasked?: boolean;
  /** What the header claims instead of the payload's real length. */
  claimedLength?: bigint;
}

/** The bytes of one frame, legal or not. */
export function frameBytes(parts: FrameParts = {}): Buffer {
  const { payload = '', opcode = 1, isFinal = true, reserved = 0, isMasked = true, claimedLength } = parts;
  const body = Buffer.from(payload);
  const length = claimedLength ?? BigInt(body.length);
  const form = length < 126n ? Number(length) : length < 65_536n ? 126 : 127;
  const head = Buffer.alloc(2 + (form === 126 ? 2 : form === 127 ? 8 : 0));
  head[0] = (isFinal ? 0x80 : 0) | (reserved << 4) | opcode;
  head[1] = (isMasked ? 0x80 : 0) | form;
  if (form === 126) head.writeUInt16BE(Number(length), 2);
  if (form === 127) head.writeBigUInt64BE(length, 2);
  if (!isMasked) return Buffer.concat([head, body]);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, body.map((byte, index) => byte ^ (mask[index & 3] as number))]);
}

export const textBytes = (value: unknown): Buffer =>
  frameBytes({ payload: typeof value === 'string' ? value : JSON.stringify(value) });

/** RFC 7692 section 7.2: what ends a compressed message, and is left out of it. */
const TAIL = Buffer.from([0, 0, 0xff, 0xff]);

/** A message compressed by itself, independent of those before it. */
export const compressedPayload = (text: string): Buffer =>
  deflateRawSync(Buffer.from(text), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -TAIL.length);

export const compressedBytes = (text: string): Buffer => frameBytes({ payload: compressedPayload(text), reserved: 4 });

const inflated = (payload: Buffer): Buffer =>
  inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH });

export interface HandshakeOptions {
  path?: string;
  /** Offers compression. */
  isCompressed?: boolean;
  /** Never ends its side: the server must do the cutting. */
  allowHalfOpen?: boolean;
  /** Added to, or with `undefined` taken from, the headers of a good handshake. */
  headers?: Record<string, string | undefined>;
}

/** The bytes of an upgrade request. */
export function handshakeBytes(port: number, given: HandshakeOptions = {}): Buffer {
  const { path = '/ws', headers = {}, isCompressed = false } = given;
  const all: Record<string, string | undefined> = {
    Host: `127.0.0.1:${port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    'Sec-WebSocket-Extensions': isCompressed
      ? 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'
      : undefined,
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
}

/** A TCP socket that says what it is told to, and reads the server's frames without answering a single one. */
export class RawPeer {
  /** Everything that came, the HTTP answer included. */
  bytes = Buffer.alloc(0);
  readonly closed: Promise<void>;
  isClosed = false;
  #waiting: (() => void)[] = [];

  private constructor(readonly socket: Socket) {
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.isClosed = true;
        this.#wake();
        resolve();
      });
    });
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      this.bytes = Buffer.concat([this.bytes, data]);
      this.#wake();
    });
  }

  /** A TCP connection, nothing said yet. */
  static async connect(port: number, { allowHalfOpen = false }: HandshakeOptions = {}): Promise<RawPeer> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen, noDelay: true });
    const peer = new RawPeer(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return peer;
  }

  /** Asks for an upgrade and waits for the HTTP answer, whatever it is. */
  static async handshake(port: number, options?: HandshakeOptions): Promise<RawPeer> {
    const peer = await RawPeer.connect(port, options);
    peer.write(handshakeBytes(port, options));
    await peer.until(() => peer.answer !== undefined);
    return peer;
  }

  /** A connection whose handshake succeeded. */
  static async open(port: number, options?: HandshakeOptions): Promise<RawPeer> {
    const peer = await RawPeer.handshake(port, options);
    if (peer.answer?.status !== 101) throw new Error(`The upgrade was refused: ${peer.bytes.toString()}`);
    await peer.until(() => peer.frames.length > 0);
    return peer;
  }

  write(bytes: Buffer | string): void {
    if (this.socket.writable) this.socket.write(bytes);
  }

  send(value: unknown): void {
    this.write(textBytes(value));
  }

  /** Ends the connection with a TCP RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  get answer(): { status: number; headers: string; body: string; length: number } | undefined {
    const end = this.bytes.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const headers = this.bytes.toString('latin1', 0, end);
    const length = Number(/content-length: (\d+)/i.exec(headers)?.[1] ?? 0);
    const body = this.bytes.subarray(end + 4, end + 4 + length).toString();
    if (Buffer.byteLength(body) < length) return undefined;
    return { status: Number(headers.slice(9, 12)), headers, body, length: end + 4 + length };
  }

  /** The server's whole frames so far, inflated. */
  get frames(): { opcode: number; payload: Buffer }[] {
    const frames = [];
    let at = this.answer?.length ?? this.bytes.length;
    while (at + 2 <= this.bytes.length) {
      const form = (this.bytes[at + 1] as number) & 0x7f;
      const wide = form === 126 ? 2 : form === 127 ? 8 : 0;
      if (at + 2 + wide > this.bytes.length) break;
      const length =
        wide === 0 ? form : wide === 2 ? this.bytes.readUInt16BE(at + 2) : Number(this.bytes.readBigUInt64BE(at + 2));
      const start = at + 2 + wide;
      if (start + length > this.bytes.length) break;
      const payload = this.bytes.subarray(start, start + length);
      const isCompressed = ((this.bytes[at] as number) & 0x40) !== 0;
      frames.push({
        opcode: (this.bytes[at] as number) & 0x0f,
        payload: isCompressed ? inflated(payload) : payload,
      });
      at = start + length;
    }
    return frames;
  }

  /** The JSON messages so far. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read fields of many shapes
  get messages(): any[] {
    return this.frames.filter(({ opcode }) => opcode === 1).map(({ payload }) => JSON.parse(payload.toString()));
  }

  /** The code of the server's close frame, once it came. */
  get closeCode(): number | undefined {
    const close = this.frames.find(({ opcode }) => opcode === 8);
    return close && (close.payload.length >= 2 ? close.payload.readUInt16BE(0) : 1005);
  }

  /** What the server's close frame says. */
  get closeReason(): string | undefined {
    return this.frames
      .find(({ opcode }) => opcode === 8)
      ?.payload.subarray(2)
      .toString();
  }

  async until(isTrue: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!isTrue()) {
      const left = deadline - performance.now();
      if (left <= 0 || this.isClosed) {
        throw new Error(
          `${this.isClosed ? 'The socket closed' : 'Nothing came'} first. Close code ${this.closeCode}, ${this.frames.length} frames.`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
