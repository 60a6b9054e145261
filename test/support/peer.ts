import { type ClientOptions, WebSocket } from 'ws';
import { PATIENCE_MS, Stopwatch } from './stopwatch.js';

/** Any frame, as a test looks at it. */
// oxlint-disable-next-line typescript/no-explicit-any -- tests read fields of many shapes
export type Frame = any;

export interface PeerOptions extends ClientOptions {
  /** Don't wait for `system/connected`. */
  isRaw?: boolean;
}

export interface Close {
  code: number;
  reason: string;
}

/** How soon a wait that is over by the clock is looked at again, on a machine that did other things. */
const LOOK_AGAIN_MS = 100;

/** A bare WebSocket client that keeps what it receives until a test asks for it. */
export class Peer {
  readonly received: Frame[] = [];
  readonly closed: Promise<Close>;
  clientId = '';
  connected: Frame;
  #lastId = 0;
  readonly #waiting = new Set<() => void>();

  private constructor(readonly ws: WebSocket) {
    ws.on('message', (data, isBinary) => {
      const frame: Frame = JSON.parse((data as Buffer).toString());
      if (isBinary) Object.defineProperty(frame, 'isBinary', { value: true });
      this.received.push(frame);
      for (const wake of this.#waiting) wake();
    });
    ws.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  static async open(url: string, { isRaw = false, ...options }: PeerOptions = {}): Promise<Peer> {
    const ws = new WebSocket(url, options);
    const peer = new Peer(ws);
    await new Promise<void>((resolve, reject) => {
      ws.once('open', resolve);
      ws.once('error', reject);
    });
    if (!isRaw) {
      peer.connected = await peer.next('system', 'connected');
      peer.clientId = peer.connected.data.clientId;
    }
    return peer;
  }

  send(type: string, action: string, data?: unknown, id?: string | number): void {
    this.sendRaw(JSON.stringify({ type, action, data, id }));
  }

  sendRaw(data: string | Buffer): void {
    this.ws.send(data);
  }

  /**
   * Takes the first frame that fits, now or once it comes.
   * @param promisedMs how soon it has to come, where the product promises that
   */
  async take(fits: (frame: Frame) => boolean, promisedMs = PATIENCE_MS): Promise<Frame> {
    let watch: Stopwatch | undefined;
    for (;;) {
      const index = this.received.findIndex(fits);
      if (index >= 0) return this.received.splice(index, 1)[0];
      watch ??= new Stopwatch();
      const leftMs = promisedMs - watch.ms;
      if (watch.isOver(promisedMs))
        throw new Error(`No such frame came. Received: ${JSON.stringify(this.received).slice(-4_000)}`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, Math.max(LOOK_AGAIN_MS, leftMs));
        this.#waiting.add(wake);
      });
    }
  }

  next(type: string, action: string): Promise<Frame> {
    return this.take((frame) => frame.type === type && frame.action === action);
  }

  error(): Promise<Frame> {
    return this.next('error', 'message');
  }

  /** Asks, and resolves with the whole reply or error frame. */
  async request(type: string, action: string, data?: unknown): Promise<Frame> {
    const id = `r${++this.#lastId}`;
    this.send(type, action, data, id);
    return this.take((frame) => frame.id === id);
  }

  async join(roomName: string, more: object = {}): Promise<Frame> {
    const reply = await this.request('system', 'joinRoom', { roomName, ...more });
    if (!reply.response) throw new Error(`The join was refused: ${JSON.stringify(reply)}`);
    return reply;
  }

  /** Everything the server sent before now has arrived once this resolves: frames of one socket keep their order. */
  async settle(): Promise<void> {
    await this.request('system', 'ping');
  }

  terminate(): void {
    this.ws.terminate();
  }
}
