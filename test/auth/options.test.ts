import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterAll, describe, expect, it } from '@jest/globals';
import { type AuthOptions, type WebSocketOptions, WebSocketServer } from '../../lib/index.js';
import { startApp } from '../support/app.js';
import { SECRET } from '../support/tokens.js';

const folder = mkdtempSync(join(tmpdir(), 'pxl-options-'));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const pem = { type: 'spki', format: 'pem' } as const;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const strong = generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey.export({ format: 'jwk' });
const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 });
const rsaPem = rsa.publicKey.export(pem).toString();
const privatePem = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const ecPem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export(pem).toString();
const oddPem = generateKeyPairSync('x25519').publicKey.export(pem).toString();
const keySet = (...keys: KeyObject[]): string =>
  JSON.stringify({ keys: keys.map((key) => key.export({ format: 'jwk' })) });
const authenticate = (): null => null;
class Somebody {
  authenticate = authenticate;
}
const jwt = { secret: SECRET };

describe('who may connect, badly configured', () => {
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each<[string, unknown, string]>([
    ['no way at all', {}, '"auth.authenticate" is missing'],
    ['two ways', { jwt, authenticate }, '"auth" names "jwt" and "authenticate": keep one of them'],
    ['three ways', { jwt, authenticate, useClass: Somebody }, '"jwt", "useClass" and "authenticate": keep one'],
    ['a class and a token', { useExisting: 'X', useClass: Somebody }, '"useClass" and "useExisting"'],
    ['something that is no class', { useClass: 'Somebody' }, '"auth.useClass" must be a class'],
    ['no key', { jwt: {} }, '"auth.jwt" has no key: give one of "secret", "publicKey", "jwksUri" and "keyFile"'],
    ['no key at all', { jwt: 'x' }, '"auth.jwt" must be an object'],
    ['two keys', { jwt: { ...jwt, publicKey: rsaPem } }, '"auth.jwt" has "secret" and "publicKey": keep one'],
    ['a misspelt option', { jwt: { ...jwt, isuer: 'x' } }, '"auth.jwt.isuer" is not an option'],
    ['a short secret', { jwt: { secret: 'x'.repeat(31) } }, '"auth.jwt.secret" has 31 bytes'],
    [
      'a short secret for HS512',
      { jwt: { secret: 'x'.repeat(63), algorithms: ['HS512'] } },
      'at least 64 random bytes',
    ],
    ['an empty secret', { jwt: { secret: '' } }, '"auth.jwt.secret" has 0 bytes'],
    ['half a secret', { jwt: { secret: { base64url: 'YWJj'.repeat(10) } } }, '"auth.jwt.secret" has 30 bytes'],
    [
      'an encoded secret that is none',
      { jwt: { secret: { base64url: `${'YWJj'.repeat(11)}!` } } },
      `"auth.jwt.secret.base64url" isn't base64url`,
    ],
    ['a secret in a code of its own', { jwt: { secret: { base64: SECRET } } }, 'or { base64url:'],
    ['a secret that is a number', { jwt: { secret: 42 } }, '"auth.jwt.secret" must be a text'],
    ['no signature', { jwt: { ...jwt, algorithms: ['HS256', 'none'] } }, 'can\'t have "none"'],
    [
      'a public algorithm for a secret',
      { jwt: { ...jwt, algorithms: ['RS256'] } },
      '"RS256", which doesn\'t fit a secret',
    ],
    [
      'a secret algorithm for a public key',
      { jwt: { publicKey: rsaPem, algorithms: ['RS256', 'HS256'] } },
      '"HS256", which doesn\'t fit this key (rsa)',
    ],
    [
      'a secret algorithm for a key set',
      { jwt: { jwksUri: 'https://x.example', algorithms: ['HS256'] } },
      "doesn't fit a key set",
    ],
    ["another curve's algorithm", { jwt: { publicKey: ecPem, algorithms: ['ES384'] } }, 'use ES256'],
    ['no algorithms', { jwt: { ...jwt, algorithms: [] } }, '"auth.jwt.algorithms" must be a list'],
    ['an issuer that is none', { jwt: { ...jwt, issuer: [] } }, '"auth.jwt.issuer" must be a text'],
    ['a tolerance below 0', { jwt: { ...jwt, clockToleranceSeconds: -1 } }, '"auth.jwt.clockToleranceSeconds" must'],
    ['a public key that is none', { jwt: { publicKey: 'x' } }, '"auth.jwt.publicKey" holds no public key'],
    ['a JWK that is none', { jwt: { publicKey: { kty: 'RSA' } } }, '"auth.jwt.publicKey" holds no public key'],
    ['a private key', { jwt: { publicKey: privatePem } }, '"auth.jwt.publicKey" holds a private key'],
    ['a private JWK', { jwt: { publicKey: rsa.privateKey.export({ format: 'jwk' }) } }, 'holds a private key'],
    ['a weak key', { jwt: { publicKey: weak.publicKey.export(pem) } }, 'RSA key of 1024 bits'],
    ...['AQ', 'Aw', 'AQAC', Buffer.alloc(33, 0xff).toString('base64url')].map(
      (e) => [`the exponent ${e}`, { jwt: { publicKey: { ...strong, e } } }, 'weak public exponent'] as never,
    ),
    ['a key for something else', { jwt: { publicKey: oddPem } }, "can't sign tokens (x25519)"],
    ['a secret as JWK', { jwt: { publicKey: { kty: 'oct', k: 'AAAA' } } }, 'give it as "auth.jwt.secret"'],
    ['a missing key file', { jwt: { keyFile: join(folder, 'missing') } }, '"auth.jwt.keyFile" can\'t be read (ENOENT)'],
    ['a folder as key file', { jwt: { keyFile: folder } }, '"auth.jwt.keyFile" can\'t be read (EISDIR)'],
    ['a key file with nonsense', { jwt: { keyFile: file('nonsense', 'x') } }, 'holds no public key'],
    ['a key file with half a JSON', { jwt: { keyFile: file('half', '{"keys":[') } }, "begins like JSON but isn't"],
    ['an empty key set', { jwt: { keyFile: file('empty', '{"keys":[]}') } }, 'JWK Set without a key'],
    ['a key set with a secret', { jwt: { keyFile: file('oct', '{"keys":[{"kty":"oct","k":"A"}]}') } }, 'shared secret'],
    [
      'a key set with a weak key',
      { jwt: { keyFile: file('weak', keySet(rsa.publicKey, weak.publicKey)) } },
      '"auth.jwt.keyFile": keys[1] is an RSA key of 1024 bits',
    ],
    [
      'a key set with half a key',
      { jwt: { keyFile: file('half-key', '{"keys":[{"kty":"RSA","e":"AQAB"}]}') } },
      '"auth.jwt.keyFile": keys[0] holds no public key',
    ],
    [
      'a key set with nothing in it',
      { jwt: { keyFile: file('null', '{"keys":[null]}') } },
      'keys[0] holds no public key',
    ],
    [
      'a key set for something else',
      { jwt: { keyFile: file('others', keySet(generateKeyPairSync('x25519').publicKey)) } },
      'JWK Set without a key',
    ],
    [
      'a key set with a private key',
      { jwt: { keyFile: file('private-set', keySet(rsa.privateKey)) } },
      'keys[0] holds a private key',
    ],
    ['a key file with a private key', { jwt: { keyFile: file('private', privatePem) } }, 'holds a private key'],
    ['a jwksUri that is no URL', { jwt: { jwksUri: 'id.example' } }, '"auth.jwt.jwksUri" must be an https://'],
    ['a place that is none', { jwt, tokenFrom: ['body'] }, '"auth.tokenFrom" must be a list of'],
    ['nowhere', { jwt, tokenFrom: [] }, '"auth.tokenFrom" must be a list of'],
    ['a place without jwt', { authenticate, tokenFrom: ['cookie'] }, '"auth.tokenFrom" goes with "auth.jwt"'],
    ['a cookie without jwt', { authenticate, cookieName: 'x' }, '"auth.cookieName" goes with "auth.jwt"'],
    [
      'refresh of a class',
      { useClass: Somebody, refresh: authenticate },
      '"auth.refresh" goes with "auth.authenticate"',
    ],
    ['usesCookies with jwt', { jwt, usesCookies: true }, '"auth.usesCookies" is for an authenticator of your own'],
    ['a first message that need not come', { jwt, tokenFrom: ['message'], required: false }, '"auth.required: false"'],
  ])('ends the start, with the remedy: %s', async (_, auth, message) => {
    const start = startApp({ options: { auth: auth as AuthOptions } });
    await expect(start).rejects.toThrow(message);
    await expect(start).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
    await start.catch(({ message: text }: Error) => expect(text).not.toContain('PRIVATE'));
  });

  it.each<[string, WebSocketOptions, string]>([
    [
      'any origin, and a token in a cookie',
      { origins: ['*'], auth: { jwt, tokenFrom: ['cookie'] } },
      '"origins" is \'*\' and cookies',
    ],
    [
      'any origin among others',
      { origins: ['https://a.example', '*'], auth: { authenticate, usesCookies: true } },
      '"origins" is \'*\'',
    ],
    ['a pattern without a beginning', { origins: [/\.example\.com$/] }, "isn't anchored"],
    ['a pattern without an end', { origins: [/^https:\/\/app\.example\.com/] }, 'end it with $'],
    ['a pattern that ends with a dollar sign', { origins: [/^https:\/\/app\$/] }, "isn't anchored"],
    [
      'a pattern that says of one half where it ends',
      { origins: [/^https:\/\/a\.example$|.*evil.*$/] },
      'into a group',
    ],
    ['a pattern of two halves', { origins: [/^https:\/\/(?:a|b)\.example|https:\/\/[|()]\.example$/] }, 'into a group'],
    ['a pattern of lines', { origins: [/^https:\/\/app\.example$/m] }, 'leave out the flag m'],
    ['an origin with a path', { origins: ['https://app.example.com/'] }, '"origins" must be a list of exact origins'],
  ])('ends the start: %s', async (_, options, message) => {
    await expect(startApp({ options })).rejects.toThrow(message);
  });

  it('lets nobody in when load() failed and start() is called all the same', async () => {
    const server = new WebSocketServer({ auth: { jwt: { keyFile: join(folder, 'missing') } } });
    await expect(server.load()).rejects.toThrow('ENOENT');
    await expect(server.start()).rejects.toThrow('load()');
  });
});
