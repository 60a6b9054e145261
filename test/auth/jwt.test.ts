import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { base64url, type CryptoKey, importJWK, exportJWK, exportSPKI, generateKeyPair, type JWK } from 'jose';
import type { JwtOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { bearer, SECRET, tokenFor } from '../support/tokens.js';
import { until } from '../support/until.js';

interface Pair {
  privateKey: CryptoKey;
  pem: string;
  jwk: JWK;
}

async function pairOf(algorithm: string): Promise<Pair> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { privateKey, pem: await exportSPKI(publicKey), jwk: await exportJWK(publicKey) };
}

const weakKeys = generateKeyPairSync('rsa', { modulusLength: 1_024 });
const weak: JWK = weakKeys.publicKey.export({ format: 'jwk' });

/** Anybody can sign for it: the signature is the padded hash itself. */
const exponentOne: JWK = {
  ...generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey.export({ format: 'jwk' }),
  e: 'AQ',
};
function signedByAnybody(kid: string): string {
  const [head, body] = [{ alg: 'RS256', kid }, { sub: 'ada' }].map((part) => base64url.encode(JSON.stringify(part)));
  const digest = createHash('sha256').update(`${head}.${body}`).digest();
  const info = Buffer.concat([Buffer.from('3031300d060960864801650304020105000420', 'hex'), digest]);
  const padded = Buffer.concat([
    Buffer.from([0, 1]),
    Buffer.alloc(256 - 3 - info.length, 0xff),
    Buffer.from([0]),
    info,
  ]);
  return `${head}.${body}.${base64url.encode(padded)}`;
}

/** By hand: jose signs nothing with a weak key. */
function weaklySigned(kid?: string): string {
  const [head, body] = [{ alg: 'RS256', kid }, { sub: 'ada' }].map((part) => base64url.encode(JSON.stringify(part)));
  const signature = sign('sha256', Buffer.from(`${head}.${body}`), weakKeys.privateKey);
  return `${head}.${body}.${base64url.encode(signature)}`;
}

