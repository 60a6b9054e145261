import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer as WS } from 'ws';
import type { Authentication } from '../auth/authentication.js';
import type { Identity } from '../auth/identity.js';
import { identityOfGuards, userForGuards } from '../auth/guarded-identity.js';
import { redactError, redactUrl, tokensIn } from '../auth/tokens.js';
import type { Clock } from '../clock.js';
import { InvalidStateError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { ConnectPipeline, Denial } from './connect-pipeline.js';
import { describeError } from '../routing/describe-error.js';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import { declineUnfit } from './extension-offers.js';
import type { HandshakeChecks } from './handshake-checks.js';
import { TIMED_OUT } from '../deadline.js';
import { whileWaiting } from './while-waiting.js';
import { badHandshake, NOBODY, Refusal, refusalOf, refusalOfDenial, STOPPING, TOO_SLOW } from './refusal.js';
import type { Refusals } from './refusals.js';
import type { ServerSocket } from '../connection/server-socket.js';

/** The client sends its token in a first message, after the upgrade. */
export const AWAITED = Symbol('awaited');

/** Who connects; null for an anonymous client. */
export type Admitted = Identity | null | typeof AWAITED;

export interface UpgradeParts {
  readonly options: Pick<ResolvedOptions, 'auth' | 'connect' | 'messages'>;
  readonly checks: HandshakeChecks;
  readonly refusals: Refusals;
  /** Undefined without the option `auth`. */
  readonly authentication: Authentication | undefined;
  accepted(ws: ServerSocket, socket: Duplex, request: UpgradeRequest, admitted: Admitted): void;
  /** Undefined where there are none. */
  readonly guards: ConnectPipeline | undefined;
  readonly clock: Clock;
  failed(error: unknown, place: string): void;
}

/** A handshake under way. */
interface Pending {
  readonly request: IncomingMessage;
  /** Bytes written to the socket before the request. If there are more later, another listener has answered. */
  readonly bytesWritten: number | undefined;
  readonly interfered: () => void;
}

/** Accepts or refuses the upgrade requests of our path. */
export class UpgradeGate {
  readonly #pending = new Map<Duplex, Pending>();
  #isStopping = false;

  constructor(
    private readonly wss: WS,
    private readonly parts: UpgradeParts,
  ) {
    wss.on('wsClientError', (error, socket, request) =>
      parts.refusals.refuse(request, socket, badHandshake(error, request)),
    );
  }

  /**
   * For the `upgrade` event of the HTTP server. Never throws, never rejects.
   * @param interfered called when another listener answered or closed the socket
   */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer, interfered: () => void): void {
    // Node removes its own error listener at the upgrade. Without one, a reset would end the process.
    socket.on('error', () => socket.destroy());
    this.#pending.set(socket, { request, bytesWritten: bytesWrittenTo(socket), interfered });
    socket.once('close', () => this.#pending.delete(socket));
    this.#decide(request as UpgradeRequest, socket, head).catch((error: unknown) => {
      this.parts.failed(error, 'the upgrade');
      this.#refuse(socket, new Refusal(500, ErrorCode.Internal, 'Something went wrong on the server.'));
    });
  }

  /** Refuses every handshake that is under way, and later ones. */
  stop(): void {
    this.#isStopping = true;
    for (const socket of this.#pending.keys()) this.#refuse(socket, STOPPING);
  }

  #refuse(socket: Duplex, refusal: Refusal): void {
    const pending = this.#pending.get(socket);
    if (!pending || !this.#isOurs(socket)) return;
    this.#pending.delete(socket);
    this.parts.refusals.refuse(pending.request, socket, refusal);
  }

  /** False once another listener has answered: then the socket is no longer ours. */
  #isOurs(socket: Duplex): boolean {
    const pending = this.#pending.get(socket);
    if (!pending) return false;
    if (bytesWrittenTo(socket) === pending.bytesWritten && socket.listenerCount('data') === 0) return true;
    this.#pending.delete(socket);
    pending.interfered();
    return false;
  }

  async #decide(request: UpgradeRequest, socket: Duplex, head: Buffer): Promise<void> {
    await Promise.resolve(); // let all other listeners of this upgrade run first
    if (!this.#isOurs(socket)) return;
    if (socket.destroyed || socket.writableEnded) return this.#pending.get(socket)?.interfered();
    const refusal = this.#isStopping ? STOPPING : this.parts.checks.refusalOf(request, socket, this.#pending.size);
    if (refusal) return this.#refuse(socket, refusal);
    const identified = await this.#authenticate(request, socket);
    const admitted = identified instanceof Refusal ? identified : await this.#guard(request, socket, identified);
    if (socket.destroyed || socket.writableEnded || !this.#isOurs(socket)) return;
    if (admitted instanceof Refusal) return this.#refuse(socket, admitted);
    const late = this.parts.checks.lateRefusalOf(admitted === AWAITED ? null : admitted, this.#pending.size);
    if (late) return this.#refuse(socket, late);
    if (this.parts.authentication ?? this.parts.guards) request.url = redactUrl(request.url ?? ''); // hooks may log it
    declineUnfit(request, this.parts.options.messages.perMessageDeflate);
    socket.cork(); // the answer to the upgrade and the greeting are one write
    this.wss.handleUpgrade(request, socket, head, (ws) => {
      this.#pending.delete(socket);
      this.parts.accepted(ws as ServerSocket, socket, request, admitted);
    });
    socket.uncork();
  }

  async #authenticate(request: UpgradeRequest, socket: Duplex): Promise<Admitted | Refusal> {
    const { auth } = this.parts.options;
    const { authentication } = this.parts;
    if (!auth) return null;
    if (!authentication)
      throw new InvalidStateError(
        "load() failed, so clients can't be authenticated. Correct the error that it reported.",
      );
    const found = await this.#inTime(request, socket, { name: 'auth.authenticate', timeoutMs: auth.timeoutMs }, () =>
      authentication.authenticate(request),
    );
    if (found !== null) return found;
    if (authentication.takesFirstMessage) return AWAITED;
    return auth.required ? NOBODY : null;
  }

  /** Guards may refuse. Without authentication they may set the user; with authentication they can't change it. */
  async #guard(request: UpgradeRequest, socket: Duplex, admitted: Admitted): Promise<Admitted | Refusal> {
    const { guards } = this.parts;
    if (!guards || socket.destroyed || socket.writableEnded) return admitted;
    const { auth, connect } = this.parts.options;
    const step = { name: 'connect.guards', timeoutMs: connect.timeoutMs };
    request.user = userForGuards(admitted === AWAITED ? null : admitted);
    const decided = await this.#inTime(request, socket, step, async (signal): Promise<Admitted | Refusal> => {
      const denial = await guards.refuses(request, signal);
      if (denial) return this.#denied(request, denial);
      return auth ? admitted : identityOfGuards(request.user, this.parts.clock.wall());
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
    this.parts.failed(redactError(error, tokensIn(request, this.parts.options.auth?.cookieName)), place);
  }

  async #inTime<T>(
    request: UpgradeRequest,
    socket: Duplex,
    { name, timeoutMs }: { name: string; timeoutMs: number },
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | Refusal> {
    try {
      const found = await whileWaiting(socket, this.parts.clock, timeoutMs, work);
      return found === TIMED_OUT ? TOO_SLOW : found;
    } catch (error) {
      if (!describeError(error).isMeantForPeer) this.#report(request, error, name);
      return refusalOf(error);
    }
  }
}

/** Bytes written to an HTTP socket, earlier answers included. */
const bytesWrittenTo = (socket: Duplex & { bytesWritten?: number }): number | undefined => socket.bytesWritten;
