import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import type { RawData, WebSocket } from 'ws';
import { WebSocketClient } from '../../lib/client/websocket-client.js';
import type { NodeWebSocketClientOptions } from '../../lib/client/websocket-client.js';
import type { WebSocketClientEvents } from '../../lib/client/client-events.js';
import { PATIENCE_MS } from '../support/stopwatch.js';
import { TcpProxy } from '../support/tcp-proxy.js';

export interface Frame {
  type: string;
  action: string;
  id?: string | number;
  data?: unknown;
  response?: unknown;
  more?: boolean;
  done?: boolean;
}

/** Things that arrive, and tests that await them: whichever comes first. */
export class Mailbox<T> {
  readonly all: T[] = [];
  readonly #unread: T[] = [];
  readonly #waiting: { match: (item: T) => boolean; resolve: (item: T) => void }[] = [];

  constructor(readonly name: string) {}

  put(item: T): void {
    this.all.push(item);
    const index = this.#waiting.findIndex(({ match }) => match(item));
    if (index < 0) this.#unread.push(item);
    else this.#waiting.splice(index, 1)[0]?.resolve(item);
  }

  /** The first unread item that matches; waits for it. */
  take(match: (item: T) => boolean = () => true): Promise<T> {
    const index = this.#unread.findIndex(match);
    if (index >= 0) return Promise.resolve(this.#unread.splice(index, 1)[0] as T);
    return this.future(match);
  }

  /** The next item that matches, whatever came before. */
  future(match: (item: T) => boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`Nothing came for ${this.name} in ${PATIENCE_MS} ms; there were ${this.all.length}.`)),
        PATIENCE_MS,
      );
      const give = (item: T): void => {
        clearTimeout(timer);
        resolve(item);
      };
      this.#waiting.push({ match, resolve: give });
    });
  }
}

const route =
  (type: string, action: string) =>
  (frame: Frame): boolean =>
    frame.type === type && frame.action === action;

/** The server's end of one connection. */
export class Peer {
  readonly frames = new Mailbox<Frame>('a frame from the client');
  readonly closed: Promise<{ code: number; reason: string }>;

  constructor(
    readonly socket: WebSocket,
    readonly request: IncomingMessage,
  ) {
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) =>
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
    );
  }

  next(type: string, action: string): Promise<Frame> {
    return this.frames.take(route(type, action));
  }

  send(frame: Frame): void {
    this.socket.send(JSON.stringify(frame));
  }

  reply({ type, action, id }: Frame, response: unknown, rest: Partial<Frame> = {}): void {
    this.send({ type, action, id, response, ...rest });
  }

  refuse({ type, action, id }: Frame, code: string, error = 'No.'): void {
    this.send({ type: 'error', action: 'message', id, data: { error, code, type, action } });
  }
}

/** Speaks the protocol, and as a test wills it. */
export class ScriptedServer {
  readonly peers = new Mailbox<Peer>('a connection');
  /** What a new connection hears first. */
  greet: (peer: Peer, clientId: string) => void = (peer, clientId) =>
    peer.send({ type: 'system', action: 'connected', data: { clientId, heartbeat: 25_000 } });
  /** Answers to `system/*`; a test may replace it. */
  answer: (frame: Frame, peer: Peer) => void = answerSystem;
  /** An HTTP status instead of a WebSocket, while set. */
  refusal: { status: number; body?: string; headers?: Record<string, string> } | undefined;
  url = '';
  port = 0;
  readonly #tcpSockets = new Set<Socket>();
  #accepted = 0;

  private constructor(
    readonly http: Server,
    readonly wss: WebSocketServer,
  ) {}

