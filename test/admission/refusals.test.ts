import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type CanActivate, type ExecutionContext, HttpException, Logger } from '@nestjs/common';
import type { RefusedHandshake, WebSocketOptions } from '../../lib/index.js';
import { Refusal } from '../../lib/admission/refusal.js';
import { Refusals } from '../../lib/admission/refusals.js';
import { type RunningApp, startApp } from '../support/app.js';
import { type HandshakeOptions, handshakeBytes, RawPeer } from '../support/raw-peer.js';
import { SECRET } from '../support/tokens.js';
import { until } from '../support/until.js';

class NotPaid implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { url } = context.switchToHttp().getRequest<{ url: string }>();
    throw new HttpException({ code: 'NOT_PAID', message: `The invoice of ${url} is open.` }, 402);
  }
}

class No implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

describe('a refused handshake', () => {
  let running: RunningApp;
  let refused: RefusedHandshake[];
  let lines: string[];
  const peers: RawPeer[] = [];
  beforeEach(() => {
    refused = [];
    lines = [];
    const note = (line: unknown): number => lines.push(String(line));
    const none = (): void => undefined;
    Logger.overrideLogger({ log: none, error: note, warn: note, debug: none, verbose: none, fatal: note });
  });
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.reset();
    await running.close();
    Logger.overrideLogger(false);
  });

  const start = async (options: WebSocketOptions = {}): Promise<void> => {
    running = await startApp({
      keepsLogger: true,
      options: { ...options, events: { onRefused: (handshake) => refused.push(handshake), ...options.events } },
    });
  };
  const shake = async (options?: HandshakeOptions): Promise<RawPeer> => {
    const peer = await RawPeer.handshake(running.port, options);
    peers.push(peer);
    return peer;
  };
  const statusFor = async (headers: Record<string, string>): Promise<unknown> =>
    (await shake({ headers })).answer?.status;

  it('is reported to the application, counted, and logged with a remedy', async () => {
    await start();
    const peer = await shake({ path: '/ws?room=1&token=secret', headers: { Origin: 'https://chat.example.com' } });
    expect(JSON.parse(peer.answer?.body ?? '')).toEqual({
      code: 'ORIGIN_FORBIDDEN',
      error: 'Pages of this origin may not connect.',
    });
    expect(refused).toEqual([
      {
        status: 403,
        code: 'ORIGIN_FORBIDDEN',
        reason: expect.stringContaining(`The request's host is "127.0.0.1:${running.port}".`),
        ip: '127.0.0.1',
        origin: 'https://chat.example.com',
        url: '/ws?room=1&token=[redacted]',
      },
    ]);
    expect(running.server.status.refused).toEqual({ ORIGIN_FORBIDDEN: 1 });
    expect(lines).toHaveLength(1);
    for (const part of [
      '403 ORIGIN_FORBIDDEN',
      '127.0.0.1',
      '"https://chat.example.com"',
      '"/ws?room=1&token=[redacted]"',
    ])
      expect(lines[0]).toContain(part);
    for (const remedy of ['proxy_set_header Host $http_host;', 'set "host"', 'in "origins"'])
      expect(lines[0]).toContain(remedy);
    expect(running.errors).toEqual([]);
  });

  it('is logged once a minute for each code, however many come', async () => {
    await start();
    for (let n = 0; n < 5; n++) await shake({ headers: { Origin: 'https://evil.example' } });
    for (let n = 0; n < 3; n++) await shake({ path: '/nowhere' });
    expect(refused).toHaveLength(8);
    expect(running.server.status.refused).toEqual({ ORIGIN_FORBIDDEN: 5, NOT_FOUND: 3 });
    expect(lines.map((line) => /\d{3} [A-Z_]+/.exec(line)?.[0])).toEqual(['403 ORIGIN_FORBIDDEN', '404 NOT_FOUND']);
    expect(lines[1]).toContain('The path of this server is "/ws".');
  });

  it.each<[what: string, expected: Partial<RefusedHandshake>, options: WebSocketOptions, request: HandshakeOptions]>([
    ['for another path', { status: 404, code: 'NOT_FOUND', url: '/other' }, {}, { path: '/other' }],
    [
      'for an old version',
      { status: 426, code: 'UPGRADE_REQUIRED' },
      {},
      { headers: { 'Sec-WebSocket-Version': '12' } },
    ],
    ['for another protocol', { status: 426, code: 'UPGRADE_REQUIRED' }, {}, { headers: { Upgrade: 'h2c' } }],
    ['for a bad key', { status: 400, code: 'BAD_REQUEST' }, {}, { headers: { 'Sec-WebSocket-Key': 'short' } }],
    ['for a bad path', { status: 400, code: 'BAD_REQUEST', url: '/%ff' }, { path: '/:tenant' }, { path: '/%ff' }],
    ['without a token', { status: 401, code: 'UNAUTHENTICATED' }, { auth: { jwt: { secret: SECRET } } }, {}],
    ['by an authenticator that fails', { status: 500, code: 'INTERNAL' }, { auth: { authenticate: fail } }, {}],
    ['by an authenticator that is slow', { status: 503, code: 'UNAVAILABLE' }, { auth: slowAuth() }, {}],
    ['by a guard', { status: 403, code: 'FORBIDDEN' }, { connect: { guards: [No] } }, {}],
    [
      'by the exception of a guard',
      { status: 402, code: 'NOT_PAID', reason: 'The invoice of /ws?token=[redacted] is open.' },
      { connect: { guards: [NotPaid] } },
      { path: '/ws?token=secret' },
    ],
    [
      'by a filter that answers for itself',
      { status: 402, code: 'NOT_PAID' },
      { connect: { guards: [NotPaid], filters: [{ catch: answerDue }] } },
      {},
    ],
  ])('is told, counted and logged, too, when it comes %s', async (_, expected, options, request) => {
    await start(options);
    await shake(request);
    expect(refused).toEqual([expect.objectContaining({ ip: '127.0.0.1', ...expected })]);
    expect(running.server.status.refused).toEqual({ [expected.code as string]: 1 });
    expect(lines.join('\n')).toContain(`${expected.status} ${expected.code}`);
    expect(lines.join('\n')).not.toContain('secret');
  });

  it('by a limit is logged with the name of the option', async () => {
    await start({ maxConnections: 2, limits: { connectionsPerIp: 1 } });
    await shake();
    await shake();
    expect(refused).toMatchObject([
      { status: 429, code: 'CONNECTION_LIMIT', reason: expect.stringContaining('"limits.connectionsPerIp"') },
    ]);
    expect(refused[0]?.reason).toContain('Behind a proxy, set "trustProxy"');
  });

  it('while the server stops is reported and counted, without a warning', async () => {
    let isAsked = false;
    const authenticate = (): Promise<null> => {
      isAsked = true;
      return new Promise(() => undefined);
    };
    await start({ auth: { authenticate, timeoutMs: 60_000 } });
    const peer = await RawPeer.connect(running.port);
    peers.push(peer);
    peer.write(handshakeBytes(running.port));
    await until(() => isAsked);
    await running.server.stop();
    await peer.closed;
    expect(refused).toMatchObject([{ status: 503, code: 'SHUTTING_DOWN' }]);
    expect(lines).toEqual([]);
  });

  it('is answered even if events.onRefused throws', async () => {
    await start({
      events: {
        onRefused: () => {
          throw new Error('The metrics are away.');
        },
      },
    });
    expect(await statusFor({ Origin: 'https://evil.example' })).toBe(403);
    expect(running.errors.map(({ message }) => message)).toEqual(['The metrics are away.']);
  });
});

