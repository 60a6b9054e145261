import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket, WebSocketServer as WS } from 'ws';
import { HttpException } from '@nestjs/common';
import { ErrorCode } from '../protocol/error-codes.js';
import type { WebSocketUser } from '../protocol/message.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { describeError } from '../routing/error-frame.js';

/** Why an upgrade isn't taken: an HTTP status and what its JSON body says. */
class Refusal {
  /** Only an instance is a Refusal for the compiler, too: a look-alike would pass for a user. */
  protected readonly isRefusal = true;

  constructor(
    readonly status: number,
    readonly code: string,
    readonly error: string,
  ) {}
}

const STOPPING = new Refusal(503, ErrorCode.Unavailable, 'The server is stopping. Try again soon.');

const NOBODY = new Refusal(
  401,
  ErrorCode.Unauthenticated,
  'Say who you are: no valid credentials came with the request.',
);

export interface UpgradeHost {
  readonly options: Pick<ResolvedOptions, 'path' | 'host' | 'origins' | 'auth' | 'maxConnections'>;
  connections(): number;
  accepted(ws: WebSocket, request: IncomingMessage, user: WebSocketUser | null): void;
  failed(error: unknown, place: string): void;
}

/** Decides about upgrade requests of our path, and leaves every other to its owner. */
export class UpgradeGate {
  readonly #pending = new Set<Duplex>();
  #isStopping = false;

  constructor(
    private readonly wss: WS,
    private readonly host: UpgradeHost,
  ) {
    wss.on('wsClientError', (error, socket, request) => this.#refuse(socket, badHandshake(error, request)));
  }

  /** A listener for the HTTP server's `upgrade` event. Never throws, never rejects. */
  readonly handle = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (pathOf(request) !== this.host.options.path) return;
    // Node removes its own listener at the upgrade: without one, a reset would end the process.
    socket.on('error', () => socket.destroy());
    this.#pending.add(socket);
    socket.once('close', () => this.#pending.delete(socket));
    this.#decide(request, socket, head).catch((error: unknown) => {
      this.host.failed(error, 'the upgrade');
      this.#refuse(socket, new Refusal(500, ErrorCode.Internal, 'Something went wrong on the server.'));
    });
  };

  /** Ends every handshake that is still under way, and refuses those to come. */
  stop(): void {
    this.#isStopping = true;
    for (const socket of this.#pending) this.#refuse(socket, STOPPING);
  }

  async #decide(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const refusal = this.#isStopping ? STOPPING : (this.#checkHeaders(request) ?? this.#checkCapacity());
    if (refusal) return this.#refuse(socket, refusal);
    const user = await this.#authenticate(request, socket);
    if (socket.destroyed || socket.writableEnded) return;
    const late = user instanceof Refusal ? user : this.#checkCapacity();
    if (late) return this.#refuse(socket, late);
    this.wss.handleUpgrade(request, socket, head, (ws) => {
      this.#pending.delete(socket);
      this.host.accepted(ws, request, user as WebSocketUser | null);
    });
  }

  #checkHeaders(request: IncomingMessage): Refusal | undefined {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      return new Refusal(426, ErrorCode.UpgradeRequired, 'This path speaks WebSocket only.');
    }
    if (!isOriginAllowed(request, this.host.options)) {
      return new Refusal(403, ErrorCode.OriginForbidden, 'Pages of this origin may not connect.');
    }
    return undefined;
  }

  #checkCapacity(): Refusal | undefined {
    // Those under way count, this one among them: a flood of handshakes must not pass before the first is through.
    if (this.host.connections() + this.#pending.size <= this.host.options.maxConnections) return undefined;
    return new Refusal(503, ErrorCode.OverCapacity, 'The server is full. Try again later.');
  }

  /** Waits no longer than the peer does: a socket that closes leaves no timer and nothing in memory. */
  async #authenticate(request: IncomingMessage, socket: Duplex): Promise<WebSocketUser | Refusal | null> {
    const { auth } = this.host.options;
    if (!auth) return null;
    const unavailable = new Refusal(503, ErrorCode.Unavailable, 'Authentication took too long. Try again.');
    let giveUp!: () => void;
    const ended = new Promise<Refusal>((resolve) => (giveUp = () => resolve(unavailable)));
    const timer = setTimeout(giveUp, auth.timeoutMs);
    socket.once('close', giveUp);
    const stopWatching = destroyAtEnd(socket);
    try {
      const user = await Promise.race([auth.authenticate(request), ended]);
      if (user instanceof Refusal) return user;
      if (user) return checkUser(user);
      return auth.required ? NOBODY : null;
    } catch (error) {
      return this.#describe(error);
    } finally {
      clearTimeout(timer);
      socket.off('close', giveUp);
      stopWatching();
    }
  }

  #describe(error: unknown): Refusal {
    const { error: text, code, isMeantForPeer } = describeError(error);
    if (!isMeantForPeer) this.host.failed(error, 'auth.authenticate');
    const status = error instanceof HttpException ? error.getStatus() : 500;
    return new Refusal(status, code, text);
  }

  #refuse(socket: Duplex, { status, code, error }: Refusal): void {
    if (socket.destroyed || socket.writableEnded) return;
    const body = JSON.stringify({ code, error });
    const lines = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
      'Connection: close',
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(status === 426 ? ['Upgrade: websocket', 'Sec-WebSocket-Version: 13'] : []),
      ...(status === 503 ? ['Retry-After: 5'] : []),
    ];
    socket.once('finish', () => socket.destroy());
    socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  }
}

/** The path as it was sent: never decoded, never matched by its beginning. */
export function pathOf({ url = '' }: IncomingMessage): string {
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}

/** Nobody else listens for upgrades, so nobody else will answer this one. */
export function answerUnowned(socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
}

/** Nobody reads from the socket yet: unwatched, a peer that leaves would go unnoticed until we answer. */
function destroyAtEnd(socket: Duplex): () => void {
  const look = (): unknown => socket.read(0); // takes nothing; raises 'end' when nothing lies before it
  const leave = (): unknown => socket.destroy();
  socket.on('readable', look).once('end', leave);
  return () => socket.off('readable', look).off('end', leave);
}

/** A user without an id would count as authenticated and be nobody: better no connection than that. */
function checkUser(user: WebSocketUser): WebSocketUser {
  const { userId } = user;
  if ((typeof userId === 'string' && userId !== '') || Number.isFinite(userId)) return user;
  throw new TypeError('auth.authenticate must return { userId, payload } with a text or a number for userId, or null.');
}

/** RFC 6455 section 10.2: a browser always sends `Origin`, so an absent one is no browser's. */
function isOriginAllowed(request: IncomingMessage, { origins, host }: UpgradeHost['options']): boolean {
  const { origin } = request.headers;
  if (origin === undefined) return true;
  if (typeof origins === 'function') return origins(origin, request) === true; // a promise is no permission
  if (origins.includes('*') || origins.includes(origin)) return true;
  if (!URL.canParse(origin)) return false;
  const from = new URL(origin).host;
  return from !== '' && (from === request.headers.host?.toLowerCase() || from === host?.toLowerCase());
}

/** RFC 6455 section 4.4: a version we don't speak is answered with the one we do. */
function badHandshake(error: Error, request: IncomingMessage): Refusal {
  const isVersion = request.headers['sec-websocket-version'] !== '13' && error.message.includes('Version');
  return isVersion
    ? new Refusal(426, ErrorCode.UpgradeRequired, 'This server speaks WebSocket version 13.')
    : new Refusal(request.method === 'GET' ? 400 : 405, ErrorCode.BadRequest, `${error.message}.`);
}
