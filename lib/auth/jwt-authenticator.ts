import type { IncomingMessage } from 'node:http';
import { errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey, type JWTVerifyOptions } from 'jose';
import type { Clock } from '../clock.js';
import type { JwtOptions } from './auth-options.js';
import { type AuthenticatedUser, AuthenticationError, type WebSocketAuthenticator } from './identity.js';
import type { JwtKeys } from './jwt-keys.js';
import { tokenOf, type TokenPlaces } from './tokens.js';

/** Authenticates by tokens that are signed with the configured keys. */
export class JwtAuthenticator implements WebSocketAuthenticator {
  readonly #verifyOptions: JWTVerifyOptions;
  readonly #toleranceMs: number;

  constructor(
    { issuer, audience, clockToleranceSeconds = 0, requireExpiry = false }: JwtOptions,
    private readonly keys: JwtKeys,
    private readonly places: TokenPlaces,
    private readonly clock: Pick<Clock, 'wall'>,
  ) {
    this.#toleranceMs = clockToleranceSeconds * 1_000;
    this.#verifyOptions = {
      algorithms: keys.algorithms,
      clockTolerance: clockToleranceSeconds,
      requiredClaims: requireExpiry ? ['sub', 'exp'] : ['sub'],
      ...(issuer !== undefined && { issuer }),
      ...(audience !== undefined && { audience }),
    };
  }

  async authenticate(request: IncomingMessage): Promise<AuthenticatedUser | null> {
    const token = tokenOf(request, this.places);
    return token === undefined ? null : this.verify(token);
  }

  refresh(token: string): Promise<AuthenticatedUser> {
    return this.verify(token);
  }

  /** @throws {AuthenticationError} 401, or 503 while the keys are unavailable */
  async verify(token: string): Promise<AuthenticatedUser> {
    const claims = await this.#claims(token, this.keys.find).catch((error: unknown) => {
      throw refusalOf(error);
    });
    const { sub, exp } = claims;
    if (typeof sub !== 'string' || sub === '') throw new AuthenticationError(401, 'The token is not valid.');
    return {
      userId: sub,
      payload: claims,
      ...(exp !== undefined && { expiresAt: exp * 1_000 + this.#toleranceMs }),
    };
  }

  async #claims(token: string, find: JWTVerifyGetKey): Promise<JWTPayload> {
    try {
      return (await jwtVerify(token, find, { ...this.#verifyOptions, currentDate: new Date(this.clock.wall()) }))
        .payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      for await (const key of error) {
        // the token doesn't name its key, and several keys fit
        const claims = await this.#claims(token, () => key).catch(ignoreOtherKey);
        if (claims) return claims;
      }
      throw new errors.JWSSignatureVerificationFailed();
    }
  }
}

function ignoreOtherKey(error: unknown): undefined {
  if (!(error instanceof errors.JWSSignatureVerificationFailed || isOfKey(error))) throw error;
}

/**
 * Errors of jose and WebCrypto for an unusable key. Anybody can name such a key in a token, so they aren't reported each time.
 */
const isOfKey = (error: unknown): boolean => error instanceof TypeError || error instanceof DOMException;

/** Why a token is refused would help only an attacker; that it has expired helps an honest client. */
function refusalOf(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return new AuthenticationError(401, 'The token has expired.');
  const isOfToken = error instanceof errors.JOSEError || isOfKey(error);
  return isOfToken ? new AuthenticationError(401, 'The token is not valid.') : error;
}
