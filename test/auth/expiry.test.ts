import { afterEach, describe, expect, it } from '@jest/globals';
import type { AuthOptions, WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { Stopwatch } from '../support/stopwatch.js';
import { bearer, SECRET, tokenFor } from '../support/tokens.js';

const jwt = { secret: SECRET };

describe('R8: an expired token', () => {
  let running: RunningApp;
  afterEach(() => running.close());
  const start = async (auth: AuthOptions, more: WebSocketOptions = {}): Promise<void> => {
    running = await startApp({ options: { ...more, auth } });
  };

  it('closes its socket with 4200 within 5 s, and no other', async () => {
    await start({ jwt });
    const watch = new Stopwatch();
    const exp = Math.ceil(Date.now() / 1_000) + 2;
    const short = await running.connect(bearer(await tokenFor('ada', { exp })));
    const long = await running.connect(bearer(await tokenFor('ada')));
    const endless = await running.connect(bearer(await tokenFor('ada', {}, { expiresIn: undefined })));
    expect(await short.closed).toEqual({ code: 4200, reason: 'token expired' });
    const lateMs = Date.now() - exp * 1_000;
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs - watch.lostMs).toBeLessThan(5_000);
    await Promise.all([long.settle(), endless.settle()]);
    await expect(running.connect(bearer(await tokenFor('ada', { exp })))).rejects.toThrow('401');
  });

  it.each([
    ['milliseconds', (ms: number) => ms],
    ['a Date', (ms: number) => new Date(ms)],
  ])('may be said by an authenticator of your own: %s', async (_, form) => {
    await start({
      authenticate: ({ headers }) => ({
        userId: 'ada',
        payload: {},
        expiresAt: form(Date.now() + Number(headers['x-ms'])),
      }),
    });
    const peer = await running.connect({ headers: { 'x-ms': '1000' } });
    expect((await peer.closed).code).toBe(4200);
    await expect(running.connect({ headers: { 'x-ms': '-1' } })).rejects.toThrow('401');
    await expect(running.connect({ headers: { 'x-ms': 'soon' } })).rejects.toThrow('500');
    expect(running.errors.map(({ message }) => message)).toEqual([expect.stringContaining('expiresAt')]);
  });

  it.each([null, undefined, Infinity])('never ends where an authenticator says %p', async (expiresAt) => {
    await start({
      authenticate: () => ({ userId: 'ada', payload: {}, expiresAt }),
      refresh: (_token, user) => ({ ...user, expiresAt }),
    });
    const peer = await running.connect();
    const reply = await peer.request('system', 'refresh', { token: 'x' });
    expect(reply.response).toEqual({ success: true, data: { expiresAt: null } });
  });

  it('renewed in time keeps its socket open, with the claims of the new one', async () => {
    await start({ jwt });
    const exp = Math.ceil(Date.now() / 1_000) + 2;
    const [kept, lost] = await Promise.all(
      ['ada', 'bob'].map(async (sub) => running.connect(bearer(await tokenFor(sub, { exp, role: 'old' })))),
    );
    const later = exp + 3_600;
    const reply = await kept!.request('system', 'refresh', {
      token: await tokenFor('ada', { exp: later, role: 'new' }),
    });
    expect(reply.response).toEqual({ success: true, data: { expiresAt: later * 1_000 } });
    expect((await lost!.closed).code).toBe(4200);
    await kept!.settle();
    expect(running.clients.getClient(kept!)?.user?.payload).toMatchObject({ role: 'new' });
    expect(running.clients.getUserClients({ userId: 'ada' })).toHaveLength(1);
    await running.service.sendToUsers(['ada'], { type: 'to', action: 'ada' });
    await kept!.next('to', 'ada');
    const endless = await kept!.request('system', 'refresh', {
      token: await tokenFor('ada', {}, { expiresIn: undefined }),
    });
    expect(endless.response.data).toEqual({ expiresAt: null });
  });

  it("R6: can't be renewed with another user's, nor with one that isn't valid; everything stays as it was", async () => {
    await start({ jwt });
    const exp = Math.ceil(Date.now() / 1_000) + 2;
    const peer = await running.connect(bearer(await tokenFor('7', { exp, role: 'member' })));
    const codeFor = async (data: unknown): Promise<string> => (await peer.request('system', 'refresh', data)).data.code;
    for (const sub of ['mallory', '07', '7.0', '7f3e'])
      expect(await codeFor({ token: await tokenFor(sub, { role: 'admin' }) })).toBe('FORBIDDEN');
    expect(await codeFor({ token: await tokenFor('7', {}, { expiresIn: -1 }) })).toBe('UNAUTHENTICATED');
    expect(await codeFor({ token: 'x' })).toBe('UNAUTHENTICATED');
    for (const data of [undefined, {}, { token: 7 }, { token: '' }, 'x'])
      expect(await codeFor(data)).toBe('BAD_REQUEST');
    expect(running.clients.getClient(peer)?.user).toMatchObject({ userId: '7', payload: { role: 'member' } });
    expect((await peer.closed).code).toBe(4200);
    expect(running.errors).toEqual([]);
  });

  it('can not be renewed on an anonymous connection', async () => {
    await start({ jwt, required: false });
    const peer = await running.connect();
    const reply = await peer.request('system', 'refresh', { token: await tokenFor('ada') });
    expect(reply.data.code).toBe('FORBIDDEN');
    expect(running.clients.getClient(peer)?.user).toBeNull();
    await expect(running.connect(bearer('not.a.token'))).rejects.toThrow('401');
  });

  it('is renewed by an authenticator of your own when it can', async () => {
    await start({
      authenticate: () => ({ userId: 7, payload: {}, expiresAt: Date.now() + 60_000 }),
      refresh: (token, { userId }) => (token === 'good' ? { userId: String(userId), payload: { n: 2 } } : null),
    });
    const peer = await running.connect();
    expect((await peer.request('system', 'refresh', { token: 'bad' })).data.code).toBe('UNAUTHENTICATED');
    expect((await peer.request('system', 'refresh', { token: 'good' })).response.data).toEqual({ expiresAt: null });
    await running.close();
    await start({ authenticate: () => ({ userId: 7, payload: {} }) });
    const other = await running.connect();
    expect((await other.request('system', 'refresh', { token: 'good' })).data.code).toBe('UNKNOWN_ROUTE');
  });
});
