import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer as WS } from 'ws';
import type { Authentication } from '../auth/authentication.js';
import type { Identity } from '../auth/identity.js';
import { identityOfGuards, userForGuards } from '../auth/guarded-identity.js';
import { OriginCheck } from '../auth/origins.js';
import { redactError, redactUrl, tokensIn } from '../auth/tokens.js';
import { InvalidStateError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ConnectionLimits } from './connection-limits.js';
import type { PathPattern } from '../protocol/path-pattern.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { ConnectPipeline, Denial } from './connect-pipeline.js';
import { describeError } from '../routing/describe-error.js';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import { declineUnfit } from './extension-offers.js';
import { pathOf, takeAbsoluteForm } from './upgrade-path.js';
import { TIMED_OUT } from '../deadline.js';
import { whileWaiting } from './while-waiting.js';
import { badHandshake, NOBODY, Refusal, refusalOf, refusalOfDenial, STOPPING, TOO_SLOW } from './refusal.js';
import type { Refusals } from './refusals.js';
import type { ServerSocket } from '../connection/server-socket.js';

/** Whose token comes in a first message, after the upgrade. */
export const AWAITED = Symbol('awaited');

/** Who connects: null for somebody anonymous. */
export type Admitted = Identity | null | typeof AWAITED;

const BEHIND_A_PROXY = 'Behind a proxy set "trustProxy", or all of its clients have one address.';

export interface UpgradeHost {
  readonly options: Pick<ResolvedOptions, 'host' | 'origins' | 'auth' | 'connect' | 'maxConnections' | 'messages'>;
  readonly path: PathPattern;
  readonly limits: ConnectionLimits;
  readonly refusals: Refusals;
  addressOf(request: IncomingMessage): string | undefined;
  /** What the browser was told to connect to. */
  hostOf(request: IncomingMessage): string | undefined;
  connections(): number;
  accepted(ws: ServerSocket, socket: Duplex, request: UpgradeRequest, admitted: Admitted): void;
  /** Undefined where nobody has to say who they are. */
  readonly authentication: Authentication | undefined;
  /** Undefined where there are none. */
  readonly guards: ConnectPipeline | undefined;
  failed(error: unknown, place: string): void;
}

/** A handshake under way. */
interface Pending {
  readonly request: IncomingMessage;
  /** When it came: more would be somebody else's. */
  readonly bytesWritten: number | undefined;
  readonly interfered: () => void;
}

/** Decides about the upgrade requests of our path. */
export class UpgradeGate {
  readonly #pending = new Map<Duplex, Pending>();
  readonly #origins: OriginCheck;
  #isStopping = false;

  constructor(
    private readonly wss: WS,
    private readonly host: UpgradeHost,
  ) {
    this.#origins = new OriginCheck(host.options.origins, host.options.host, host.hostOf);
    wss.on('wsClientError', (error, socket, request) =>
      host.refusals.refuse(request, socket, badHandshake(error, request)),
    );
  }