describe('pages behind a proxy', () => {
  let running: RunningApp;
  const refused: RefusedHandshake[] = [];
  const peers: RawPeer[] = [];
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.reset();
    refused.length = 0;
    await running.close();
  });

  it.each<[what: string, options: WebSocketOptions, headers: Record<string, string>, status: number]>([
    ["nginx's default Host", {}, { Host: 'upstream' }, 403],
    ['Host $host, without the port of the page', {}, { Host: 'chat.example.com' }, 403],
    ['Host $http_host', {}, { Host: 'chat.example.com:8443' }, 101],
    ['the option host', { host: 'chat.example.com:8443' }, { Host: 'upstream' }, 101],
    ['X-Forwarded-Host of nobody trusted', {}, { 'X-Forwarded-Host': 'chat.example.com:8443' }, 403],
    ['that of a trusted proxy', { trustProxy: 'loopback' }, { 'X-Forwarded-Host': 'chat.example.com:8443' }, 101],
    ['that of one proxy', { trustProxy: 1 }, { 'X-Forwarded-Host': 'Chat.Example.com:8443' }, 101],
    ['that of all', { trustProxy: true }, { 'X-Forwarded-Host': 'chat.example.com:8443, inner' }, 101],
    ['that of a stranger', { trustProxy: '10.0.0.0/8' }, { 'X-Forwarded-Host': 'chat.example.com:8443' }, 403],
    [
      'the end of the list, which the trusted proxy wrote',
      { trustProxy: 1 },
      { 'X-Forwarded-Host': 'evil.example, chat.example.com:8443' },
      101,
    ],
    [
      'no beginning of it, which somebody else wrote',
      { trustProxy: 1 },
      { 'X-Forwarded-Host': 'chat.example.com:8443, real.example' },
      403,
    ],
    [
      'what the farther of two trusted proxies wrote',
      { trustProxy: 2 },
      { 'X-Forwarded-For': '203.0.113.9, 10.0.0.1', 'X-Forwarded-Host': 'evil, chat.example.com:8443, inner' },
      101,
    ],
    [
      'the option host, whatever a trusted proxy says',
      { host: 'other.example', trustProxy: true },
      { 'X-Forwarded-Host': 'chat.example.com:8443' },
      403,
    ],
  ])('are judged by %s', async (_, options, headers, status) => {
    running = await startApp({ options: { ...options, events: { onRefused: (one) => refused.push(one) } } });
    const peer = await RawPeer.handshake(running.port, {
      headers: { Origin: 'https://chat.example.com:8443', ...headers },
    });
    peers.push(peer);
    expect(peer.answer?.status).toBe(status);
    expect(refused).toHaveLength(status === 101 ? 0 : 1);
  });

  it('with the default port of the scheme are let in, whether it is written or not', async () => {
    running = await startApp();
    for (const [Origin, Host] of [
      ['https://chat.example.com', 'chat.example.com:443'],
      ['http://chat.example.com', 'chat.example.com:80'],
      ['http://[2001:db8::1]', '[2001:DB8::1]'],
    ]) {
      const peer = await RawPeer.handshake(running.port, { headers: { Origin, Host } });
      peers.push(peer);
      expect([Host, peer.answer?.status]).toEqual([Host, 101]);
    }
  });

  it('are refused with a remedy where X-Forwarded-Host is not trusted', async () => {
    running = await startApp({ options: { events: { onRefused: (one) => refused.push(one) } } });
    const headers = { Origin: 'https://chat.example.com', 'X-Forwarded-Host': 'chat.example.com' };
    peers.push(await RawPeer.handshake(running.port, { headers }));
    expect(refused[0]?.reason).toContain('X-Forwarded-Host is "chat.example.com", but "trustProxy"');
  });
});