  static async start(
    onRequest: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => response.end(),
  ): Promise<ScriptedServer> {
    const server = new ScriptedServer(createServer(onRequest), new WebSocketServer({ noServer: true }));
    server.http.on('upgrade', (request, socket: Socket, head) => server.#upgrade(request, socket, head));
    server.http.on('connection', (socket) => {
      server.#tcpSockets.add(socket);
      socket.once('close', () => server.#tcpSockets.delete(socket));
    });
    await server.listen();
    return server;
  }

  get openSockets(): number {
    return this.#tcpSockets.size;
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.http.listen(port, '127.0.0.1', resolve));
    this.port = (this.http.address() as AddressInfo).port;
    this.url = `ws://127.0.0.1:${this.port}/ws`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.http.close(resolve));
    for (const socket of this.#tcpSockets) socket.destroy();
    await closed;
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    if (this.refusal) {
      const { status, body = '', headers = {} } = this.refusal;
      const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      const head = `HTTP/1.1 ${status} No\r\nConnection: close\r\nContent-Length: ${body.length}\r\n${more.join('')}`;
      socket.end(`${head}\r\n${body}`);
      return;
    }
    this.wss.handleUpgrade(request, socket, head, (webSocket) => this.#accept(new Peer(webSocket, request)));
  }

  #accept(peer: Peer): void {
    peer.socket.on('message', (data: RawData) => {
      const frame = JSON.parse((data as Buffer).toString()) as Frame;
      peer.frames.put(frame);
      this.answer(frame, peer);
    });
    this.#accepted += 1;
    this.greet(peer, `client-${this.#accepted}`);
    this.peers.put(peer);
  }
}

/** One room of a `joinRooms`, as if it had been asked for alone. */
class PartPeer extends Peer {
  constructor(
    peer: Peer,
    private readonly roomName: string,
    private readonly whole: Frame,
  ) {
    super(peer.socket, peer.request);
  }

  override reply(_frame: Frame, response: unknown): void {
    super.reply(this.whole, { roomName: this.roomName, ...(response as object) }, { more: true });
  }

  override refuse(_frame: Frame, code: string, error = 'No.'): void {
    this.reply(this.whole, { error: { code, error } });
  }
}

/** Answers a `joinRooms` room by room. */
export function answerEach(frame: Frame, peer: Peer, answer: (frame: Frame, peer: Peer) => void): void {
  if (frame.action !== 'joinRooms') return answer(frame, peer);
  for (const data of (frame.data as { rooms: { roomName: string }[] }).rooms)
    answer({ ...frame, action: 'joinRoom', data }, new PartPeer(peer, data.roomName, frame));
  peer.send({ type: 'system', action: 'joinRooms', id: frame.id ?? 0, done: true });
}

/** The rooms that were asked for, one by one or many at once. */
export const roomsAsked = (frames: readonly Frame[]): unknown[] =>
  frames.flatMap(({ action, data }) =>
    action === 'joinRooms' ? (data as { rooms: unknown[] }).rooms : action === 'joinRoom' ? [data] : [],
  );

export function answerSystem(frame: Frame, peer: Peer): void {
  if (frame.type !== 'system' || frame.id === undefined) return;
  if (frame.action === 'joinRooms') return answerEach(frame, peer, answerSystem);
  if (frame.action === 'joinRoom') {
    peer.reply(frame, { success: true, data: { ...(frame.data as object), members: 1 } });
  } else if (frame.action === 'leaveRoom') {
    peer.reply(frame, { success: true, data: frame.data });
  } else if (frame.action === 'ping') {
    peer.reply(frame, { success: true });
  }
}

type EventName = keyof WebSocketClientEvents;
type EventParams<K extends EventName> = Parameters<NonNullable<WebSocketClientEvents<WebSocket>[K]>>[0];

/** A client whose events a test can await, and which `cleanUp()` disconnects. */
export class TestClient extends WebSocketClient {
  readonly connected: Mailbox<EventParams<'onConnected'>>;
  readonly disconnected: Mailbox<EventParams<'onDisconnected'>>;
  readonly messages: Mailbox<EventParams<'onMessage'>>;
  readonly reconnecting: Mailbox<EventParams<'onReconnecting'>>;
  readonly states: Mailbox<EventParams<'onStateChanged'>>;
  readonly errors: Mailbox<EventParams<'onError'>>;