/** A key of this test alone, and a certificate for it. */
const CERTIFIED = {
  kty: 'EC',
  crv: 'P-256',
  x: '_sSU0MNbQzFcLpCcfCTKKPIfhPSa0WKoFNsY0O5DXU4',
  y: 'A3e4PLYLfwugwr2ZEo16JqIwr7w8gbZ87yggoH9MkLw',
  d: 'Ng4tIs14n1nmg7LqcG4T4hDdiY4ypVxoGlnIRFFcVBI',
};
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBcjCCARmgAwIBAgIUDnpMKS7e6JVn/QwanINLGvT3U5YwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjQwMzU4NDJaFw0zNjExMjEwMzU4NDJa
MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT+xJTQ
w1tDMVwukJx8JMoo8h+E9JrRYqgU2xjQ7kNdTgN3uDy2C38LoMK9mRKNeiaiMK+8
PIG2fO8oIKB/TJC8o1MwUTAdBgNVHQ4EFgQU+y4JtRc7wgNHo3SQfMdFgRnQJv8w
HwYDVR0jBBgwFoAU+y4JtRc7wgNHo3SQfMdFgRnQJv8wDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNHADBEAiAIYa+iwWQ4g0y5NnI5QGmt2LJNT7aMFZiOtK1+
6IDTWQIgXEvw1o0BrfWDl7nT6kDXVRzMIur9EErvZhE6QEd7TSw=
-----END CERTIFICATE-----`;

describe('a JSON Web Token', () => {
  let running: RunningApp;
  let rsa: Pair;
  let ec: Pair;
  let other: Pair;
  const folder = mkdtempSync(join(tmpdir(), 'pxl-keys-'));
  beforeAll(async () => {
    [rsa, ec, other] = await Promise.all([pairOf('RS256'), pairOf('ES256'), pairOf('RS256')]);
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  afterEach(() => running.close());

  const start = async (jwt: JwtOptions, more: object = {}): Promise<void> => {
    running = await startApp({ options: { auth: { jwt, ...more } } });
  };
  const userOf = async (token: string): Promise<unknown> =>
    (await running.connect(bearer(token))).connected.data.user.userId;
  const refusal = (token: string): Promise<unknown> => expect(running.connect(bearer(token))).rejects.toThrow('401');

  it('signed with the decoded bytes of a secret that is given as base64url', async () => {
    const bytes = Buffer.from('þe secret ÿÿÿ bytes, more than 32 of them'); // its code has - and _ in it
    await start({ secret: { base64url: bytes.toString('base64url') } });
    expect(await userOf(await tokenFor('ada', {}, { key: bytes }))).toBe('ada');
    await refusal(await tokenFor('ada', {}, { key: new TextEncoder().encode(bytes.toString('base64url')) }));
  });

  it('signed with the shared secret names the user, and its claims are the payload', async () => {
    await start({ secret: SECRET });
    const peer = await running.connect(bearer(await tokenFor('ada', { role: 'admin' })));
    expect(peer.connected.data.user).toEqual({ userId: 'ada' });
    expect(running.clients.getClient(peer)?.user).toEqual({
      userId: 'ada',
      payload: { sub: 'ada', role: 'admin', exp: expect.any(Number) },
    });
    await refusal(await tokenFor('ada', {}, { key: new TextEncoder().encode(`${SECRET}!`) }));
    await refusal(await tokenFor('ada', {}, { algorithm: 'HS512' }));
    await refusal('not.a.token');
    await refusal('x');
    await expect(running.connect()).rejects.toThrow('401');
    expect(running.errors).toEqual([]);
  });

  it('R7: has a sub that stays the text it is, whatever it looks like', async () => {
    await start({ secret: SECRET });
    for (const sub of ['7f3e2a10-0000-4000-8000-000000000000', '7', '007', '1e3', '__proto__', 'ü ☃']) {
      expect(await userOf(await tokenFor(sub))).toBe(sub);
    }
    expect(running.clients.getUserClients({ userId: '7' })).toHaveLength(1);
  });

  it('without a sub, or with one that is not a text, is refused', async () => {
    await start({ secret: SECRET });
    await refusal(await tokenFor(undefined));
    await refusal(await tokenFor(''));
    for (const sub of [7, null, {}, ['ada']]) await refusal(await tokenFor(undefined, { sub: sub as never }));
    expect(running.errors).toEqual([]);
  });

  it('signed by the owner of the public key is taken: RSA as PEM, EC as JWK', async () => {
    await start({ publicKey: rsa.pem });
    expect(await userOf(await tokenFor('ada', {}, { key: rsa.privateKey, algorithm: 'RS256' }))).toBe('ada');
    await refusal(await tokenFor('ada', {}, { key: other.privateKey, algorithm: 'RS256' }));
    await running.close();
    await start({ publicKey: ec.jwk });
    expect(await userOf(await tokenFor('ada', {}, { key: ec.privateKey, algorithm: 'ES256' }))).toBe('ada');
    await refusal(await tokenFor('ada', {}, { key: rsa.privateKey, algorithm: 'RS256' }));
  });

  it.each([
    [
      'the owner of a certificate',
      'ES256',
      () => ({ privateKey: importJWK(CERTIFIED, 'ES256'), publicKey: CERTIFICATE }),
    ],
    ['an Ed25519 key', 'EdDSA', () => pairOf('EdDSA').then(({ privateKey, jwk }) => ({ privateKey, publicKey: jwk }))],
    [
      'an EC key of 521 bits',
      'ES512',
      () => pairOf('ES512').then(({ privateKey, pem }) => ({ privateKey, publicKey: pem })),
    ],
  ])('signed by %s is taken', async (_, algorithm, make) => {
    const { privateKey, publicKey } = await make();
    await start({ publicKey });
    const key = (await privateKey) as CryptoKey;
    expect(await userOf(await tokenFor('ada', {}, { key, algorithm }))).toBe('ada');
    await refusal(await tokenFor('ada', {}, { key: ec.privateKey, algorithm: 'ES256' }));
  });

  it("can't be signed with the public key as if it were a secret", async () => {
    await start({ publicKey: rsa.pem });
    for (const text of [rsa.pem, rsa.pem.trim(), JSON.stringify(rsa.jwk), rsa.jwk.n ?? '']) {
      for (const algorithm of ['HS256', 'HS384', 'HS512']) {
        await refusal(await tokenFor('ada', {}, { key: new TextEncoder().encode(text), algorithm }));
      }
    }
    expect(running.errors).toEqual([]);
  });

  it.each([{ secret: SECRET }, { publicKey: 'rsa' }])("can't be unsigned, however that is spelt: %p", async (jwt) => {
    await start('publicKey' in jwt ? { publicKey: rsa.pem } : jwt);
    const [, body, signature] = (await tokenFor('ada')).split('.');
    for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null]) {
      const head = base64url.encode(JSON.stringify({ alg }));
      for (const end of ['', signature]) await refusal(`${head}.${body}.${end}`);
    }
    expect(running.errors).toEqual([]);
  });

  it('must be of the issuer and for the audience', async () => {
    await start({ secret: SECRET, issuer: ['https://id.example', 'https://old.example'], audience: 'chat' });
    expect(await userOf(await tokenFor('ada', { iss: 'https://old.example', aud: ['mail', 'chat'] }))).toBe('ada');
    await refusal(await tokenFor('ada', { iss: 'https://evil.example', aud: 'chat' }));
    await refusal(await tokenFor('ada', { iss: 'https://id.example', aud: 'mail' }));
    await refusal(await tokenFor('ada', { aud: 'chat' }));
    await refusal(await tokenFor('ada', { iss: 'https://id.example' }));
  });

  it('must be valid now, within the tolerance', async () => {
    await start({ secret: SECRET });
    const now = Math.floor(Date.now() / 1_000);
    await refusal(await tokenFor('ada', {}, { expiresIn: -10 }));
    await refusal(await tokenFor('ada', { nbf: now + 60 }));
    expect(await userOf(await tokenFor('ada', {}, { expiresIn: undefined }))).toBe('ada');
    await running.close();
    await start({ secret: SECRET, clockToleranceSeconds: 120, requireExpiry: true });
    expect(await userOf(await tokenFor('ada', {}, { expiresIn: -10 }))).toBe('ada');
    expect(await userOf(await tokenFor('ada', { nbf: now + 60 }))).toBe('ada');
    await refusal(await tokenFor('ada', {}, { expiresIn: undefined }));
  });

  it.each([
    ['a PEM', () => rsa.pem],
    ['a JWK', () => JSON.stringify(rsa.jwk)],
    [
      'a JWK Set',
      () =>
        JSON.stringify({
          keys: [
            { ...other.jwk, kid: 'old' },
            { ...rsa.jwk, kid: 'new' },
          ],
        }),
    ],
    ['a JWK Set without key ids', () => JSON.stringify({ keys: [other.jwk, rsa.jwk, ec.jwk] })],
    [
      'a JWK Set with keys for something else',
      () =>
        JSON.stringify({
          keys: [
            { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AA' },
            { kty: 'OKP', crv: 'X25519', x: 'hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo' },
            { ...other.jwk, use: 'enc' },
            rsa.jwk,
          ],
        }),
    ],
  ])('is checked with a key file that is %s', async (_, text) => {
    const keyFile = join(folder, 'key');
    writeFileSync(keyFile, text());
    await start({ keyFile });
    expect(await userOf(await tokenFor('ada', {}, { key: rsa.privateKey, algorithm: 'RS256' }))).toBe('ada');
    await refusal(await tokenFor('ada', {}, { key: (await pairOf('RS256')).privateKey, algorithm: 'RS256' }));
    await refusal(await tokenFor('ada'));
    expect(running.errors).toEqual([]);
  });

  it('is checked with the new keys when the key file is replaced, and with the old ones when that fails', async () => {
    const keyFile = join(folder, 'replaced');
    writeFileSync(keyFile, rsa.pem);
    await start({ keyFile });
    const [old, fresh] = await Promise.all(
      [rsa, other].map(({ privateKey }) => tokenFor('ada', {}, { key: privateKey, algorithm: 'RS256' })),
    );
    const isTaken = (token = ''): Promise<boolean> =>
      running.connect(bearer(token)).then(
        () => true,
        () => false,
      );
    expect([await isTaken(old), await isTaken(fresh)]).toEqual([true, false]);
    writeFileSync(keyFile, other.pem);
    await until(() => isTaken(fresh));
    expect(await isTaken(old)).toBe(false);
    for (const text of ['nonsense', ec.pem]) {
      const before = running.errors.length;
      writeFileSync(keyFile, text);
      await until(async () => (await isTaken(fresh)) && running.errors.length > before);
    }
    expect(running.errors.map(({ message }) => message)).toEqual([
      expect.stringContaining('holds no public key'),
      expect.stringContaining('another kind of key'),
    ]);
  });

  it('is checked with the old keys while the key file cannot be looked at, which is reported once', async () => {
    const keyFile = join(folder, 'looping');
    writeFileSync(keyFile, rsa.pem);
    await start({ keyFile });
    const [old, fresh] = await Promise.all(
      [rsa, other].map(({ privateKey }) => tokenFor('ada', {}, { key: privateKey, algorithm: 'RS256' })),
    );
    rmSync(keyFile);
    symlinkSync('looping', keyFile);
    await until(async () => (await userOf(old!)) === 'ada' && running.errors.length > 0);
    const again = performance.now() + 1_100; // until it has been looked at once more
    await until(async () => (await userOf(old!)) === 'ada' && performance.now() > again);
    expect(running.errors.map(({ message }) => message)).toEqual([expect.stringContaining("can't be read (ELOOP)")]);
    rmSync(keyFile);
    writeFileSync(keyFile, other.pem);
    await until(() => userOf(fresh!).then(Boolean, () => false));
    expect(running.errors).toHaveLength(1);
  });

  describe('of an identity provider', () => {
    let provider: Server;
    let answer: { status: number; body: string };
    let fetches = 0;
    beforeAll(async () => {
      provider = createServer((_request, response) => {
        fetches++;
        if (answer.status === 0) return; // says nothing
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
      });
      await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
    });
    afterAll(() => provider.close().closeAllConnections());
    const jwksUri = (): string => `http://127.0.0.1:${(provider.address() as AddressInfo).port}/jwks`;
    const signed = (pair: Pair, algorithm: string, kid: string): Promise<string> =>
      tokenFor('ada', {}, { key: pair.privateKey, algorithm, kid });
    const publish = (...keys: JWK[]): void => {
      answer = { status: 200, body: JSON.stringify({ keys }) };
    };

    it('is checked with the keys that it publishes, which are fetched once', async () => {
      publish({ ...rsa.jwk, kid: 'r' }, { ...ec.jwk, kid: 'e' });
      fetches = 0;
      await start({ jwksUri: jwksUri() });
      expect(await userOf(await signed(rsa, 'RS256', 'r'))).toBe('ada');
      expect(await userOf(await signed(ec, 'ES256', 'e'))).toBe('ada');
      await refusal(await signed(other, 'RS256', 'r'));
      await refusal(await signed(rsa, 'RS256', 'unknown'));
      await refusal(await tokenFor('ada', {}, { kid: 'r' }));
      expect(fetches).toBe(1);
      expect(running.errors).toEqual([]);
    });

    it.each([
      ['fails', 500, ''],
      ['is somewhere else', 302, ''],
      ['sends no JSON', 200, 'no JSON'],
      ['sends no key set', 200, '{"keys":{}}'],
      ['sends nothing', 200, 'null'],
      ['says nothing', 0, ''],
    ])('is answered with 503 while the provider %s: nobody is told to give up', async (_, status, body) => {
      answer = { status, body };
      await start({ jwksUri: jwksUri() }, status === 0 ? { timeoutMs: 500 } : {});
      const token = await signed(rsa, 'RS256', 'r');
      await expect(running.connect(bearer(token))).rejects.toThrow('503');
      publish({ ...rsa.jwk, kid: 'r' });
      await until(() => userOf(token).then(Boolean, () => false));
      expect(running.errors.map(({ message }) => message)).toEqual([expect.stringContaining("can't be fetched")]);
    });

    it('makes no further request for keys while they can not be reached, which is reported once', async () => {
      answer = { status: 500, body: '' };
      await start({ jwksUri: jwksUri() });
      fetches = 0;
      const began = performance.now();
      const tokens = await Promise.all(Array.from({ length: 30 }, (_, n) => signed(rsa, 'RS256', `made-up-${n}`)));
      for (const token of tokens) await expect(running.connect(bearer(token))).rejects.toThrow('503');
      expect(fetches).toBeLessThanOrEqual(1 + (performance.now() - began) / 1_000);
      expect(running.errors).toHaveLength(1);
    });

    it('is refused where its key cannot be used, and that is reported once, however many are made up', async () => {
      const bad: JWK[] = [
        { ...weak, kid: 'weak' },
        { ...exponentOne, kid: 'one' },
        { kty: 'RSA', kid: 'malformed', n: '!!', e: 'AQAB' },
        { kty: 'RSA', kid: 'half', e: 'AQAB' },
        { ...ec.jwk, kid: 'off-curve', x: ec.jwk.y! },
        null as never,
      ];
      publish(...bad, { ...rsa.jwk, kid: 'odd', key_ops: ['verify', 'encrypt'] }, { ...other.jwk, kid: 'good' });
      await start({ jwksUri: jwksUri() });
      expect(await userOf(await signed(other, 'RS256', 'good'))).toBe('ada');
      for (const kid of ['weak', 'malformed', 'half', 'odd', 'weak', 'odd']) {
        await refusal(weaklySigned(kid));
        await refusal(await signed(rsa, 'RS256', kid));
      }
      await refusal(await signed(ec, 'ES256', 'off-curve'));
      await refusal(signedByAnybody('one'));
      expect(await userOf(await signed(other, 'RS256', 'good'))).toBe('ada');
      expect(running.errors).toHaveLength(1);
      for (const index of bad.keys()) expect(running.errors[0]?.message).toContain(`keys[${index}] `);
    });

    it.each([
      ['says how long it is', { 'content-length': String(8 << 20) }],
      ['does not say how long it is', {}],
    ])('is not read without end: an answer that %s', async (_, headers) => {
      let bytes = 0;
      const endless = createServer((_request, response) => {
        response.writeHead(200, headers);
        response.on('close', () => clearInterval(timer));
        const timer = setInterval(() => {
          for (let n = 0; n < 8 && !response.destroyed && bytes < 8 << 20; n++) {
            bytes += 65_536;
            response.write(Buffer.alloc(65_536, ' '));
          }
        }, 1);
      }).listen(0, '127.0.0.1');
      await new Promise((resolve) => endless.once('listening', resolve));
      try {
        await start({ jwksUri: `http://127.0.0.1:${(endless.address() as AddressInfo).port}/jwks` });
        await expect(running.connect(bearer(await signed(rsa, 'RS256', 'r')))).rejects.toThrow('503');
        expect(running.errors.map(({ message }) => message)).toEqual([expect.stringContaining('262144 bytes')]);
        expect(bytes).toBeLessThan(8 << 20);
      } finally {
        endless.close().closeAllConnections();
      }
    });

    it('without a key id is checked with each that can be used', async () => {
      publish(weak, { ...ec.jwk, key_ops: ['verify', 'encrypt'] }, { ...rsa.jwk, use: 'enc' }, other.jwk, ec.jwk);
      await start({ jwksUri: jwksUri() });
      const unnamed = ({ privateKey }: Pair, algorithm: string): Promise<string> =>
        tokenFor('ada', {}, { key: privateKey, algorithm });
      expect(await userOf(await unnamed(other, 'RS256'))).toBe('ada');
      expect(await userOf(await unnamed(ec, 'ES256'))).toBe('ada');
      await refusal(await unnamed(rsa, 'RS256'));
      await refusal(weaklySigned());
      expect(running.errors).toHaveLength(1);
    });

    it('is answered with 503 when nothing listens there', async () => {
      publish();
      const gone = createServer().listen(0, '127.0.0.1');
      await new Promise((resolve) => gone.once('listening', resolve));
      const { port } = gone.address() as AddressInfo;
      await new Promise((resolve) => gone.close(resolve));
      await start({ jwksUri: `http://127.0.0.1:${port}/jwks` });
      await expect(running.connect(bearer(await signed(rsa, 'RS256', 'r')))).rejects.toThrow('503');
      expect(running.errors).toHaveLength(1);
    });
  });
});
