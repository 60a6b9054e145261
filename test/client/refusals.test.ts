import { afterEach, describe, expect, it } from '@jest/globals';
import { HandshakeRefusedError } from '../../lib/client/handshake-refused-error.js';
import { startApp } from '../support/app.js';
import { SECRET, tokenFor } from '../support/tokens.js';
import { cleanUp, connect, onCleanUp, startServer, TestClient } from './support.js';

afterEach(cleanUp);

const patient = { reconnect: { minDelayMs: 20, maxDelayMs: 20_000 } };

describe('a refusal that is not from our server', () => {
  it.each([401, 403, 404, 502, 503])('with %i is no reason to stop', async (status) => {
    const server = await startServer();
    const { client, peer } = await connect(server, patient);
    server.refusal = { status, body: '<h1>nginx</h1>' };
    peer.socket.terminate();
    const { error } = await client.errors.take();
    expect(error).toMatchObject({ status, refusalCode: undefined, advice: 'reconnect' });
    server.refusal = undefined;
    await client.until('open');
  });

  it.each(['{"code":404,"error":"Not Found"}', '{"code":"NOT_FOUND"}', '{"statusCode":404,"error":"Not Found"}'])(
    'is told by its body: %s',
    async (body) => {
      const server = await startServer();
      server.refusal = { status: 404, body };
      const failure = new TestClient({ url: server.url }).connectToServer();
      await expect(failure).rejects.toMatchObject({ refusalCode: undefined });
    },
  );
});

describe('a 401 of the server', () => {
  it('is tried again at once when a function gives the token, which may have been stale', async () => {
    const running = await startApp({ options: { auth: { jwt: { secret: SECRET } } } });
    onCleanUp(() => running.close());
    const tokens = [await tokenFor('ada', {}, { expiresIn: -10 }), await tokenFor('ada')];
    const client = new TestClient({ url: running.url, token: () => tokens.shift() });
    await client.connectToServer();
    expect(client.user).toEqual({ userId: 'ada' });
    expect(tokens).toEqual([]);
  });

  it('is final after the second try, and at once where the token is not a function', async () => {
    const running = await startApp({ options: { auth: { jwt: { secret: SECRET } } } });
    onCleanUp(() => running.close());
    let asked = 0;
    const reconnect = { minDelayMs: 1, maxDelayMs: 2, initial: true };
    const token = (): string => `bad.${(asked += 1)}`;
    const client = new TestClient({ url: running.url, token, reconnect });
    await expect(client.connectToServer()).rejects.toMatchObject({ status: 401, advice: 'stop' });
    expect([client.state, asked]).toEqual(['closed', 2]);
    const fixed = new TestClient({ url: running.url, token: 'bad', reconnect });
    await expect(fixed.connectToServer()).rejects.toBeInstanceOf(HandshakeRefusedError);
    expect(fixed.state).toBe('closed');
  });
});

describe('how long a client stays away', () => {
  /** What the client does after this answer. */
  async function waitAfter(status: number, body: string, headers: Record<string, string> = {}): Promise<number> {
    const server = await startServer();
    const { client, peer } = await connect(server, { reconnect: { minDelayMs: 100, maxDelayMs: 30_000 } });
    server.refusal = { status, body, headers };
    peer.socket.terminate();
    await client.reconnecting.take(({ attempt }) => attempt === 1);
    const { delayMs } = await client.reconnecting.take(({ attempt }) => attempt === 2);
    client.disconnect();
    return delayMs;
  }

  const refusal = (code: string): string => JSON.stringify({ code, error: 'No.' });

  it('is short after a node that is shutting down', async () => {
    expect(await waitAfter(503, refusal('SHUTTING_DOWN'))).toBeLessThan(500);
  });

  it('is long after a server that is full, unless it says how long', async () => {
    expect(await waitAfter(503, refusal('OVER_CAPACITY'))).toBeGreaterThanOrEqual(15_000);
    const told = await waitAfter(503, refusal('OVER_CAPACITY'), { 'retry-after': '2' });
    expect(told).toBeGreaterThanOrEqual(2_000);
    expect(told).toBeLessThan(3_000);
  });

  it.each([
    ['seconds', { 'retry-after': '7' }, 7_000],
    ['a date', { 'retry-after': 'Wed, 21 Oct 2015 07:28:09 GMT', date: 'Wed, 21 Oct 2015 07:28:00 GMT' }, 9_000],
    ['a time of the past', { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }, 0],
    ['a year', { 'retry-after': '31536000' }, 300_000],
    ['nonsense', { 'retry-after': 'soon' }, 0],
  ])('is what Retry-After says: %s', async (_name, headers, leastMs) => {
    const delayMs = await waitAfter(502, 'Bad Gateway', headers);
    expect(delayMs).toBeGreaterThanOrEqual(leastMs);
    expect(delayMs).toBeLessThanOrEqual(leastMs + 1_000);
  });

  it.each([1009, 1012])('is short after %i', async (code) => {
    const server = await startServer();
    const { client, peer } = await connect(server, { reconnect: { minDelayMs: 200, maxDelayMs: 30_000 } });
    peer.socket.close(code);
    expect((await client.reconnecting.take()).delayMs).toBeLessThan(500);
  });
});