  constructor(options: NodeWebSocketClientOptions) {
    const connected = new Mailbox<EventParams<'onConnected'>>('onConnected');
    const disconnected = new Mailbox<EventParams<'onDisconnected'>>('onDisconnected');
    const messages = new Mailbox<EventParams<'onMessage'>>('onMessage');
    const reconnecting = new Mailbox<EventParams<'onReconnecting'>>('onReconnecting');
    const states = new Mailbox<EventParams<'onStateChanged'>>('onStateChanged');
    const errors = new Mailbox<EventParams<'onError'>>('onError');
    super({
      pingIntervalMs: false,
      reconnect: { minDelayMs: 5, maxDelayMs: 20 },
      ...options,
      events: {
        onConnected: (params) => connected.put(params),
        onDisconnected: (params) => disconnected.put(params),
        onMessage: (params) => messages.put(params),
        onReconnecting: (params) => reconnecting.put(params),
        onStateChanged: (params) => states.put(params),
        onError: (params) => errors.put(params),
        ...options.events,
      },
    });
    this.connected = connected;
    this.disconnected = disconnected;
    this.messages = messages;
    this.reconnecting = reconnecting;
    this.states = states;
    this.errors = errors;
    opened.push(() => this.disconnect());
  }

  get stateNames(): string[] {
    return this.states.all.map(({ state }) => state);
  }

  async until(state: string): Promise<void> {
    if (this.state !== state) await this.states.future((change) => change.state === state);
  }
}

const opened: (() => unknown)[] = [];

/** Runs at the end of a test, the latest first. */
export function onCleanUp(run: () => unknown): void {
  opened.push(run);
}

const stray: unknown[] = [];
process.on('unhandledRejection', (reason) => stray.push(reason));

/** @throws what nobody caught during the test: a client must not leave a rejection behind. */
export async function cleanUp(): Promise<void> {
  while (opened.length > 0) await opened.pop()?.();
  await new Promise(setImmediate);
  if (stray.length > 0) throw new AggregateError(stray.splice(0), 'Unhandled rejections');
}

/** A scripted server that the test's end stops. */
export async function startServer(): Promise<ScriptedServer> {
  const server = await ScriptedServer.start();
  onCleanUp(() => server.stop());
  return server;
}

/** A connected client and the server's end of its connection. */
export async function connect(
  server: ScriptedServer,
  options: Partial<NodeWebSocketClientOptions> = {},
): Promise<{ client: TestClient; peer: Peer }> {
  const client = new TestClient({ url: server.url, ...options });
  await client.connectToServer();
  return { client, peer: await server.peers.take() };
}

/** A client of a real server, behind a proxy that can delay and cut, and back at once. */
export async function connectThroughProxy(port: number): Promise<{ client: WebSocketClient; proxy: TcpProxy }> {
  const proxy = await TcpProxy.start(port);
  onCleanUp(() => proxy.stop());
  const client = new WebSocketClient({
    url: `${proxy.httpUrl}/ws`,
    pingIntervalMs: false,
    reconnect: { minDelayMs: 1, maxDelayMs: 4 },
    events: { onError: () => undefined },
  });
  onCleanUp(() => client.disconnect());
  await client.connectToServer();
  return { client, proxy };
}

/** The machine sleeps: the wall clock goes on, and nothing else does. @returns wakes it for good */
export function sleepFor(ms: number): () => void {
  const { now } = Date;
  Date.now = () => now() + ms;
  const restore = (): void => void (Date.now = now);
  onCleanUp(restore);
  return restore;
}

/** For "nothing comes": long enough for a wrong frame or attempt to show itself on this machine. */
export const aMoment = (ms = 60): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((give) => (resolve = give));
  return { promise, resolve };
}
