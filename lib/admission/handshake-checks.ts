import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Authentication } from '../auth/authentication.js';
import type { Identity } from '../auth/identity.js';
import { OriginCheck } from '../auth/origins.js';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { PathPattern } from '../protocol/path-pattern.js';
import type { ConnectionLimits } from './connection-limits.js';
import { Refusal } from './refusal.js';
import { pathOf, takeAbsoluteForm } from './upgrade-path.js';

export interface HandshakeCheckParts {
  readonly options: Pick<ResolvedOptions, 'host' | 'origins' | 'maxConnections'>;
  readonly path: PathPattern;
  readonly limits: ConnectionLimits;
  /** Undefined without the option `auth`. */
  readonly authentication: Authentication | undefined;
  addressOf(request: IncomingMessage): string | undefined;
  /** The host that the browser connects to. */
  hostOf(request: IncomingMessage): string | undefined;
  connections(): number;
}

const BEHIND_A_PROXY = 'Behind a proxy, set "trustProxy"; otherwise all clients have the address of the proxy.';

/** Checks that come before authentication: address, path, headers, origin, and whether the server is full. */
export class HandshakeChecks {
  readonly #origins: OriginCheck;

  constructor(private readonly parts: HandshakeCheckParts) {
    this.#origins = new OriginCheck(parts.options.origins, parts.options.host, parts.hostOf);
  }

  /** @param pending the handshakes under way, this one included */
  refusalOf(request: UpgradeRequest, socket: Duplex, pending: number): Refusal | undefined {
    return (
      this.#checkAddress(request, socket) ??
      this.#checkPath(request) ??
      this.#checkHeaders(request) ??
      this.#checkOrigin(request) ??
      this.#checkCapacity(pending)
    );
  }

  /** Nothing may be awaited between this and the upgrade: otherwise several handshakes at once would all pass. */
  lateRefusalOf(identity: Identity | null, pending: number): Refusal | undefined {
    return this.#checkCapacity(pending) ?? this.#checkUser(identity);
  }

  #checkPath(request: UpgradeRequest): Refusal | undefined {
    if (!takeAbsoluteForm(request))
      return new Refusal(400, ErrorCode.BadRequest, 'The request target has no valid host.');
    const params = this.parts.path.read(pathOf(request));
    if (!params) return new Refusal(400, ErrorCode.BadRequest, 'The path is not a valid URL path.');
    request.params = params;
    return undefined;
  }

  /** The first check: refused handshakes count, too. */
  #checkAddress(request: UpgradeRequest, socket: Duplex): Refusal | undefined {
    request.ip = this.parts.addressOf(request);
    const over = this.parts.limits.admit(request.ip, socket);
    if (!over) return undefined;
    if (over.kind === 'connections')
      return new Refusal(
        429,
        ErrorCode.ConnectionLimit,
        'There are too many connections from your address.',
        {},
        {
          remedy: `The limit is "limits.connectionsPerIp". ${BEHIND_A_PROXY}`,
        },
      );
    return new Refusal(
      429,
      ErrorCode.RateLimited,
      'Too many attempts to connect from your address. Try again later.',
      {
        'Retry-After': String(Math.ceil(over.retryAfterMs / 1_000)),
      },
      { remedy: `The limit is "limits.handshakesPerIp". ${BEHIND_A_PROXY}` },
    );
  }

  #checkUser(identity: Identity | null): Refusal | undefined {
    if (!identity || !this.parts.limits.isUserFull(identity.user.userId)) return undefined;
    return new Refusal(
      429,
      ErrorCode.ConnectionLimit,
      'You have too many connections. Close one first.',
      {},
      {
        remedy: 'The limit is "limits.connectionsPerUser".',
      },
    );
  }

  #checkHeaders(request: UpgradeRequest): Refusal | undefined {
    // RFC 6455 section 4.1: HTTP/1.1 or higher. Neither Node nor ws checks it.
    if (Number(request.httpVersion) < 1.1) return new Refusal(400, ErrorCode.BadRequest, 'A WebSocket needs HTTP/1.1.');
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
      return new Refusal(426, ErrorCode.UpgradeRequired, 'This path accepts only WebSocket connections.');
    }
    return undefined;
  }

  #checkCapacity(pending: number): Refusal | undefined {
    // Handshakes under way count: a flood of them must not pass before the first is through.
    if (this.parts.connections() + pending <= this.parts.options.maxConnections) return undefined;
    return new Refusal(
      503,
      ErrorCode.OverCapacity,
      'The server is full. Try again later.',
      {},
      {
        remedy: `"maxConnections" is ${this.parts.options.maxConnections}: raise it, or start more processes.`,
      },
    );
  }

  /**
   * RFC 6455 section 10.2: browsers always send `Origin`. A request without it doesn't come from a browser, or hides it.
   */
  #checkOrigin(request: UpgradeRequest): Refusal | undefined {
    const { origin } = request.headers;
    if (origin !== undefined) {
      if (this.#origins.allows(origin, request)) return undefined;
      const remedy = this.#origins.remedyFor(origin, request);
      return new Refusal(403, ErrorCode.OriginForbidden, 'Pages of this origin may not connect.', {}, { remedy });
    }
    if (this.parts.authentication?.reliesOnCookies(request) !== true) return undefined;
    return new Refusal(
      403,
      ErrorCode.OriginForbidden,
      'The request has a cookie for authentication, so it needs an Origin.',
    );
  }
}
