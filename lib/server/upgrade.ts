import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer as WS } from 'ws';
import type { Authentication } from '../auth/authentication.js';
import type { Identity } from '../auth/identity.js';
import { OriginCheck } from '../auth/origins.js';
import { redactError, redactUrl, tokensIn } from '../auth/tokens.js';
import { InvalidStateError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ConnectionLimits } from '../limits/connection-limits.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { describeError } from '../routing/error-frame.js';
import { badHandshake, NOBODY, refuse, Refusal, refusalOf, STOPPING } from './refusal.js';
import type { ServerSocket } from './server-socket.js';

/** Whose token comes in a first message, after the upgrade. */
export const AWAITED = Symbol('awaited');

/** Who connects: null for somebody anonymous. */
export type Admitted = Identity | null | typeof AWAITED;

export interface UpgradeHost {
  readonly options: Pick<ResolvedOptions, 'path' | 'host' | 'origins' | 'auth' | 'maxConnections'>;
  readonly limits: ConnectionLimits;
  addressOf(request: IncomingMessage): string | undefined;
  connections(): number;
  accepted(ws: ServerSocket, socket: Duplex, request: IncomingMessage, admitted: Admitted): void;
  /** Undefined where nobody has to say who they are. */
  authentication(): Authentication | undefined;
  failed(error: unknown, place: string): void;
}

/** Decides about upgrade requests of our path, and leaves every other to its owner. */
export class UpgradeGate {
  readonly #pending = new Set<Duplex>();
  readonly #origins: OriginCheck;
  #isStopping = false;

  constructor(
    private readonly wss: WS,
    private readonly host: UpgradeHost,
  ) {
    this.#origins = new OriginCheck(host.options.origins, host.options.host);
    wss.on('wsClientError', (error, socket, request) => refuse(socket, badHandshake(error, request)));
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
      refuse(socket, new Refusal(500, ErrorCode.Internal, 'Something went wrong on the server.'));
    });
  };

  /** Ends every handshake that is still under way, and refuses those to come. */
  stop(): void {
    this.#isStopping = true;
    for (const socket of this.#pending) refuse(socket, STOPPING);
  }

  async #decide(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const refusal = this.#isStopping ? STOPPING : this.#check(request, socket);
    if (refusal) return refuse(socket, refusal);
    const admitted = await this.#authenticate(request, socket);
    if (socket.destroyed || socket.writableEnded) return;
    if (admitted instanceof Refusal) return refuse(socket, admitted);
    const late = this.#checkCapacity() ?? this.#checkUser(admitted);
    if (late) return refuse(socket, late);
    if (this.host.authentication()) request.url = redactUrl(request.url ?? ''); // hooks may log it
    this.wss.handleUpgrade(request, socket, head, (ws) => {
      this.#pending.delete(socket);
      this.host.accepted(ws as ServerSocket, socket, request, admitted);
    });
  }

  #check(request: IncomingMessage, socket: Duplex): Refusal | undefined {
    return this.#checkAddress(request, socket) ?? this.#checkHeaders(request) ?? this.#checkCapacity();
  }

  /** Before all else: a refused handshake costs something, too. */
  #checkAddress(request: IncomingMessage, socket: Duplex): Refusal | undefined {
    const over = this.host.limits.admit(this.host.addressOf(request), socket);
    if (!over) return undefined;
    if (over.kind === 'connections')
      return new Refusal(429, ErrorCode.ConnectionLimit, 'There are too many connections from your address.');
    return new Refusal(429, ErrorCode.RateLimited, 'Too many attempts to connect from your address. Try again later.', {
      'Retry-After': String(Math.ceil(over.retryAfterMs / 1_000)),
    });
  }

  /** Nothing may be awaited between this and the upgrade: of several at once all would pass. */
  #checkUser(admitted: Admitted): Refusal | undefined {
    if (admitted === null || admitted === AWAITED) return undefined;
    if (!this.host.limits.isUserFull(admitted.user.userId)) return undefined;
    return new Refusal(429, ErrorCode.ConnectionLimit, 'You have too many connections. Close one first.');
  }

  #checkHeaders(request: IncomingMessage): Refusal | undefined {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      return new Refusal(426, ErrorCode.UpgradeRequired, 'This path speaks WebSocket only.');
    }
    if (!this.#isOriginAllowed(request)) {
      return new Refusal(403, ErrorCode.OriginForbidden, 'Pages of this origin may not connect.');
    }
    return undefined;
  }

  #checkCapacity(): Refusal | undefined {
    // Those under way count, this one among them: a flood of handshakes must not pass before the first is through.
    if (this.host.connections() + this.#pending.size <= this.host.options.maxConnections) return undefined;
    return new Refusal(503, ErrorCode.OverCapacity, 'The server is full. Try again later.');
  }

  /** RFC 6455 section 10.2: a browser always sends `Origin`, so an absent one is no browser's, unless it hides it. */
  #isOriginAllowed(request: IncomingMessage): boolean {
    const { origin } = request.headers;
    if (origin === undefined) return this.host.authentication()?.reliesOnCookies(request) !== true;
    return this.#origins.allows(origin, request);
  }

  async #authenticate(request: IncomingMessage, socket: Duplex): Promise<Admitted | Refusal> {
    const { auth } = this.host.options;
    const authentication = this.host.authentication();
    if (!auth) return null;
    if (!authentication) throw new InvalidStateError('load() failed, so nobody can be told apart. Mend what it said.');
    const found = await this.#inTime(request, socket, auth.timeoutMs, () => authentication.authenticate(request));
    if (found !== null) return found;
    if (authentication.takesFirstMessage) return AWAITED;
    return auth.required ? NOBODY : null;
  }

  /** Waits no longer than the peer does: a socket that closes leaves no timer and nothing in memory. */
  async #inTime<T>(
    request: IncomingMessage,
    socket: Duplex,
    timeoutMs: number,
    work: () => Promise<T>,
  ): Promise<T | Refusal> {
    const unavailable = new Refusal(503, ErrorCode.Unavailable, 'Authentication took too long. Try again.');
    let giveUp!: () => void;
    const ended = new Promise<Refusal>((resolve) => (giveUp = () => resolve(unavailable)));
    const timer = setTimeout(giveUp, timeoutMs);
    socket.once('close', giveUp);
    const stopWatching = destroyAtEnd(socket);
    try {
      return await Promise.race([work(), ended]);
    } catch (error) {
      if (!describeError(error).isMeantForPeer)
        this.host.failed(
          redactError(error, tokensIn(request, this.host.options.auth?.cookieName)),
          'auth.authenticate',
        );
      return refusalOf(error);
    } finally {
      clearTimeout(timer);
      socket.off('close', giveUp);
      stopWatching();
    }
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
