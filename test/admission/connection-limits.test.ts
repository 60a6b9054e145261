import { afterEach, describe, expect, it } from '@jest/globals';
import type { WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { type HandshakeOptions, RawPeer } from '../support/raw-peer.js';
import { SECRET, tokenFor } from '../support/tokens.js';
import { until } from '../support/until.js';

let running: RunningApp;
const peers: RawPeer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.reset();
  await running.close();
});

const start = async (limits: WebSocketOptions['limits'], options: WebSocketOptions = {}): Promise<void> => {
  running = await startApp({ options: { limits, ...options } });
};

async function shake(options?: HandshakeOptions): Promise<RawPeer> {
  const peer = await RawPeer.handshake(running.port, options);
  peers.push(peer);
  return peer;
}

async function statusOf(options?: HandshakeOptions): Promise<number | undefined> {
  return (await shake(options)).answer?.status;
}

const codeOf = ({ answer }: RawPeer): unknown => (JSON.parse(answer?.body ?? '{}') as { code?: string }).code;
const from = (address: string): HandshakeOptions => ({ headers: { 'X-Forwarded-For': address } });
const as = (Authorization: string): HandshakeOptions => ({ headers: { Authorization } });

/** Asynchronous, as a look into a database is. */
const users: WebSocketOptions = {
  auth: {
    required: false,
    authenticate: async ({ headers }) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return headers.authorization ? { userId: headers.authorization, payload: {} } : null;
    },
  },
};

describe('connections of a user', () => {
  it('are 20, even of 30 that come at once; others are let in', async () => {
    await start({}, users);
    const statuses = await Promise.all(Array.from({ length: 30 }, () => statusOf(as('ada'))));
    expect(statuses.filter((status) => status === 101)).toHaveLength(20);
    const refused = await shake(as('ada'));
    expect([refused.answer?.status, codeOf(refused)]).toEqual([429, 'CONNECTION_LIMIT']);
    await refused.closed;
    expect(await statusOf(as('bob'))).toBe(101);
    expect(await statusOf()).toBe(101);
    expect(running.clients.getUserClients({ userId: 'ada' })).toHaveLength(20);
  });

  it('may come again when one has gone', async () => {
    await start({ connectionsPerUser: 1 }, users);
    const first = await shake(as('ada'));
    expect(await statusOf(as('ada'))).toBe(429);
    first.reset();
    await until(() => running.clients.size === 0);
    expect(await statusOf(as('ada'))).toBe(101);
  });

  it('are not counted for a userId that a client only claims in a join', async () => {
    await start({ connectionsPerUser: 1 }, users);
    const liar = await running.connect();
    await liar.join('lobby', { userId: 'ada' });
    expect(await statusOf(as('ada'))).toBe(101);
  });
});

describe('connections of a user whom a first message names', () => {
  it('are counted when it is known: one too many is closed with 4100', async () => {
    await start({ connectionsPerUser: 1 }, { auth: { jwt: { secret: SECRET }, tokenFrom: ['message'] } });
    const first = await running.connect({ isRaw: true });
    const second = await running.connect({ isRaw: true });
    const other = await running.connect({ isRaw: true });
    const authenticate = async (peer: Peer, sub: string): Promise<void> =>
      peer.send('system', 'authenticate', { token: await tokenFor(sub) }, 'auth');
    await authenticate(first, 'ada');
    await first.next('system', 'authenticate');
    await authenticate(second, 'ada');
    expect(await second.closed).toEqual({ code: 4100, reason: 'too many connections of this user' });
    expect(second.received).toEqual([]);
    await authenticate(other, 'bob');
    await other.next('system', 'authenticate');
    expect(running.clients.size).toBe(2);
    await first.settle();
  });
});

describe('connections of an address', () => {
  const trustProxy = 'loopback';

  it('that are too many get 429, until one is closed; other addresses are let in', async () => {
    await start({ connectionsPerIp: 2 }, { trustProxy });
    const first = await shake(from('192.0.2.1'));
    expect(await statusOf(from('192.0.2.1'))).toBe(101);
    const refused = await shake(from('192.0.2.1'));
    expect([refused.answer?.status, codeOf(refused)]).toEqual([429, 'CONNECTION_LIMIT']);
    expect(await statusOf(from('192.0.2.2'))).toBe(101);
    first.reset();
    await until(() => running.clients.size === 2);
    expect(await statusOf(from('192.0.2.1'))).toBe(101);
  });

  it('count from the handshake on, until it is refused', async () => {
    await start({ connectionsPerIp: 2 }, { trustProxy, ...users });
    const statuses = await Promise.all(Array.from({ length: 10 }, () => statusOf(from('192.0.2.1'))));
    expect(statuses.filter((status) => status === 101)).toHaveLength(2);
    for (let n = 0; n < 5; n++) {
      const foreign = await shake({ headers: { 'X-Forwarded-For': '192.0.2.3', Origin: 'https://evil.example' } });
      expect(foreign.answer?.status).toBe(403);
      await foreign.closed;
    }
    await until(async () => (await statusOf(from('192.0.2.3'))) === 101);
  });
});

describe('handshakes of an address', () => {
  it('over the rate get 429 with Retry-After, accepted or not; other addresses are let in', async () => {
    await start({ handshakesPerIp: { perSecond: 0.5, burst: 3 } }, { trustProxy: 'loopback' });
    const foreign = { headers: { 'X-Forwarded-For': '192.0.2.1', Origin: 'https://evil.example' } };
    expect(await statusOf(from('192.0.2.1'))).toBe(101);
    expect(await statusOf(foreign)).toBe(403);
    expect(await statusOf(from('192.0.2.1'))).toBe(101);
    const refused = await shake(from('192.0.2.1'));
    expect([refused.answer?.status, codeOf(refused)]).toEqual([429, 'RATE_LIMITED']);
    expect(refused.answer?.headers).toMatch(/^Retry-After: [12]$/m);
    await refused.closed;
    expect(await statusOf(from('192.0.2.2'))).toBe(101);
  });
});

describe('maxConnections', () => {
  it('limits the connections of the process: more get 503', async () => {
    await start({}, { maxConnections: 2 });
    expect([await statusOf(), await statusOf()]).toEqual([101, 101]);
    const refused = await shake();
    expect([refused.answer?.status, codeOf(refused)]).toEqual([503, 'OVER_CAPACITY']);
    expect(refused.answer?.headers).toMatch(/^Retry-After: 5$/m);
  });
});
