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

export interface CheckHost {
  readonly options: Pick<ResolvedOptions, 'host' | 'origins' | 'maxConnections'>;
  readonly path: PathPattern;
  readonly limits: ConnectionLimits;
  /** Undefined where nobody has to say who they are. */
  readonly authentication: Authentication | undefined;
  addressOf(request: IncomingMessage): string | undefined;
  /** The host that the browser connects to. */
  hostOf(request: IncomingMessage): string | undefined;
  connections(): number;
}

const BEHIND_A_PROXY = 'Behind a proxy set "trustProxy", or all of its clients have one address.';

/** What a handshake must be before anybody asks who it is from: its address, path, headers and origin, and whether there is room. */
export class HandshakeChecks {
  readonly #origins: OriginCheck;

  constructor(private readonly host: CheckHost) {
    this.#origins = new OriginCheck(host.options.origins, host.options.host, host.hostOf);
  }

  /** @param pending handshakes under way, this one among them */
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

  #checkUser(identity: Identity | null): Refusal | undefined {
    if (!identity || !this.host.limits.isUserFull(identity.user.userId)) return undefined;
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
    return undefined;
  }

  #checkCapacity(pending: number): Refusal | undefined {
    // Handshakes under way count: a flood of them must not pass before the first is through.
    if (this.host.connections() + pending <= this.host.options.maxConnections) return undefined;
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
}
