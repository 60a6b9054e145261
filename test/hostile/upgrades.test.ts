import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ChildApp } from '../support/child.js';
import type { Peer } from '../support/peer.js';
import { frameBytes, handshakeBytes, RawPeer, textBytes } from '../support/raw-peer.js';

const HALF_DONE = 5_000;

async function expectPeace(app: ChildApp, bystander: Peer): Promise<void> {
  expect((await bystander.request('test', 'echo', 'still here')).response).toBe('still here');
  const alone = await app.untilStats(({ clients, resources }) => clients === 1 && resources['TCPSocketWrap'] === 1);
  expect(alone.errors).toEqual([]);
}

/** A connect succeeds in the kernel, before the server takes it. */
const untilAccepted = (app: ChildApp, count: number) =>
  app.untilStats(({ resources }) => resources['TCPSocketWrap'] === count);

/** What was written before this began has been read by the server once it resolves. */
async function untilRead(bystander: Peer): Promise<void> {
  // Twice: one turn of the server may answer the bystander before it reads from the other socket.
  for (let count = 0; count < 2; count++) await bystander.request('test', 'echo', null);
}

describe('R2: a reset at every byte', () => {
  let app: ChildApp;
  let bystander: Peer;
  beforeAll(async () => {
    app = await ChildApp.start('slow-auth');
    bystander = await app.connect({ headers: { authorization: 'yes' } });
  });
  afterAll(() => app.stop());

  it('of the handshake, and while authentication is under way', async () => {
    const { length } = handshakeBytes(app.port);
    const peers = await Promise.all(Array.from({ length: length + 1 }, () => RawPeer.connect(app.port)));
    await untilAccepted(app, length + 2);
    peers.forEach((peer, at) => peer.write(handshakeBytes(app.port).subarray(0, at)));
    await untilRead(bystander);
    for (const peer of peers) peer.reset();
    await expectPeace(app, bystander);
  });

  it('of an upgrade that is accepted, written bit by bit', async () => {
    const bytes = handshakeBytes(app.port, { headers: { Authorization: 'yes' } });
    const peers = await Promise.all(Array.from({ length: bytes.length }, () => RawPeer.connect(app.port)));
    await untilAccepted(app, bytes.length + 1);
    await Promise.all(
      peers.map(async (peer, at) => {
        peer.write(bytes.subarray(0, at));
        await untilRead(bystander);
        peer.write(bytes.subarray(at));
        peer.reset();
      }),
    );
    await expectPeace(app, bystander);
  });

  it('of a frame, of a fragment and of a close', async () => {
    const frames = [
      textBytes({ type: 'test', action: 'echo', id: 1, data: 'x'.repeat(150) }),
      frameBytes({ payload: 'half', isFinal: false }),
      frameBytes({ opcode: 8, payload: Buffer.from([3, 0xe8]) }),
    ];
    for (const frame of frames) {
      const peers = await Promise.all(
        Array.from({ length: frame.length + 1 }, () => RawPeer.open(app.port, { headers: { Authorization: 'yes' } })),
      );
      peers.forEach((peer, at) => peer.write(frame.subarray(0, at)));
      await untilRead(bystander);
      for (const peer of peers) peer.reset();
      await expectPeace(app, bystander);
    }
  });
});

