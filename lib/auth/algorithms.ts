import type { KeyObject } from 'node:crypto';
import { InvalidOptionsError } from '../errors.js';

/** The minimum length of a secret in bytes (RFC 7518 section 3.2). */
export const HMAC_BYTES: Readonly<Record<string, number>> = { HS256: 32, HS384: 48, HS512: 64 };
const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const ED25519 = ['EdDSA', 'Ed25519'];
const ALGORITHM_OF_CURVE: Record<string, string> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };
const ASYMMETRIC = [...RSA, 'ES256', 'ES384', 'ES512', ...ED25519];
/** For a key set. Each of its keys still accepts only what fits it. */
const OF_A_SET = ['RS256', 'PS256', 'ES256', 'ES384', 'ES512', ...ED25519];

/** @throws {InvalidOptionsError} */
export function algorithmsOfSecret(given: string[] | undefined): string[] {
  return chosen(given, ['HS256'], Object.keys(HMAC_BYTES), 'a secret');
}

/** @throws {InvalidOptionsError} */
export function algorithmsOfSet(given: string[] | undefined): string[] {
  return chosen(given, OF_A_SET, ASYMMETRIC, 'a key set');
}

/** @returns undefined for a key that isn't for signing @throws {InvalidOptionsError} */
export function algorithmsOfKey(key: KeyObject, given: string[] | undefined): string[] | undefined {
  const fitting = fittingFor(key);
  const usual = fitting === ED25519 ? fitting : fitting?.slice(0, 1);
  return fitting && usual && chosen(given, usual, fitting, `this key (${key.asymmetricKeyType})`);
}

function fittingFor({ asymmetricKeyType: type, asymmetricKeyDetails }: KeyObject): string[] | undefined {
  if (type === 'rsa') return RSA;
  if (type === 'ed25519') return ED25519;
  const algorithm = type === 'ec' ? ALGORITHM_OF_CURVE[asymmetricKeyDetails?.namedCurve ?? ''] : undefined;
  return algorithm === undefined ? undefined : [algorithm];
}

/**
 * Refuses the wrong kind of signature. With `HS256` and a public key, the key that everybody has would be the secret.
 */
function chosen(given: string[] | undefined, usual: string[], fitting: string[], of: string): string[] {
  for (const algorithm of given ?? []) {
    if (algorithm.toLowerCase() === 'none')
      fail('"auth.jwt.algorithms" can\'t have "none": anybody could forge such a token. Remove it');
    if (!fitting.includes(algorithm))
      fail(`"auth.jwt.algorithms" has "${algorithm}", which doesn't fit ${of}: use ${fitting.join(', ')}`);
  }
  return given ?? usual;
}

function fail(flaw: string): never {
  throw new InvalidOptionsError([flaw]);
}
