import type { JsonWebKey, KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../clock.js';
import { InvalidOptionsError } from '../errors.js';
import { algorithmsOfKey, algorithmsOfSecret, algorithmsOfSet, HMAC_BYTES } from './algorithms.js';
import type { JwtOptions } from './auth-options.js';
import { type KeyFlaw, readJwk, readPem, signingKeys } from './public-keys.js';
import { remoteKeys } from './remote-keys.js';

/** The keys that check tokens. */
export interface JwtKeys {
  readonly algorithms: string[];
  /** @throws {AuthenticationError} 503 while the keys are unavailable */
  readonly find: JWTVerifyGetKey;
}

export interface KeysHost {
  readonly clock: Pick<Clock, 'now'>;
  /** Called once when a key server can't be reached, and again after it could. */
  report(error: Error): void;
}

/** The time limit of a fetch. */
const MAX_FETCH_MS = 3_000;
/** Milliseconds between two checks of the key file. */
const FILE_LOOK_MS = 1_000;

/**
 * Reads the configured key source.
 * @throws {InvalidOptionsError} for an unusable key, without quoting it
 */
export function loadKeys(jwt: JwtOptions, timeoutMs: number, host: KeysHost): JwtKeys {
  if (jwt.secret !== undefined) return ofSecret(jwt.secret, jwt.algorithms);
  if (jwt.jwksUri !== undefined) {
    const algorithms = algorithmsOfSet(jwt.algorithms);
    return { algorithms, find: remoteKeys(new URL(jwt.jwksUri), fetchMsOf(timeoutMs), host) };
  }
  if (jwt.keyFile !== undefined) return ofFile(jwt.keyFile, jwt.algorithms, host);
  return typeof jwt.publicKey === 'string'
    ? ofText(jwt.publicKey, jwt.algorithms, 'auth.jwt.publicKey')
    : ofJwk(jwt.publicKey ?? {}, jwt.algorithms, 'auth.jwt.publicKey');
}

function ofSecret(secret: NonNullable<JwtOptions['secret']>, given: string[] | undefined): JwtKeys {
  const key = bytesOf(secret);
  const algorithms = algorithmsOfSecret(given);
  const least = Math.max(...algorithms.map((algorithm) => HMAC_BYTES[algorithm] ?? 0));
  if (key.byteLength < least) {
    fail(`"auth.jwt.secret" has ${key.byteLength} bytes and could be guessed: give at least ${least} random bytes`);
  }
  return { algorithms, find: () => key };
}

function bytesOf(secret: NonNullable<JwtOptions['secret']>): Uint8Array {
  if (typeof secret === 'string') return new TextEncoder().encode(secret);
  if (secret instanceof Uint8Array) return secret;
  const { base64url, ...rest } = (secret ?? {}) as { base64url?: unknown };
  if (typeof base64url !== 'string' || Object.keys(rest).length > 0)
    fail('"auth.jwt.secret" must be a text, a Uint8Array or { base64url: \'…\' }');
  // Both alphabets of RFC 4648, as other decoders. Buffer alone would silently skip any other character.
  if (!/^[\w+/-]*={0,2}$/.test(base64url) || base64url.replaceAll('=', '').length % 4 === 1)
    fail('"auth.jwt.secret.base64url" isn\'t base64url: give A–Z a–z 0–9 - _ only, or the secret itself as a text');
  return Buffer.from(base64url, 'base64url');
}

/** The keys of a file. It is read at start, and again after a change, so keys can be replaced without a restart. */
function ofFile(path: string, given: string[] | undefined, { clock, report }: KeysHost): JwtKeys {
  let version = versionOf(path);
  let lookedAt = clock.now();
  const first = ofText(readText(path), given, 'auth.jwt.keyFile');
  let current = first;
  const look = (): void => {
    lookedAt = clock.now();
    const found = versionOf(path);
    if (found === version || found === undefined) return;
    version = found;
    try {
      const next = ofText(readText(path), given, 'auth.jwt.keyFile');
      if (String(next.algorithms) !== String(first.algorithms))
        fail('"auth.jwt.keyFile" holds another kind of key now: start the application again');
      current = next;
    } catch (error) {
      report(error as Error); // the old keys stay
    }
  };
  return {
    algorithms: first.algorithms,
    find: (header, token) => {
      if (clock.now() - lookedAt >= FILE_LOOK_MS) look();
      return current.find(header, token);
    },
  };
}

/** @returns undefined while there is no file, because it is being replaced */
function versionOf(path: string): string | undefined {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats && `${stats.ino}:${stats.mtimeMs}:${stats.size}`;
  } catch (error) {
    return codeOf(error); // reading the file reports it, once
  }
}

/** A PEM, or the JSON of a JWK or a JWK Set. */
function ofText(text: string, given: string[] | undefined, option: string): JwtKeys {
  if (!text.trimStart().startsWith('{')) return ofKey(() => readPem(text), given, option);
  let json: JsonWebKey & Partial<JSONWebKeySet>;
  try {
    json = JSON.parse(text) as typeof json;
  } catch {
    fail(`"${option}" begins like JSON but isn't: give a PEM, a JWK or a JWK Set`);
  }
  return Array.isArray(json.keys) ? ofSet(json.keys, given, option) : ofJwk(json, given, option);
}

function ofJwk(jwk: JsonWebKey & { alg?: string }, given: string[] | undefined, option: string): JwtKeys {
  return ofKey(() => readJwk(jwk), given ?? (jwk.alg === undefined ? undefined : [jwk.alg]), option);
}

function ofSet(found: unknown[], given: string[] | undefined, option: string): JwtKeys {
  const keys = signingKeys(found, (flaw) => fail(`"${option}": ${flaw}`));
  if (keys.length === 0) fail(`"${option}" is a JWK Set without a key: put the signer's public keys there`);
  return { algorithms: algorithmsOfSet(given), find: createLocalJWKSet({ keys }) };
}

function ofKey(read: () => KeyObject, given: string[] | undefined, option: string): JwtKeys {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    fail(`"${option}" ${(error as KeyFlaw).message}`);
  }
  const algorithms = algorithmsOfKey(key, given);
  if (!algorithms)
    fail(`"${option}" is a key that can't sign tokens (${key.asymmetricKeyType}): give an RSA, EC or Ed25519 key`);
  return { algorithms, find: () => key };
}

/** Shorter than the time limit of authentication, so that the error names the fetch. */
const fetchMsOf = (timeoutMs: number): number => Math.min(Math.ceil(timeoutMs * 0.6), MAX_FETCH_MS);

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return fail(
      `"auth.jwt.keyFile" can't be read (${codeOf(error)}): give the path of a file that this process may read`,
    );
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown';

function fail(flaw: string): never {
  throw new InvalidOptionsError([flaw]);
}
