import type { IncomingMessage } from 'node:http';
import type { Clock } from '../clock.js';
import { PeerError } from '../errors.js';
import { ErrorCode } from '../protocol/error-codes.js';
import type { WebSocketUser } from '../protocol/message.js';
import type { UpgradeRequest } from './upgrade-request.js';
import type { AuthOptions } from './auth-options.js';
import { AuthenticationError, type Identity, identityOf, type WebSocketAuthenticator } from './identity.js';
import { JwtAuthenticator } from './jwt-authenticator.js';
import { loadKeys } from './jwt-keys.js';
import { DEFAULT_COOKIE, DEFAULT_SOURCES, redactError, tokensIn } from './tokens.js';

/** What authentication needs of its server. */
export interface AuthenticationHost {
  readonly clock: Clock;
  /** Finds or creates the authenticator of `useClass` or `useExisting`. @throws when it can't */
  find(options: Pick<AuthOptions, 'useClass' | 'useExisting'>): Promise<WebSocketAuthenticator>;
  failed(error: unknown, place: string): void;
}

/** Authenticates connections with the configured authenticator. The only place that decides who a client is. */
export class Authentication {
  private constructor(
    private readonly authenticator: WebSocketAuthenticator,
    private readonly place: string,
    private readonly options: AuthOptions,
    private readonly clock: Clock,
  ) {}

  /** @throws {InvalidOptionsError} for keys or a class that it can't use */
  static async of(options: AuthOptions & { timeoutMs: number }, host: AuthenticationHost): Promise<Authentication> {
    const { jwt, authenticate, refresh, timeoutMs } = options;
    const { clock } = host;
    if (jwt) {
      const keys = loadKeys(jwt, timeoutMs, { clock, report: (error) => host.failed(error, 'auth.jwt') });
      const places = { from: options.tokenFrom ?? DEFAULT_SOURCES, cookieName: options.cookieName ?? DEFAULT_COOKIE };
      return new Authentication(new JwtAuthenticator(jwt, keys, places, clock), 'auth.jwt', options, clock);
    }
    if (authenticate)
      return new Authentication({ authenticate, ...(refresh && { refresh }) }, 'auth.authenticate', options, clock);
    const found = await host.find(options);
    return new Authentication(found, `${found.constructor.name}.authenticate`, options, clock);
  }

  /** True when a connection may send its token in its first message. */
  get takesFirstMessage(): boolean {
    return this.options.jwt !== undefined && this.options.tokenFrom?.includes('message') === true;
  }

  get canRefresh(): boolean {
    return this.authenticator.refresh !== undefined;
  }

  /** True for credentials that a browser adds by itself, whichever page sends the request. */
  reliesOnCookies({ headers: { cookie } }: IncomingMessage): boolean {
    const { usesCookies, tokenFrom } = this.options;
    return cookie !== undefined && (usesCookies === true || tokenFrom?.includes('cookie') === true);
  }

  /**
   * @returns null for an anonymous request
   * @throws {AuthenticationError} for invalid credentials; any other error of the application, without the token
   */
  async authenticate(request: UpgradeRequest): Promise<Identity | null> {
    try {
      const user = await this.authenticator.authenticate(request);
      return user ? identityOf(user, this.place, this.clock.wall()) : null;
    } catch (error) {
      throw redactError(error, tokensIn(request, this.options.cookieName));
    }
  }

  /** Authenticates by the token of a first message. @throws as `authenticate()` */
  async identify(token: string): Promise<Identity> {
    return this.#refresh(token, { userId: '', payload: {} });
  }

  /**
   * Accepts a new token of a user.
   * @throws {PeerError} FORBIDDEN for the token of another user @throws {AuthenticationError} 401 for an invalid token
   */
  async refresh(token: string, user: WebSocketUser): Promise<Identity> {
    const identity = await this.#refresh(token, user);
    if (String(identity.user.userId) === String(user.userId)) return identity;
    throw new PeerError(ErrorCode.Forbidden, 'The token belongs to another user. Connect again with it.');
  }

  async #refresh(token: string, user: WebSocketUser): Promise<Identity> {
    try {
      const found = await this.authenticator.refresh?.(token, user);
      if (found) return identityOf(found, this.place, this.clock.wall());
    } catch (error) {
      throw redactError(error, [token]);
    }
    throw new AuthenticationError(401, 'The token is not valid.');
  }
}

/** The token of a `system/authenticate` or `system/refresh`. @throws {PeerError} BAD_REQUEST */
export function readToken(data: unknown): string {
  const { token } = (typeof data === 'object' && data !== null ? data : {}) as { token?: unknown };
  if (typeof token === 'string' && token !== '') return token;
  throw new PeerError(ErrorCode.BadRequest, 'Give a token: { token: "…" }.');
}
