import { afterEach, describe, expect, it } from '@jest/globals';
import { HttpException, UnauthorizedException } from '@nestjs/common';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer as WS } from 'ws';
import type { WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { type HandshakeOptions, handshakeBytes, RawPeer } from '../support/raw-peer.js';

describe('R9: the upgrade', () => {
  let running: RunningApp;
  const peers: RawPeer[] = [];
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.reset();
    await running.close();
  });

  async function shake(options: HandshakeOptions): Promise<RawPeer> {
    const peer = await RawPeer.handshake(running.port, options);
    peers.push(peer);
    return peer;
  }

  async function statusOf(options: HandshakeOptions): Promise<number | undefined> {
    return (await shake(options)).answer?.status;
  }

  /** The answer is whole, says why, and the socket ends. */
  async function expectRefusal(options: HandshakeOptions, status: number, code: string): Promise<void> {
    const peer = await shake(options);
    expect(peer.answer).toMatchObject({ status, headers: expect.stringContaining('Connection: close') });
    expect(JSON.parse(peer.answer?.body ?? '')).toEqual({ code, error: expect.any(String) });
    await peer.closed;
    expect(running.clients.size).toBe(0);
  }

  const start = async (options: WebSocketOptions = {}, platform?: 'express' | 'fastify'): Promise<void> => {
    running = await startApp({ options, platform });
  };

  it.each(['fastify', 'express'] as const)('takes its own path alone, exactly as written (%s)', async (platform) => {
    await start({}, platform);
    for (const path of ['/ws', '/ws?x=1', '/ws?', '/ws?path=/other#x']) expect(await statusOf({ path })).toBe(101);
    const others = [
      '/wsanything',
      '/ws/',
      '/ws/x',
      '/WS',
      '//ws',
      '/ws%2f',
      '/%77s',
      '/ws;x',
      '/x/../ws',
      '/./ws',
      '/',
      '*',
    ];
    for (const path of [...others, 'http://127.0.0.1/other', '/ws%00', `/ws${'x'.repeat(4_000)}`]) {
      expect([path, await statusOf({ path })]).toEqual([path, 404]);
    }
  });

  it('matches a path of several parts, too', async () => {
    await start({ path: '/api/live' });
    expect(await statusOf({ path: '/api/live' })).toBe(101);
    for (const path of ['/ws', '/api', '/api/live/', '/api/liver']) expect(await statusOf({ path })).toBe(404);
  });

  it("leaves other paths to their owners, and doesn't answer in their place", async () => {
    await start();
    const other = new WS({ noServer: true });
    const http = running.app.getHttpServer() as Server;
    http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (request.url === '/other') other.handleUpgrade(request, socket, head, (ws) => ws.send('from the other'));
      if (request.url === '/late') setTimeout(() => socket.end('HTTP/1.1 418 Late\r\n\r\n'), 50);
    });
    const peer = await shake({ path: '/other' });
    await peer.until(() => peer.frames.length > 0);
    expect(peer.frames[0]?.payload.toString()).toBe('from the other');
    expect(await statusOf({ path: '/late' })).toBe(418);
    expect(await statusOf({ path: '/ws' })).toBe(101);
    await running.server.stop();
    expect(peer.isClosed).toBe(false);
    expect(await statusOf({ path: '/other' })).toBe(101);
    for (const client of other.clients) client.terminate();
  });

  it('refuses a foreign origin with 403 and lets its own host, the allowed and the absent pass', async () => {
    await start({ origins: ['https://app.example.com'] });
    const host = `127.0.0.1:${running.port}`;
    for (const Origin of [`http://${host}`, 'https://app.example.com', undefined]) {
      expect([Origin, await statusOf({ headers: { Origin } })]).toEqual([Origin, 101]);
    }
    const own = await running.connect({ origin: `http://${host}` });
    own.terminate();
    for (const peer of peers.splice(0)) peer.reset();
    while (running.clients.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const foreign = [
      'https://evil.example',
      'https://app.example.com.evil.example',
      'https://evil.example/?https://app.example.com',
      'http://app.example.com',
      'https://app.example.com:8443',
      'https://sub.app.example.com',
      `http://${host}@evil.example`,
      `http://${host}.evil.example`,
      `http://evil.example#@${host}`,
      `http://${host}, http://evil.example`,
      `http://127.0.0.1:${running.port + 1}`,
      'null',
      'file://',
      '*',
      'garbage',
      '',
    ];
    for (const Origin of foreign) await expectRefusal({ headers: { Origin } }, 403, 'ORIGIN_FORBIDDEN');
  });

  it('asks the function in origins, and accepts only true', async () => {
    await start({
      origins: ((origin: string) => (origin === 'https://yes.example' ? true : Promise.resolve(true))) as never,
    });
    expect(await statusOf({ headers: { Origin: 'https://yes.example' } })).toBe(101);
    expect(await statusOf({ headers: { Origin: 'https://no.example' } })).toBe(403);
  });

  it('answers 500 without details when that function throws', async () => {
    await start({
      origins: () => {
        throw new Error('SECRET');
      },
    });
    await expectRefusal({ headers: { Origin: 'https://x.example' } }, 500, 'INTERNAL');
    expect(running.errors).toHaveLength(1);
  });

  it.each([
    [401, 'UNAUTHENTICATED', () => null],
    [401, 'UNAUTHENTICATED', () => Promise.reject(new UnauthorizedException())],
    [429, 'RATE_LIMITED', () => Promise.reject(new HttpException('Slow down.', 429))],
    [500, 'INTERNAL', () => Promise.reject(new Error('SECRET'))],
    [503, 'UNAVAILABLE', () => new Promise<never>(() => undefined)],
  ])('answers %i %s when authentication says so', async (status, code, authenticate) => {
    await start({ auth: { authenticate, timeoutMs: 100 } });
    await expectRefusal({}, status, code);
    expect(peers[0]?.bytes.toString()).not.toContain('SECRET');
  });

  it('sends WWW-Authenticate with 401, and Allow with 405 (RFC 9110)', async () => {
    await start({ auth: { authenticate: ({ headers }) => (headers.cookie ? { userId: 'ada', payload: {} } : null) } });
    const { answer } = await shake({});
    expect(answer).toMatchObject({ status: 401, headers: expect.stringMatching(/^WWW-Authenticate: Bearer realm="/m) });
    const peer = await RawPeer.connect(running.port);
    peers.push(peer);
    const request = handshakeBytes(running.port, { headers: { Cookie: 'sid=1' } }).toString();
    peer.write(request.replace('GET', 'POST'));
    await peer.until(() => peer.answer !== undefined);
    expect(peer.answer).toMatchObject({ status: 405, headers: expect.stringMatching(/^Allow: GET$/m) });
  });

  it('answers 503 when full, and accepts again when there is room', async () => {
    await start({ maxConnections: 1 });
    const first = await running.connect();
    expect(await statusOf({})).toBe(503);
    first.terminate();
    while (running.clients.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await statusOf({})).toBe(101);
  });

  it('answers 400 or 426 to an invalid handshake', async () => {
    await start();
    await expectRefusal({ headers: { Upgrade: 'h2c' } }, 426, 'UPGRADE_REQUIRED');
    await expectRefusal({ headers: { 'Sec-WebSocket-Version': '12' } }, 426, 'UPGRADE_REQUIRED');
    await expectRefusal({ headers: { 'Sec-WebSocket-Key': undefined } }, 400, 'BAD_REQUEST');
    await expectRefusal({ headers: { 'Sec-WebSocket-Key': 'short' } }, 400, 'BAD_REQUEST');
    await expectRefusal({ headers: { 'Sec-WebSocket-Protocol': ',,' } }, 400, 'BAD_REQUEST');
  });
});
