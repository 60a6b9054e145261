import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createLocalJWKSet, createRemoteJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { InvalidOptionsError } from '../errors.js';
import { algorithmsOfKey, algorithmsOfSecret, algorithmsOfSet, HMAC_BYTES } from './algorithms.js';
import type { JwtOptions } from './auth-options.js';
import { AuthenticationError } from './identity.js';

/** With what tokens are checked. */
export interface JwtKeys {
  readonly algorithms: string[];
  /** @throws {AuthenticationError} 503 while the keys can't be had */
  readonly find: JWTVerifyGetKey;
}

/** A fetch that takes longer is given up. */
const MAX_FETCH_MS = 3_000;
/** Between two looks at the key file. */
const FILE_LOOK_MS = 1_000;
const MIN_RSA_BITS = 2_048;

/**
 * Reads the one key source that is given.
 * @param report hears once of a key server that can't be reached, and again after it could
 * @throws {InvalidOptionsError} for a key that can't work, without quoting it
 */
export function loadKeys(jwt: JwtOptions, timeoutMs: number, report: (error: Error) => void): JwtKeys {
  if (jwt.secret !== undefined) return ofSecret(jwt.secret, jwt.algorithms);
  if (jwt.jwksUri !== undefined) {
    const algorithms = algorithmsOfSet(jwt.algorithms);
    return { algorithms, find: remoteKeys(new URL(jwt.jwksUri), fetchMsOf(timeoutMs), report) };
  }
  if (jwt.keyFile !== undefined) return ofFile(jwt.keyFile, jwt.algorithms, report);
  return typeof jwt.publicKey === 'string'
    ? ofText(jwt.publicKey, jwt.algorithms, 'auth.jwt.publicKey')
    : ofJwk(jwt.publicKey ?? {}, jwt.algorithms, 'auth.jwt.publicKey');
}

function ofSecret(secret: string | Uint8Array, given: string[] | undefined): JwtKeys {
  const key = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret;
  if (!(key instanceof Uint8Array)) fail('"auth.jwt.secret" must be a text or a Uint8Array');
  const algorithms = algorithmsOfSecret(given);
  const least = Math.max(...algorithms.map((algorithm) => HMAC_BYTES[algorithm] ?? 0));
  if (key.byteLength < least) {
    fail(`"auth.jwt.secret" has ${key.byteLength} bytes, and could be guessed: give at least ${least} random bytes`);
  }
  return { algorithms, find: () => key };
}

/** Read at start, and again when it has changed: keys are replaced without a restart. */
function ofFile(path: string, given: string[] | undefined, report: (error: Error) => void): JwtKeys {
  let version = versionOf(path);
  let lookedAt = performance.now();
  const first = ofText(readText(path), given, 'auth.jwt.keyFile');
  let current = first;
  const look = (): void => {
    lookedAt = performance.now();
    const found = versionOf(path);
    if (found === version || found === undefined) return;
    version = found;
    try {
      const next = ofText(readText(path), given, 'auth.jwt.keyFile');
      if (String(next.algorithms) !== String(first.algorithms))
        fail('"auth.jwt.keyFile" holds another kind of key now: start the application again');
      current = next;
    } catch (error) {
      report(error as Error); // the keys from before stay
    }
  };
  return {
    algorithms: first.algorithms,
    find: (header, token) => {
      if (performance.now() - lookedAt >= FILE_LOOK_MS) look();
      return current.find(header, token);
    },
  };
}

function versionOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats && `${stats.ino}:${stats.mtimeMs}:${stats.size}`;
}

/** A PEM, or the JSON of a JWK or a JWK Set. */
function ofText(text: string, given: string[] | undefined, option: string): JwtKeys {
  if (!text.trimStart().startsWith('{')) {
    if (text.includes('PRIVATE KEY')) failPrivate(option);
    return ofKey(() => createPublicKey(text), given, option);
  }
  let json: JsonWebKey & Partial<JSONWebKeySet>;
  try {
    json = JSON.parse(text) as typeof json;
  } catch {
    fail(`"${option}" begins like JSON and is none: give a PEM, a JWK or a JWK Set`);
  }
  return Array.isArray(json.keys) ? ofSet(json as JSONWebKeySet, given, option) : ofJwk(json, given, option);
}

function ofJwk(jwk: JsonWebKey & { alg?: string }, given: string[] | undefined, option: string): JwtKeys {
  checkJwk(jwk, option);
  const fits = given ?? (jwk.alg === undefined ? undefined : [jwk.alg]);
  return ofKey(() => createPublicKey({ key: jwk, format: 'jwk' }), fits, option);
}

function ofSet(set: JSONWebKeySet, given: string[] | undefined, option: string): JwtKeys {
  if (set.keys.length === 0) fail(`"${option}" is a JWK Set without a key: put the signer's public keys there`);
  for (const jwk of set.keys) checkJwk(jwk, option);
  return { algorithms: algorithmsOfSet(given), find: createLocalJWKSet(set) };
}

function ofKey(read: () => KeyObject, given: string[] | undefined, option: string): JwtKeys {
  let key: KeyObject;
  try {
    key = read();
  } catch {
    fail(`"${option}" holds no public key: give a PEM (BEGIN PUBLIC KEY or BEGIN CERTIFICATE) or a JWK`);
  }
  const algorithms = algorithmsOfKey(key, given);
  if (!algorithms)
    fail(`"${option}" is a key that signs no tokens (${key.asymmetricKeyType}): give an RSA, EC or Ed25519 key`);
  const { modulusLength } = key.asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined && modulusLength < MIN_RSA_BITS)
    fail(`"${option}" is an RSA key of ${modulusLength} bits: give one of at least ${MIN_RSA_BITS}`);
  return { algorithms, find: () => key };
}

function checkJwk(jwk: JsonWebKey, option: string): void {
  if (jwk.kty === 'oct') fail(`"${option}" holds a shared secret: give it as "auth.jwt.secret"`);
  if (jwk.d !== undefined) failPrivate(option);
}

/** Shorter than authentication itself may take, so that it is the fetch that is seen to fail. */
const fetchMsOf = (timeoutMs: number): number => Math.min(Math.ceil(timeoutMs * 0.6), MAX_FETCH_MS);

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    return fail(`"auth.jwt.keyFile" can't be read (${code}): give the path of a file that this process may read`);
  }
}

function remoteKeys(url: URL, timeoutDuration: number, report: (error: Error) => void): JWTVerifyGetKey {
  const fetched = createRemoteJWKSet(url, { timeoutDuration });
  let isKnownToFail = false;
  return async (header, token) => {
    try {
      const key = await fetched(header, token);
      isKnownToFail = false;
      return key;
    } catch (error) {
      if (isOfToken(error)) throw error;
      if (!isKnownToFail) report(new Error(`The keys of ${url.host} can't be fetched: ${reasonOf(error)}`));
      isKnownToFail = true;
      throw new AuthenticationError(503, 'The keys to check a token with are out of reach. Try again soon.');
    }
  };
}

/** The set is there, and the token doesn't go with it. */
const isOfToken = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey ||
  error instanceof errors.JWKSMultipleMatchingKeys ||
  error instanceof errors.JOSENotSupported;

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}

function failPrivate(option: string): never {
  return fail(`"${option}" holds a private key, which has no business here: give its public half`);
}

function fail(flaw: string): never {
  throw new InvalidOptionsError([flaw]);
}
