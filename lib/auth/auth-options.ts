import type { JsonWebKey } from 'node:crypto';
import type { InjectionToken, Type } from '@nestjs/common';
import type { WebSocketUser } from '../protocol/message.js';
import type { UpgradeRequest } from './upgrade-request.js';
import type { WebSocketAuthenticator } from './identity.js';
import type { TokenSource } from './tokens.js';

/** Tokens signed by you or by an identity provider. Exactly one of `secret`, `publicKey`, `jwksUri` and `keyFile`. */
export interface JwtOptions {
  /**
   * Shared by whoever signs: at least 32 bytes (48 for HS384, 64 for HS512). A text counts as its UTF-8 bytes; `{ base64url }`
   * is decoded first, as the PXL framework does with its `jwtSecretKey`.
   */
  secret?: string | Uint8Array | { base64url: string };
  /** A PEM (public key or X.509 certificate) or a JWK. */
  publicKey?: string | JsonWebKey;
  /**
   * Where the identity provider publishes its keys. Fetched when needed, after a failure once a second at most; while it can't be,
   * the answer is 503. Keys that can't be used are passed over and reported; of the
   * answer at most 256 KiB are read.
   */
  jwksUri?: string;
  /** The path of a file with a PEM, a JWK or a JWK Set; read at start, and again within a second of a change. */
  keyFile?: string;
  /**
   * Signatures that are taken; never `none`, and `HS…` only with `secret`. @default what fits the key: HS256 for a secret,
   * RS256 for RSA, ES256, ES384 or ES512 for an EC key, EdDSA for Ed25519; for a key set all of these and PS256
   */
  algorithms?: string[];
  /** `iss` must be this, or one of these. @default anyone */
  issuer?: string | string[];
  /** `aud` must name this, or one of these. @default any */
  audience?: string | string[];
  /** How much the signer's clock may differ, in seconds; a token holds that much longer, too. @default 0 */
  clockToleranceSeconds?: number;
  /** True refuses tokens without `exp`, which would hold for ever. @default false */
  requireExpiry?: boolean;
}

type Verdict = ReturnType<WebSocketAuthenticator['authenticate']>;

/** Who may connect: exactly one of `jwt`, `useClass`, `useExisting` and `authenticate`. */
export interface AuthOptions {
  /** JSON Web Tokens. The `userId` is `sub`, as it is, and the payload the claims; a token without `sub` is refused. */
  jwt?: JwtOptions;
  /** With `jwt`: where a token may be. Tokens in several of these places must be the same. @default ['header', 'protocol', 'query'] */
  tokenFrom?: TokenSource[];
  /** With `jwt` and `tokenFrom: ['cookie']`. @default 'token' */
  cookieName?: string;
  /** A class, provided by any of your modules, or made with what this module can inject. */
  useClass?: Type<WebSocketAuthenticator>;
  /** The token of a provider of yours that is a `WebSocketAuthenticator`. */
  useExisting?: InjectionToken;
  /** Says who asks for a connection, from its HTTP upgrade request, as `WebSocketAuthenticator.authenticate` does. */
  authenticate?: (request: UpgradeRequest) => Verdict;
  /** With `authenticate`: takes a new token of a connected user, as `WebSocketAuthenticator.refresh` does. */
  refresh?: (token: string, user: WebSocketUser) => Verdict;
  /**
   * True says that your authenticator looks at cookies, which a browser sends from any page: then `origins: ['*']` is refused at
   * start, and so is a request with cookies and without an `Origin`. @default false
   */
  usesCookies?: boolean;
  /** False lets a connection without a user in, as an anonymous one. @default true */
  required?: boolean;
  /** Milliseconds authentication may take before the answer is 503, and a first message may take to come. @default 5_000 */
  timeoutMs?: number;
}
