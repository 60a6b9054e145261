import type { JsonWebKey } from 'node:crypto';
import type { InjectionToken, Type } from '@nestjs/common';
import type { WebSocketUser } from '../protocol/message.js';
import type { UpgradeRequest } from './upgrade-request.js';
import type { WebSocketAuthenticator } from './identity.js';
import { DEFAULT_COOKIE, DEFAULT_SOURCES, type TokenSource } from './tokens.js';
import { type Check, FLAG } from '../protocol/check.js';
import { CALLBACK, isFunction, isText, OBJECT, TIME } from '../options/checks.js';
import type { Table } from '../options/option-table.js';

/** Tokens signed by you or by an identity provider. Exactly one of `secret`, `publicKey`, `jwksUri` and `keyFile`. */
export interface JwtOptions {
  /**
   * The key for HS256, HS384 or HS512: at least 32, 48 or 64 bytes. A text counts as its UTF-8 bytes; `{ base64url }` is decoded
   * first, as the PXL framework does with its `jwtSecretKey`.
   */
  secret?: string | Uint8Array | { base64url: string };
  /** The public key: a PEM (public key or X.509 certificate) or a JWK. */
  publicKey?: string | JsonWebKey;
  /**
   * The URL where the identity provider publishes its keys. They are fetched when needed. After a failure, they are fetched at most
   * once a second, and connections get 503 meanwhile. Unusable keys are reported and skipped. The key set may have 256 KiB at most.
   */
  jwksUri?: string;
  /** The path of a file with a PEM, a JWK or a JWK Set. Read at start, and again within a second of a change. */
  keyFile?: string;
  /**
   * Accepted signature algorithms. Never `none`, and `HS…` only with `secret`. @default depends on the key: HS256 for a secret, RS256
   * for RSA, ES256, ES384 or ES512 for an EC key, EdDSA for Ed25519; for a key set RS256, PS256, ES256, ES384, ES512 and EdDSA
   */
  algorithms?: string[];
  /** The value that `iss` must have, or a list of allowed values. @default any */
  issuer?: string | string[];
  /** The value that `aud` must contain, or a list of allowed values. @default any */
  audience?: string | string[];
  /** Seconds by which the signer's clock may differ. A token stays valid for that much longer. @default 0 */
  clockToleranceSeconds?: number;
  /** True: refuse tokens without `exp`, which never expire. @default false */
  requireExpiry?: boolean;
}

type Verdict = ReturnType<WebSocketAuthenticator['authenticate']>;

/** Who may connect: exactly one of `jwt`, `useClass`, `useExisting` and `authenticate`. */
export interface AuthOptions {
  /**
   * JSON Web Tokens, with exactly one of `secret`, `publicKey`, `jwksUri` and `keyFile`. A token must have a `sub`, which is the
   * `userId`. Its claims are the payload.
   */
  jwt?: JwtOptions;
  /**
   * With `jwt`: the places where a token may be: `'header'`, `'protocol'`, `'query'`, `'cookie'`, `'message'`. Tokens in several places
   * must be the same. @default ['header', 'protocol', 'query']
   */
  tokenFrom?: TokenSource[];
  /** The cookie of `tokenFrom: ['cookie']`. @default 'token' */
  cookieName?: string;
  /** A class that is a `WebSocketAuthenticator`: provided by one of your modules, or created with what this module can inject. */
  useClass?: Type<WebSocketAuthenticator>;
  /** The injection token of your own provider that is a `WebSocketAuthenticator`. */
  useExisting?: InjectionToken;
  /** Returns the user of an HTTP upgrade request, as `WebSocketAuthenticator.authenticate` does. */
  authenticate?: (request: UpgradeRequest) => Verdict;
  /** With `authenticate`: accepts a new token of a connected user, as `WebSocketAuthenticator.refresh` does. */
  refresh?: (token: string, user: WebSocketUser) => Verdict;
  /**
   * True: your authenticator reads cookies, which a browser sends from any page. Then `origins: ['*']` is refused at start, and a
   * request with cookies needs an `Origin`. @default false
   */
  usesCookies?: boolean;
  /** False: a connection without a user is accepted as an anonymous one. @default true */
  required?: boolean;
  /** Milliseconds that authentication may take. After that, the answer is 503, or 4001 if a first message is missing. @default 5_000 */
  timeoutMs?: number;
}

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.length > 0 && value.every(isText);
const isHttp = (value: unknown): boolean =>
  isText(value) && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);

const NAMES: Check = { holds: (value) => isTexts([value].flat()), must: 'a text or a list of texts' };
const SOURCES: readonly unknown[] = ['header', 'protocol', 'cookie', 'message', 'query'] satisfies TokenSource[];

/** `secret` and `publicKey` are checked when they are read. */
const JWT = {
  secret: {},
  publicKey: {},
  jwksUri: { check: { holds: isHttp, must: 'an https:// or http:// URL' } },
  keyFile: { check: { holds: isText, must: 'the path of a file' } },
  algorithms: { check: { holds: isTexts, must: "a list of names such as 'RS256'" } },
  issuer: { check: NAMES },
  audience: { check: NAMES },
  clockToleranceSeconds: {
    default: 0,
    check: {
      holds: (value) => Number.isFinite(value) && (value as number) >= 0,
      must: 'a number of seconds, 0 or more',
      unit: 's',
    },
  },
  requireExpiry: { default: false, check: FLAG },
} satisfies Table<JwtOptions>;

export const AUTH = {
  jwt: { check: OBJECT, fields: JWT },
  tokenFrom: {
    default: [...DEFAULT_SOURCES],
    check: {
      holds: (value) => isTexts(value) && (value as unknown[]).every((source) => SOURCES.includes(source)),
      must: "a list of 'header', 'protocol', 'cookie', 'message' and 'query'",
    },
  },
  cookieName: { default: DEFAULT_COOKIE, check: { holds: isText, must: 'the name of a cookie' } },
  useClass: { check: { ...CALLBACK, must: 'a class with a method authenticate(request)' } },
  useExisting: {
    check: {
      holds: (value) => isFunction(value) || isText(value) || typeof value === 'symbol',
      must: 'the token of a provider',
    },
  },
  authenticate: { check: CALLBACK },
  refresh: { check: CALLBACK },
  usesCookies: { default: false, check: FLAG },
  required: { default: true, check: FLAG },
  timeoutMs: { default: 5_000, check: TIME },
} satisfies Table<AuthOptions>;
