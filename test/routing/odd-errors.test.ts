import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ChildApp } from '../support/child.js';
import { Peer } from '../support/peer.js';
import { RawPeer } from '../support/raw-peer.js';

const INTERNAL = { code: 'INTERNAL', error: 'Something went wrong on the server.' };

/** What is thrown, and what the peer hears of it. */
const ODD: [what: string, code: string, error: unknown][] = [
  ['error', INTERNAL.code, INTERNAL.error],
  ['null', INTERNAL.code, INTERNAL.error],
  ['undefined', INTERNAL.code, INTERNAL.error],
  ['text', INTERNAL.code, INTERNAL.error],
  ['symbol', INTERNAL.code, INTERNAL.error],
  ['bare', INTERNAL.code, INTERNAL.error],
  ['ws-null', 'BAD_REQUEST', expect.any(String)],
  ['http-null', 'BAD_REQUEST', expect.any(String)],
  ['http-broken', INTERNAL.code, INTERNAL.error],
  ['cyclic', 'ODD', 'Odd.'],
  ['revoked', INTERNAL.code, INTERNAL.error],
  ['no-prototype', INTERNAL.code, INTERNAL.error],
  ['message-getter', INTERNAL.code, INTERNAL.error],
  ['stack-getter', INTERNAL.code, INTERNAL.error],
  ['symbol-message', INTERNAL.code, INTERNAL.error],
  ['peer-symbol', INTERNAL.code, INTERNAL.error],
  ['peer-code', 'constructor', 'Odd.'],
];

describe.each(['plain', 'no-on-error'] as const)(
  'R3: whatever a handler throws, the process lives and answers (%s):',
  (scenario) => {
    let app: ChildApp;
    beforeAll(async () => {
      app = await ChildApp.start(scenario);
    });
    afterAll(() => app.stop());

    it.each(ODD)('%s', async (what, code, error) => {
      const peer = await app.connect();
      for (const action of ['throw', 'throw-by-filter']) {
        for (const isLate of [false, true]) {
          const { data } = await peer.request('test', action, { what, isLate });
          expect(data).toEqual({ code, error, type: 'test', action });
        }
      }
      await app.stats();
    });

    it.each(['value', 'once', 'stream', 'thenable'])('and what it returns: %s', async (how) => {
      const peer = await app.connect();
      const { data } = await peer.request('test', 'return-odd', { how });
      expect(data).toEqual({ ...INTERNAL, type: 'test', action: 'return-odd' });
      await app.stats();
    });
  },
);

describe("R3: the application's callbacks may fail as they like:", () => {
  it.each(['failing-callbacks', 'failing-on-error'] as const)('%s', async (scenario) => {
    const app = await ChildApp.start(scenario);
    try {
      const peer = await app.connect();
      expect((await peer.request('test', 'echo', 1)).response).toBe(1);
      peer.terminate();
      const { errors } = await app.untilStats(({ clients }) => clients === 0);
      await app.stats();
      if (scenario === 'failing-callbacks') expect(errors).toContain('Error: onMessage');
    } finally {
      await app.stop();
    }
  });

  it('odd-callbacks', async () => {
    const app = await ChildApp.start('odd-callbacks');
    try {
      for (const [what, code] of ODD) {
        const refused = await Peer.open(`${app.url}?what=${what}`, { isRaw: true });
        expect((await refused.closed).code).toBe(code === 'BAD_REQUEST' ? 1008 : 1011);
        const peer = await app.connect();
        expect((await peer.request('test', 'echo', { what })).response).toEqual({ what });
        peer.ws.close(1000, what);
        await peer.closed;
      }
      await app.untilStats(({ clients }) => clients === 0);
    } finally {
      await app.stop();
    }
  });
});

describe('R3: whatever is thrown before there is a socket, the process lives and refuses:', () => {
  let app: ChildApp;
  beforeAll(async () => {
    app = await ChildApp.start('odd-handshake');
  });
  afterAll(() => app.stop());

  it.each(ODD)('%s', async (what, code, error) => {
    for (const where of ['auth', 'guard']) {
      const { answer } = await RawPeer.handshake(app.port, { path: `/ws?${where}=${what}` });
      expect([where, answer?.status]).toEqual([where, code === INTERNAL.code ? 500 : 400]);
      expect(JSON.parse(answer?.body ?? '')).toEqual({ code, error });
    }
    await (await app.connect()).settle();
  });
});
