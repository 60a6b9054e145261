import type { IncomingMessage } from 'node:http';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Logger, UnauthorizedException } from '@nestjs/common';
import { redactUrl, tokenOf, type WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { type HandshakeOptions, RawPeer } from '../support/raw-peer.js';
import { bearer, SECRET, tokenFor } from '../support/tokens.js';

const jwt = { secret: SECRET };

describe('where a token may be', () => {
  let running: RunningApp;
  const raw: RawPeer[] = [];
  afterEach(async () => {
    for (const peer of raw.splice(0)) peer.reset();
    await running.close();
  });

  const start = async (auth: WebSocketOptions['auth'], more: WebSocketOptions = {}): Promise<void> => {
    running = await startApp({ options: { ...more, auth } });
  };
  const userOf = (peer: Peer): unknown => peer.connected.data.user?.userId;
  const shake = async (options: HandshakeOptions): Promise<RawPeer> => {
    const peer = await RawPeer.handshake(running.port, options);
    raw.push(peer);
    return peer;
  };
  const answerTo = async (options: HandshakeOptions): Promise<unknown> => {
    const { answer } = await shake(options);
    return answer && [answer.status, answer.status === 101 ? '' : (JSON.parse(answer.body) as { code: string }).code];
  };

  it('is the Authorization header, the query or a protocol, by default; not a cookie', async () => {
    await start({ jwt });
    const token = await tokenFor('ada');
    expect(userOf(await running.connect(bearer(token)))).toBe('ada');
    expect(userOf(await running.connect({ headers: { authorization: `bearer ${token}` } }))).toBe('ada');
    expect(userOf(await running.connectTo(`${running.url}?x=1&token=${token}`))).toBe('ada');
    expect(await answerTo({ headers: { 'Sec-WebSocket-Protocol': `pxl, bearer.${token}` } })).toEqual([101, '']);
    expect(await answerTo({ headers: { Cookie: `token=${token}` } })).toEqual([401, 'UNAUTHENTICATED']);
    expect(await answerTo({ headers: { Authorization: `Basic ${token}` } })).toEqual([401, 'UNAUTHENTICATED']);
    expect(await answerTo({ headers: { Authorization: token } })).toEqual([401, 'UNAUTHENTICATED']);
    expect(await answerTo({ path: `/ws?token=` })).toEqual([401, 'UNAUTHENTICATED']);
  });

  it('is read only where auth.tokenFrom says', async () => {
    await start({ jwt, tokenFrom: ['query'] });
    const token = await tokenFor('ada');
    expect(await answerTo({ headers: { Authorization: `Bearer ${token}` } })).toEqual([401, 'UNAUTHENTICATED']);
    expect(await answerTo({ headers: { 'Sec-WebSocket-Protocol': `pxl, bearer.${token}` } })).toEqual([
      401,
      'UNAUTHENTICATED',
    ]);
    expect(userOf(await running.connectTo(`${running.url}?token=${token}`))).toBe('ada');
  });

  it('as a protocol is not sent back where another is offered, wherever it stands in the list', async () => {
    await start({ jwt });
    const token = await tokenFor('ada');
    for (const list of [`pxl, bearer.${token}`, `bearer.${token}, pxl`, `bearer.${token},pxl,other`]) {
      const peer = await shake({ headers: { 'Sec-WebSocket-Protocol': list } });
      expect(peer.answer).toMatchObject({
        status: 101,
        headers: expect.stringMatching(/^sec-websocket-protocol: pxl$/im),
      });
      expect(peer.bytes.toString('latin1')).not.toContain(token);
    }
    const alone = await shake({ headers: { 'Sec-WebSocket-Protocol': `bearer.${token}` } });
    expect(alone.answer?.status).toBe(101);
    expect(alone.answer?.headers).toMatch(new RegExp(`^sec-websocket-protocol: bearer\\.${token}$`, 'im'));
    const options = { headers: {}, protocols: ['pxl', `bearer.${token}`] };
    const peer = await running.connect(options);
    expect([peer.ws.protocol, userOf(peer)]).toEqual(['pxl', 'ada']);
  });

  it('is not sent back where authentication is optional, either', async () => {
    await start(undefined);
    const peer = await shake({ headers: { 'Sec-WebSocket-Protocol': 'bearer.secret, pxl' } });
    expect(peer.answer?.headers).toMatch(/^sec-websocket-protocol: pxl$/im);
    expect(peer.bytes.toString('latin1')).not.toContain('secret');
  });

  it('is read from a cookie where auth.tokenFrom says so, for pages of the own host only', async () => {
    await start({ jwt, tokenFrom: ['cookie', 'header'], cookieName: 'session' });
    const token = await tokenFor('ada');
    const Cookie = `other=1; session=${token}; token=x`;
    const Origin = `http://127.0.0.1:${running.port}`;
    expect(await answerTo({ headers: { Cookie, Origin } })).toEqual([101, '']);
    expect(await answerTo({ headers: { Cookie } })).toEqual([403, 'ORIGIN_FORBIDDEN']);
    expect(await answerTo({ headers: { Cookie, Origin: 'https://evil.example' } })).toEqual([403, 'ORIGIN_FORBIDDEN']);
    expect(await answerTo({ headers: { Cookie, Origin: 'null' } })).toEqual([403, 'ORIGIN_FORBIDDEN']);
    expect(await answerTo({ headers: { Cookie: 'token=x', Origin } })).toEqual([401, 'UNAUTHENTICATED']);
    expect(await answerTo({ headers: { Authorization: `Bearer ${token}` } })).toEqual([101, '']);
    const tossed = `session=${await tokenFor('mallory')}; session=${token}`;
    expect(await answerTo({ headers: { Cookie: tossed, Origin } })).toEqual([400, 'BAD_REQUEST']);
  });

  it('may be sent in two places; two different tokens are refused', async () => {
    await start({ jwt });
    const [ada, bob] = [await tokenFor('ada'), await tokenFor('bob')];
    const both = (first: string, second: string) => ({
      path: `/ws?token=${second}`,
      headers: { Authorization: `Bearer ${first}` },
    });
    expect(await answerTo(both(ada, ada))).toEqual([101, '']);
    expect(await answerTo(both(ada, bob))).toEqual([400, 'BAD_REQUEST']);
    expect(await answerTo({ path: `/ws?token=${ada}&token=${bob}` })).toEqual([400, 'BAD_REQUEST']);
    expect(await answerTo({ headers: { 'Sec-WebSocket-Protocol': `bearer.${ada}, pxl, bearer.${bob}` } })).toEqual([
      400,
      'BAD_REQUEST',
    ]);
  });

  it('R1: sent many times costs no more than the request', async () => {
    await start({ jwt });
    const path = `/ws?${'token=e&token=r&token=d&'.repeat(200)}`;
    expect(await answerTo({ path })).toEqual([400, 'BAD_REQUEST']);
    expect(running.errors).toEqual([]);
  });

  it('R1: sent again and again does not make an error grow that is thrown each time', async () => {
    const error = new UnauthorizedException('dreadful');
    await start({ authenticate: () => Promise.reject(error) });
    for (let n = 0; n < 60; n++)
      expect((await answerTo({ path: `/ws?token=${'der'[n % 3]}` })) as unknown[]).toContain(401);
    expect(error.message.length).toBeLessThan(100);
  });

  it('is found for an authenticator of your own, too', async () => {
    await start({
      authenticate: (request) => {
        const token = tokenOf(request, { from: ['header', 'cookie'], cookieName: 'sid' });
        return token === undefined ? null : { userId: token, payload: {} };
      },
    });
    expect(userOf(await running.connect(bearer('opaque-1')))).toBe('opaque-1');
    expect(userOf(await running.connect({ headers: { cookie: 'sid=opaque-2' } }))).toBe('opaque-2');
    expect(await answerTo({ headers: { Authorization: 'Bearer a', Cookie: 'sid=b' } })).toEqual([400, 'BAD_REQUEST']);
  });
});

describe('R8: a token', () => {
  let running: RunningApp;
  afterEach(() => running.close());

  it.each([
    ['/ws', '/ws'],
    ['/ws?', '/ws?'],
    ['/ws?token=a.b.c', '/ws?token=[redacted]'],
    ['/ws?a=1&token=a&b=2&token=c', '/ws?a=1&token=[redacted]&b=2&token=[redacted]'],
    ['/ws?%74oken=a&t%6Fken=b', '/ws?%74oken=[redacted]&t%6Fken=[redacted]'],
    ['/ws?access_token=a&tokens=1&x=token', '/ws?access_token=[redacted]&tokens=1&x=token'],
    ['/ws?token=a?token=b', '/ws?token=[redacted]'],
  ])('is not in an address that is logged: %s', async (url, redacted) => {
    running = await startApp();
    expect(redactUrl(url)).toBe(redacted);
  });

  it('is not logged, not passed to onError or onMessage, and not in the URL that hooks get', async () => {
    const lines: string[] = [];
    const errors: string[] = [];
    const note = (...parts: unknown[]): void => void lines.push(parts.map(String).join(' '));
    Logger.overrideLogger({ log: note, error: note, warn: note, debug: note, verbose: note, fatal: note });
    const good = await tokenFor('ada');
    const bad = await tokenFor('ada', {}, { expiresIn: -5 });
    const secrets = [good, bad, 'opaque-token'];
    const urls: (string | undefined)[] = [];
    const heard: unknown[] = [];
    try {
      running = await startApp({
        keepsLogger: true,
        options: {
          debug: { printRoutes: true },
          auth: { jwt },
          events: {
            onError: ({ error }) => void errors.push(`${error.message} ${error.stack}`),
            onConnected: ({ request }) => void urls.push(request?.url),
            onMessage: ({ data }) => void heard.push(data),
          },
        },
      });
      const peer = await running.connectTo(`${running.url}?token=${good}&x=1`);
      expect((await peer.request('system', 'refresh', { token: good })).response.success).toBe(true);
      expect((await peer.request('system', 'refresh', { token: bad })).data.code).toBe('UNAUTHENTICATED');
      await expect(running.connectTo(`${running.url}?token=${bad}`)).rejects.toThrow('401');
      expect(urls).toEqual(['/ws?token=[redacted]&x=1']);
      expect(heard).toHaveLength(2);
      await running.close();

      const leaking = (request: { url?: string; headers: object }) => {
        throw new Error(`lookup of ${request.url} ${JSON.stringify(request.headers)} failed`);
      };
      running = await startApp({ keepsLogger: true, options: { auth: { authenticate: leaking } } });
      await expect(running.connectTo(`${running.url}?token=opaque-token`)).rejects.toThrow('500');
      await expect(running.connect(bearer('opaque-token'))).rejects.toThrow('500');
      errors.push(...running.errors.map(({ message, stack }) => `${message} ${stack}`));
      expect(running.errors).toHaveLength(2);
      await running.close();
      running = await startApp({
        keepsLogger: true,
        options: { auth: { authenticate: leaking }, events: { onError: undefined as never } },
      });
      await expect(running.connectTo(`${running.url}?token=opaque-token`)).rejects.toThrow('500');
    } finally {
      Logger.overrideLogger(false);
    }
    const everything = [...lines, ...errors, JSON.stringify(heard)].join('\n');
    expect(everything).toContain('[redacted]');
    expect(lines.join('\n')).toContain('[redacted]');
    for (const secret of secrets) expect(everything).not.toContain(secret);
  });

  it.each<[string, Parameters<typeof startApp>[0]]>([
    ['is configured elsewhere', { options: { auth: { jwt, tokenFrom: ['header'] } } }],
    ['comes in a first message', { options: { auth: { jwt, tokenFrom: ['message', 'header'] } } }],
    ['is not asked for', {}],
  ])('in a misplaced system/authenticate is not told to onMessage where it %s', async (_, { options } = {}) => {
    const heard: unknown[] = [];
    running = await startApp({ options: { ...options, events: { onMessage: ({ data }) => void heard.push(data) } } });
    const token = await tokenFor('ada');
    const peer = await running.connect(bearer(token));
    await peer.request('system', 'authenticate', { token });
    await peer.request('system', 'refresh', { token });
    expect(heard).toHaveLength(2);
    expect(JSON.stringify(heard)).not.toContain(token);
  });

  it.each<[string, string, Record<string, string>]>([
    ['percent-encoded in the query', '?token=opaque%2Dtoken', {}],
    ['in a query with an encoded name', '?%74oken=opaque%2dtoken', {}],
    ['twice in the query', '?x=1&token=opaque&token=opaque-token', {}],
    ['an access_token', '?access_token=opaque-token', {}],
    ['a percent-encoded access_token', '?access_token=opaque%2Dtoken', {}],
    ['a percent-encoded cookie', '', { cookie: 'a=1; token=opaque%2Dtoken' }],
  ])('is in no error that is reported: %s', async (_, query, headers) => {
    const fail = ({ url = '', headers: { cookie } }: IncomingMessage): never => {
      throw new Error(`${url} ${decodeURIComponent(url)} ${new URLSearchParams(url).toString()} ${cookie}`);
    };
    running = await startApp({ options: { auth: { authenticate: fail } } });
    await expect(running.connectTo(`${running.url}${query}`, { headers })).rejects.toThrow('500');
    expect(running.errors[0]?.message).toContain('[redacted]');
    for (const { message, stack } of running.errors) expect(`${message} ${stack}`).not.toMatch(/opaque|(-|%2d)token/i);
  });

  it.each<[string, () => unknown, string]>([
    [
      'in errors that are the cause of each other',
      () => {
        const inner = new Error('the store said opaque-token');
        return (inner.cause = new Error('no luck with opaque-token', { cause: inner }));
      },
      'no luck with [redacted]',
    ],
    [
      'in one of several errors',
      () => new AggregateError([new Error('first'), new Error('opaque-token')], 'all failed with opaque-token'),
      'all failed with [redacted]',
    ],
    ['in a frozen error', () => Object.freeze(new Error('no luck with opaque-token')), 'is left out'],
    [
      'in an error that fails when it is read',
      () => Object.defineProperty(new Error(), 'message', { get: () => failing('opaque-token') }),
      'is left out',
    ],
    ['in a thrown text', () => 'no luck with opaque-token', 'no luck with [redacted]'],
  ])('is in no error that is reported, nor is that lost: %s', async (_, failure, message) => {
    const fail = (): never => {
      throw failure();
    };
    running = await startApp({ options: { auth: { authenticate: fail } } });
    await expect(running.connect(bearer('opaque-token'))).rejects.toThrow('500');
    expect(running.errors).toHaveLength(1);
    expect(running.errors[0]?.message).toContain(message);
    expect(inspect(running.errors[0], { depth: 10 })).not.toContain('opaque');
  });
});

function failing(message: string): never {
  throw new Error(message);
}