describe('R2: half-done upgrades', () => {
  it(`${HALF_DONE} at once: a bystander is served meanwhile, and nothing of them stays`, async () => {
    const app = await ChildApp.start('slow-auth');
    try {
      const bystander = await app.connect({ headers: { authorization: 'yes' } });
      const wave = async (count: number): Promise<void> => {
        const peers: RawPeer[] = [];
        // In lots of less than the backlog of the listening socket.
        for (let lot = 0; lot < count; lot += 250) {
          peers.push(...(await Promise.all(Array.from({ length: 250 }, () => RawPeer.connect(app.port)))));
          // Every second one's headers end: its authentication is under way.
          for (const [index, peer] of peers.slice(-250).entries()) {
            peer.write(handshakeBytes(app.port).subarray(0, index % 2 ? undefined : -2));
          }
          expect((await bystander.request('test', 'echo', lot)).response).toBe(lot);
        }
        await untilAccepted(app, count + 1);
        for (const peer of peers) peer.reset();
        await expectPeace(app, bystander);
      };
      await wave(500); // compiles what it runs and fills the engine's pools
      const before = (await app.ask('collect')).stats?.heapUsed as number;
      await wave(HALF_DONE);
      const { heapUsed, held } = (await app.ask('collect')).stats as { heapUsed: number; held: number };
      expect(held).toBeLessThanOrEqual(2);
      // A kilobyte kept of each would be 5 MB; a socket alone is several.
      expect(heapUsed - before).toBeLessThan(HALF_DONE * 1_000);
    } finally {
      await app.stop();
    }
  });

  it('slow headers: Node cuts them off at its headersTimeout, and we keep nothing', async () => {
    const app = await ChildApp.start('short-headers-timeout');
    try {
      const bystander = await app.connect();
      const peers = await Promise.all(Array.from({ length: 100 }, () => RawPeer.connect(app.port)));
      const bytes = handshakeBytes(app.port);
      let at = 0;
      const drip = setInterval(() => {
        for (const peer of peers) peer.write(bytes.subarray(at, at + 1));
        at = Math.min(at + 1, bytes.length - 3); // then more of the same byte, never the end
      }, 20);
      try {
        await Promise.all(peers.map((peer) => peer.closed));
      } finally {
        clearInterval(drip);
      }
      for (const peer of peers) expect([undefined, 408]).toContain(peer.answer?.status);
      await expectPeace(app, bystander);
    } finally {
      await app.stop();
    }
  });
});