describe('the log of refused handshakes', () => {
  it('goes on after a minute, and says how many it left out', () => {
    let now = 0;
    const lines: string[] = [];
    const none = (): void => undefined;
    const note = (line: unknown): number => lines.push(String(line));
    Logger.overrideLogger({ log: none, error: none, warn: note, debug: none, verbose: none, fatal: none });
    try {
      const refusals = new Refusals(
        { cookieName: undefined, addressOf: () => undefined, refused: none },
        { now: () => now },
      );
      const request = { url: `/${'x'.repeat(1_000)}`, headers: { origin: 'https://a.example\u001b[31m' } } as never;
      const refuse = (code = 'A'): void =>
        refusals.refuse(request, { once: none, end: none } as never, new Refusal(400, code, 'No.'));
      for (let n = 0; n < 4; n++) refuse();
      now = 59_999;
      refuse();
      expect(lines).toHaveLength(1);
      now = 60_000;
      refuse();
      expect(lines).toHaveLength(2);
      expect(lines[1]).toContain('(4 more with this code since the last line)');
      expect(lines[1]).not.toContain('\u001b');
      expect(lines[1]!.length).toBeLessThan(400);
      for (let n = 0; n < 1_000; n++) refuse(`CODE_${n}`);
      expect(Object.keys(refusals.counters).length).toBeLessThanOrEqual(65);
      expect(Object.values(refusals.counters).reduce((sum, count) => sum + count)).toBe(1_006);
    } finally {
      Logger.overrideLogger(false);
    }
  });
});

function fail(): never {
  throw new Error('The database is away.');
}

function slowAuth(): NonNullable<WebSocketOptions['auth']> {
  return { authenticate: () => new Promise<never>(() => undefined), timeoutMs: 50 };
}

function answerDue(_error: unknown, host: ExecutionContext): void {
  host
    .switchToHttp()
    .getResponse<{ status(code: number): { json(body: object): void } }>()
    .status(402)
    .json({ due: 1 });
}