  /**
   * For the HTTP server's `upgrade` event. Never throws, never rejects.
   * @param interfered hears that another listener took the socket, or ended it
   */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer, interfered: () => void): void {
    // Node removes its own listener at the upgrade: without one, a reset would end the process.
    socket.on('error', () => socket.destroy());
    this.#pending.set(socket, { request, bytesWritten: bytesWrittenTo(socket), interfered });
    socket.once('close', () => this.#pending.delete(socket));
    this.#decide(request as UpgradeRequest, socket, head).catch((error: unknown) => {
      this.host.failed(error, 'the upgrade');
      this.#refuse(socket, new Refusal(500, ErrorCode.Internal, 'Something went wrong on the server.'));
    });
  }

  /** Ends every handshake that is still under way, and refuses those to come. */
  stop(): void {
    this.#isStopping = true;
    for (const socket of this.#pending.keys()) this.#refuse(socket, STOPPING);
  }

  #refuse(socket: Duplex, refusal: Refusal): void {
    const pending = this.#pending.get(socket);
    if (!pending || !this.#isOurs(socket)) return;
    this.#pending.delete(socket);
    this.host.refusals.refuse(pending.request, socket, refusal);
  }

  /** What another listener has answered is no longer ours to answer, nor to cut. */
  #isOurs(socket: Duplex): boolean {
    const pending = this.#pending.get(socket);
    if (!pending) return false;
    if (bytesWrittenTo(socket) === pending.bytesWritten && socket.listenerCount('data') === 0) return true;
    this.#pending.delete(socket);
    pending.interfered();
    return false;
  }

  async #decide(request: UpgradeRequest, socket: Duplex, head: Buffer): Promise<void> {
    await Promise.resolve(); // every other listener for this upgrade has been called by then
    if (!this.#isOurs(socket)) return;
    if (socket.destroyed || socket.writableEnded) return this.#pending.get(socket)?.interfered();
    const refusal = this.#isStopping ? STOPPING : this.#check(request, socket);
    if (refusal) return this.#refuse(socket, refusal);
    const identified = await this.#authenticate(request, socket);
    const admitted = identified instanceof Refusal ? identified : await this.#guard(request, socket, identified);
    if (socket.destroyed || socket.writableEnded || !this.#isOurs(socket)) return;
    if (admitted instanceof Refusal) return this.#refuse(socket, admitted);
    const late = this.#checkCapacity() ?? this.#checkUser(admitted);
    if (late) return this.#refuse(socket, late);
    if (this.host.authentication ?? this.host.guards) request.url = redactUrl(request.url ?? ''); // hooks may log it
    declineUnfit(request, this.host.options.messages.perMessageDeflate);
    socket.cork(); // the answer to the upgrade and the greeting are one write
    this.wss.handleUpgrade(request, socket, head, (ws) => {
      this.#pending.delete(socket);
      this.host.accepted(ws as ServerSocket, socket, request, admitted);
    });
    socket.uncork();
  }

  #check(request: UpgradeRequest, socket: Duplex): Refusal | undefined {
    return (
      this.#checkAddress(request, socket) ??
      this.#checkPath(request) ??
      this.#checkHeaders(request) ??
      this.#checkCapacity()
    );
  }

  #checkPath(request: UpgradeRequest): Refusal | undefined {
    if (!takeAbsoluteForm(request))
      return new Refusal(400, ErrorCode.BadRequest, 'The request target names no host and port.');
    const params = this.host.path.read(pathOf(request));
    if (!params) return new Refusal(400, ErrorCode.BadRequest, 'The path is not encoded as a URL is.');
    request.params = params;
    return undefined;
  }

  /** Before all else: a refused handshake costs something, too. */
  #checkAddress(request: UpgradeRequest, socket: Duplex): Refusal | undefined {
    request.ip = this.host.addressOf(request);
    const over = this.host.limits.admit(request.ip, socket);
    if (!over) return undefined;
    if (over.kind === 'connections')
      return new Refusal(
        429,
        ErrorCode.ConnectionLimit,
        'There are too many connections from your address.',
        {},
        {
          remedy: `"limits.connectionsPerIp" says how many may be. ${BEHIND_A_PROXY}`,
        },
      );
    return new Refusal(
      429,
      ErrorCode.RateLimited,
      'Too many attempts to connect from your address. Try again later.',
      {
        'Retry-After': String(Math.ceil(over.retryAfterMs / 1_000)),
      },
      { remedy: `"limits.handshakesPerIp" says how fast. ${BEHIND_A_PROXY}` },
    );
  }

  /** Nothing may be awaited between this and the upgrade: of several at once all would pass. */
  #checkUser(admitted: Admitted): Refusal | undefined {
    if (admitted === null || admitted === AWAITED) return undefined;
    if (!this.host.limits.isUserFull(admitted.user.userId)) return undefined;
    return new Refusal(
      429,
      ErrorCode.ConnectionLimit,
      'You have too many connections. Close one first.',
      {},
      {
        remedy: '"limits.connectionsPerUser" says how many a user may have.',
      },
    );
  }

  #checkHeaders(request: UpgradeRequest): Refusal | undefined {
    // RFC 6455 section 4.1: HTTP/1.1 or higher. Neither Node nor ws looks.
    if (Number(request.httpVersion) < 1.1) return new Refusal(400, ErrorCode.BadRequest, 'A WebSocket needs HTTP/1.1.');
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      return new Refusal(426, ErrorCode.UpgradeRequired, 'This path speaks WebSocket only.');
    }
    return this.#checkOrigin(request);
  }

  #checkCapacity(): Refusal | undefined {
    // Those under way count, this one among them: a flood of handshakes must not pass before the first is through.
    if (this.host.connections() + this.#pending.size <= this.host.options.maxConnections) return undefined;
    return new Refusal(
      503,
      ErrorCode.OverCapacity,
      'The server is full. Try again later.',
      {},
      {
        remedy: `"maxConnections" is ${this.host.options.maxConnections}: raise it, or start more processes.`,
      },
    );
  }

  /** RFC 6455 section 10.2: a browser always sends `Origin`, so an absent one is no browser's, unless it hides it. */
  #checkOrigin(request: UpgradeRequest): Refusal | undefined {
    const { origin } = request.headers;
    if (origin !== undefined) {
      if (this.#origins.allows(origin, request)) return undefined;
      const remedy = this.#origins.remedyFor(origin, request);
      return new Refusal(403, ErrorCode.OriginForbidden, 'Pages of this origin may not connect.', {}, { remedy });
    }
    if (this.host.authentication?.reliesOnCookies(request) !== true) return undefined;
    return new Refusal(403, ErrorCode.OriginForbidden, 'A cookie authenticates, so the request needs an Origin.');
  }

  async #authenticate(request: UpgradeRequest, socket: Duplex): Promise<Admitted | Refusal> {
    const { auth } = this.host.options;
    const { authentication } = this.host;
    if (!auth) return null;
    if (!authentication) throw new InvalidStateError('load() failed, so nobody can be told apart. Mend what it said.');
    const found = await this.#inTime(request, socket, { name: 'auth.authenticate', timeoutMs: auth.timeoutMs }, () =>
      authentication.authenticate(request),
    );
    if (found !== null) return found;
    if (authentication.takesFirstMessage) return AWAITED;
    return auth.required ? NOBODY : null;
  }

  /** Guards may refuse, and say who it is where nobody else does; they can't change who authentication says it is. */
  async #guard(request: UpgradeRequest, socket: Duplex, admitted: Admitted): Promise<Admitted | Refusal> {
    const { guards } = this.host;
    if (!guards || socket.destroyed || socket.writableEnded) return admitted;
    const { auth, connect } = this.host.options;
    const step = { name: 'connect.guards', timeoutMs: connect.timeoutMs };
    request.user = userForGuards(admitted === AWAITED ? null : admitted);
    const decided = await this.#inTime(request, socket, step, async (signal): Promise<Admitted | Refusal> => {
      const denial = await guards.refuses(request, signal);
      if (denial) return this.#denied(request, denial);
      return auth ? admitted : identityOfGuards(request.user);
    });
    if (!(decided instanceof Refusal)) request.user = userForGuards(decided === AWAITED ? null : decided);
    return decided;
  }

  #denied(request: UpgradeRequest, denial: Denial): Refusal {
    if (!denial.response.headersSent && !describeError(denial.error).isMeantForPeer)
      this.#report(request, denial.error, 'connect.guards');
    return refusalOfDenial(denial);
  }

  #report(request: UpgradeRequest, error: unknown, place: string): void {
    this.host.failed(redactError(error, tokensIn(request, this.host.options.auth?.cookieName)), place);
  }

  async #inTime<T>(
    request: UpgradeRequest,
    socket: Duplex,
    { name, timeoutMs }: { name: string; timeoutMs: number },
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | Refusal> {
    try {
      const found = await whileWaiting(socket, timeoutMs, work);
      return found === TIMED_OUT ? TOO_SLOW : found;
    } catch (error) {
      if (!describeError(error).isMeantForPeer) this.#report(request, error, name);
      return refusalOf(error);
    }
  }
}

/** Of an HTTP socket; what an answer before this request took counts, too. */
const bytesWrittenTo = (socket: Duplex & { bytesWritten?: number }): number | undefined => socket.bytesWritten;