describe('R1: odd upgrade requests', () => {
  let app: ChildApp;
  let bystander: Peer;
  beforeAll(async () => {
    app = await ChildApp.start('strict-limits');
    bystander = await app.connect();
  });
  afterAll(() => app.stop());

  const good = () => handshakeBytes(app.port).toString('latin1');
  const withHeaders = (headers: Record<string, string | undefined>) =>
    handshakeBytes(app.port, { headers }).toString('latin1');
  const entries = (count: number) => Array.from({ length: count }, (_, index) => `p${index}`).join(',');

  const REFUSED: [what: string, statuses: number[], request: () => string][] = [
    ['an absolute URL of another path', [404], () => good().replace('GET /ws', 'GET http://127.0.0.1/other')],
    ['an absolute URL of a user', [400], () => good().replace('GET /ws', 'GET http://user:evil=1@127.0.0.1/ws')],
    ['an absolute URL of no host', [400, 404], () => good().replace('GET /ws', 'GET http:///ws')],
    ['an absolute URL of no port', [400], () => good().replace('GET /ws', 'GET http://127.0.0.1:evil/ws')],
    ['a path that is only decoded ours', [404], () => good().replace('GET /ws', 'GET /%77s')],
    ['a path with dots', [404], () => good().replace('GET /ws', 'GET /x/../ws')],
    ['a POST', [405], () => good().replace('GET', 'POST')],
    ['a key that is none', [400], () => withHeaders({ 'Sec-WebSocket-Key': 'short' })],
    ['no key', [400], () => withHeaders({ 'Sec-WebSocket-Key': undefined })],
    ['version 12', [426], () => withHeaders({ 'Sec-WebSocket-Version': '12' })],
    ['another protocol to upgrade to', [426], () => withHeaders({ Upgrade: 'h2c' })],
    ['a line break inside of Origin', [400], () => withHeaders({ Origin: 'https://x\rSet-Cookie: evil=1' })],
    ['a NUL inside of Origin', [400], () => withHeaders({ Origin: 'https://x\0' })],
    ['an Origin of two lines', [400, 403], () => withHeaders({ Origin: 'https://x\r\n Set-Cookie: evil=1' })],
    ['the Origin "null"', [403], () => withHeaders({ Origin: 'null' })],
    ['an endless Origin', [403], () => withHeaders({ Origin: `https://${'x'.repeat(10_000)}` })],
    [
      'a line break inside of the subprotocol',
      [400],
      () => withHeaders({ 'Sec-WebSocket-Protocol': 'a\rSet-Cookie: evil=1' }),
    ],
    ['a subprotocol that is no token', [400], () => withHeaders({ 'Sec-WebSocket-Protocol': 'a, evil=1;b' })],
    ['a subprotocol twice', [400], () => withHeaders({ 'Sec-WebSocket-Protocol': 'a, a' })],
    ['10,000 subprotocols', [431], () => withHeaders({ 'Sec-WebSocket-Protocol': entries(10_000) })],
    ['extensions that are none', [101, 400], () => withHeaders({ 'Sec-WebSocket-Extensions': '=;,"' })],
    ['headers above 16 KiB', [431], () => withHeaders({ 'X-Long': 'x'.repeat(17_000) })],
    ['a header without end', [431], () => `GET /ws HTTP/1.1\r\nX: ${'x'.repeat(100_000)}`],
    ['no request at all', [400], () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
  ];

  it.each(REFUSED)('%s is answered with %j', async (_, statuses, request) => {
    const peer = await RawPeer.connect(app.port);
    peer.write(Buffer.from(request(), 'latin1'));
    await peer.until(() => peer.answer !== undefined);
    const { status } = peer.answer as { status: number };
    if (status === 101) peer.reset();
    expect(statuses).toContain(status);
    expect(peer.answer?.headers.toLowerCase()).not.toContain('set-cookie');
    expect(peer.bytes.toString()).not.toContain('evil');
    await peer.closed;
    await expectPeace(app, bystander);
  });

  it.each(['http', 'ws', 'WSS'])('an absolute %s URL is served as RFC 9112 section 3.2.2 says', async (scheme) => {
    const peer = await RawPeer.connect(app.port);
    const headers = { Host: 'elsewhere.example', Origin: 'https://chat.example.com' };
    const request = handshakeBytes(app.port, { headers }).toString('latin1');
    peer.write(request.replace('GET /ws', `GET ${scheme}://chat.example.com/ws?room=1`));
    await peer.until(() => peer.answer !== undefined);
    expect(peer.answer?.status).toBe(101); // its authority is the host, not what Host says
    peer.reset();
    const page = await RawPeer.connect(app.port);
    page.write(request.replace('GET /ws', `GET ${scheme}://elsewhere.example/ws`));
    await page.until(() => page.answer !== undefined);
    expect(page.answer?.status).toBe(403);
    page.reset();
    await expectPeace(app, bystander);
  });

  it.each(['HTTP/1.0', 'HTTP/0.9'])('%s is refused', async (version) => {
    const peer = await RawPeer.connect(app.port);
    peer.write(good().replace('HTTP/1.1', version));
    await peer.until(() => peer.answer !== undefined);
    peer.reset();
    expect(peer.answer?.status).toBe(400);
  });

  it('of thousands of subprotocols the first is taken', async () => {
    const peer = await RawPeer.open(app.port, { headers: { 'Sec-WebSocket-Protocol': entries(2_000) } });
    expect(peer.answer?.headers).toMatch(/^Sec-WebSocket-Protocol: p0$/im);
    peer.reset();
    await expectPeace(app, bystander);
  });

  it('frames in the same packet as the request are handled, after the greeting', async () => {
    const peer = await RawPeer.connect(app.port);
    const frame = textBytes({ type: 'test', action: 'echo', id: 1, data: 'early' });
    peer.write(Buffer.concat([handshakeBytes(app.port), frame, frame.subarray(0, 5)]));
    peer.write(frame.subarray(5));
    await peer.until(() => peer.messages.length === 3);
    expect(peer.messages.map(({ action, response }) => response ?? action)).toEqual(['connected', 'early', 'early']);
    peer.reset();
    await expectPeace(app, bystander);
  });

  it.each([
    ['in one packet', true],
    ['one after the other', false],
  ])('a second upgrade on the same socket is a broken frame: %s', async (_, inOne) => {
    const peer = await RawPeer.connect(app.port);
    peer.write(Buffer.concat([handshakeBytes(app.port), inOne ? handshakeBytes(app.port) : Buffer.alloc(0)]));
    await peer.until(() => peer.answer?.status === 101);
    if (!inOne) peer.write(handshakeBytes(app.port));
    await peer.until(() => peer.closeCode !== undefined);
    expect(peer.closeCode).toBe(1002);
    expect(peer.bytes.toString('latin1').split('HTTP/1.1')).toHaveLength(2);
    peer.reset();
    await expectPeace(app, bystander);
  });

  it('a second request behind a refused one is not answered', async () => {
    const peer = await RawPeer.connect(app.port);
    const refused = handshakeBytes(app.port, { headers: { Origin: 'https://elsewhere.example' } });
    peer.write(Buffer.concat([refused, handshakeBytes(app.port)]));
    await peer.closed;
    expect(peer.answer?.status).toBe(403);
    expect(peer.bytes.toString('latin1').split('HTTP/1.1')).toHaveLength(2);
    await expectPeace(app, bystander);
  });
});
