import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { WebSocketServer as WS } from 'ws';
import { AUTH } from '../auth/auth-options.js';
import type { Authentication } from '../auth/authentication.js';
import type { Clock } from '../clock.js';
import { cutAfterGrace } from '../connection/closing.js';
import type { Connections } from '../connection/connections.js';
import { hostReader } from '../limits/client-address.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { CloseCode } from '../protocol/close-codes.js';
import type { PathPattern } from '../protocol/path-pattern.js';
import type { ConnectionLimits } from './connection-limits.js';
import type { ConnectPipeline } from './connect-pipeline.js';
import { FirstMessages } from './first-messages.js';
import { HandshakeChecks } from './handshake-checks.js';
import { IdleSockets } from './idle-sockets.js';
import type { Refusals } from './refusals.js';
import { AWAITED, UpgradeGate } from './upgrade-gate.js';
import { UpgradeListener } from './upgrade-listener.js';

export interface EntranceParts {
  readonly options: ResolvedOptions;
  readonly path: PathPattern;
  readonly limits: ConnectionLimits;
  readonly refusals: Refusals;
  readonly connections: Connections;
  readonly clock: Clock;
  addressOf(request: IncomingMessage): string | undefined;
  failed(error: unknown, place: string): void;
}

/** Turns upgrade requests into accepted connections. Some must first send a message with a token. */
export class Entrance {
  readonly listener: UpgradeListener;
  #firstMessages: FirstMessages | undefined;

  constructor(private readonly parts: EntranceParts) {
    this.listener = new UpgradeListener(parts.path, parts.refusals);
  }

  /**
   * @param authentication undefined if clients needn't authenticate
   * @param guards undefined without guards
   * @returns the sockets of the HTTP server that aren't upgraded
   */
  open(
    httpServer: HttpServer,
    wss: WS,
    authentication: Authentication | undefined,
    guards: ConnectPipeline | undefined,
  ): IdleSockets {
    const { connections, options, path, limits, addressOf, refusals, clock, failed } = this.parts;
    const firstMessages = (this.#firstMessages = this.#awaitFirstMessages(authentication));
    const checks = new HandshakeChecks({
      options,
      path,
      limits,
      authentication,
      addressOf,
      hostOf: hostReader(options.trustProxy),
      connections: () => connections.open.size + firstMessages.size,
    });
    const gate = new UpgradeGate(wss, {
      options,
      checks,
      refusals,
      authentication,
      guards,
      clock,
      accepted: (ws, socket, request, admitted) => {
        if (admitted === AWAITED) firstMessages.add(ws, socket, request);
        else connections.accept(ws, socket, request, admitted);
      },
      failed,
    });
    const idle = new IdleSockets(httpServer);
    this.listener.attach(httpServer, gate, idle);
    return idle;
  }

  /** Refuses handshakes from now on, and ends those under way. Call `listener.detach()` when no more can come. */
  close(): void {
    this.listener.close();
    this.#firstMessages?.stop();
  }

  #awaitFirstMessages(authentication: Authentication | undefined): FirstMessages {
    const { options, limits, connections, clock, failed } = this.parts;
    return new FirstMessages({
      timeoutMs: options.auth?.timeoutMs ?? AUTH.timeoutMs.default,
      maxDepth: options.messages.maxDepth,
      maxPayload: options.messages.maxPayload,
      limits: options.limits,
      authentication,
      clock,
      admit: (ws, socket, request, identity) => {
        const isFull = limits.isUserFull(identity.user.userId);
        if (isFull) ws.close(CloseCode.OverCapacity, 'too many connections of this user');
        if (isFull) cutAfterGrace(ws, clock);
        else connections.accept(ws, socket, request, identity).hasSpoken = true;
        return !isFull;
      },
      failed,
    });
  }
}
