import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import type { JWK } from 'jose';
import { algorithmsOfKey } from './algorithms.js';

const MIN_RSA_BITS = 2_048;
/**
 * FIPS 186-5 section 5.1. With an exponent of 1 anybody can sign. Small exponents allowed forgeries with careless verifiers.
 */
const [MIN_EXPONENT, EXPONENT_END] = [65_537n, 2n ** 256n];
const NO_KEY = 'holds no public key: give a PEM (BEGIN PUBLIC KEY or BEGIN CERTIFICATE) or a JWK';
const PRIVATE = 'holds a private key, which must not be here: give its public half';
/** RFC 7517 section 5: unknown keys of a set are ignored. */
const KNOWN_TYPES: readonly unknown[] = ['RSA', 'EC', 'OKP'];

/**
 * Why a key is unusable: the end of a sentence that begins with where the key was found. It quotes nothing of the key.
 */
export class KeyFlaw extends Error {}

/** @throws {KeyFlaw} */
export function readPem(text: string): KeyObject {
  if (text.includes('PRIVATE KEY')) throw new KeyFlaw(PRIVATE);
  return readKey(() => createPublicKey(text));
}

/** @throws {KeyFlaw} */
export function readJwk(jwk: JsonWebKey): KeyObject {
  if (jwk.kty === 'oct') throw new KeyFlaw('holds a shared secret: give it as "auth.jwt.secret"');
  if (jwk.d !== undefined) throw new KeyFlaw(PRIVATE);
  return readKey(() => createPublicKey({ key: jwk, format: 'jwk' }));
}

/**
 * The keys of a set that can check signatures. Keys for another use are ignored.
 * @param flawed called for each unusable key
 */
export function signingKeys(keys: readonly unknown[], flawed: (flaw: string) => void): JWK[] {
  return keys.filter((jwk, index): jwk is JWK => {
    try {
      return isSigningKey(jwk);
    } catch (error) {
      flawed(`keys[${index}] ${(error as KeyFlaw).message}`);
      return false;
    }
  });
}

function isSigningKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) throw new KeyFlaw(NO_KEY);
  const jwk = value as JsonWebKey & JWK;
  if (jwk.use !== undefined && jwk.use !== 'sig' && jwk.d === undefined) return false;
  if (typeof jwk.kty === 'string' && !KNOWN_TYPES.includes(jwk.kty) && jwk.kty !== 'oct') return false;
  return algorithmsOfKey(readJwk(jwk), undefined) !== undefined;
}

function readKey(read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch {
    throw new KeyFlaw(NO_KEY); // OpenSSL's error quotes the key
  }
  if (key.asymmetricKeyType === 'rsa') refuseWeakRsa(key);
  return key;
}

function refuseWeakRsa({ asymmetricKeyDetails: { modulusLength = 0, publicExponent = 0n } = {} }: KeyObject): void {
  if (modulusLength < MIN_RSA_BITS)
    throw new KeyFlaw(`is an RSA key of ${modulusLength} bits: give one of at least ${MIN_RSA_BITS}`);
  const isSound = publicExponent >= MIN_EXPONENT && publicExponent < EXPONENT_END && publicExponent % 2n === 1n;
  if (!isSound) throw new KeyFlaw(`is an RSA key with a weak public exponent: give one with ${MIN_EXPONENT}`);
}
