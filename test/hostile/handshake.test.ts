import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ChildApp } from '../support/child.js';
import type { Peer } from '../support/peer.js';
import { frameBytes, handshakeBytes, RawPeer, textBytes } from '../support/raw-peer.js';

/** Repeated: a reset reaches the server at whatever point it has come to by then. */
const TIMES = 20;

describe('R2: a reset during the handshake leaves the process running:', () => {
  let app: ChildApp;
  let bystander: Peer;
  beforeAll(async () => {
    app = await ChildApp.start('slow-auth');
    bystander = await app.connect({ headers: { authorization: 'yes' } });
  });
  afterAll(() => app.stop());

  async function expectPeace(): Promise<void> {
    const { errors } = await app.untilStats(
      ({ clients, resources }) => clients === 1 && resources['TCPSocketWrap'] === 1,
    );
    expect(errors).toEqual([]);
    expect((await bystander.request('test', 'echo', 'still here')).response).toBe('still here');
  }

  const points: [at: string, act: (peer: RawPeer) => void | Promise<void>][] = [
    ['after the connect', () => undefined],
    ['in the request line', (peer) => peer.write('GET /w')],
    ['in a header', (peer) => peer.write(handshakeBytes(app.port).subarray(0, 60))],
    ['before the last byte of the headers', (peer) => peer.write(handshakeBytes(app.port).subarray(0, -1))],
    ['right after the headers', (peer) => peer.write(handshakeBytes(app.port))],
    [
      'after the headers and a first frame',
      (peer) => peer.write(Buffer.concat([handshakeBytes(app.port), textBytes({})])),
    ],
    [
      'during authentication',
      async (peer) => {
        const before = (await app.stats()).authenticating;
        peer.write(handshakeBytes(app.port));
        await app.untilStats(({ authenticating }) => authenticating > before);
      },
    ],
    [
      'after a refusal',
      async (peer) => {
        peer.write(handshakeBytes(app.port, { headers: { Origin: 'https://elsewhere.example' } }));
        await peer.until(() => peer.answer?.status === 403);
      },
    ],
    [
      'while the 101 is on its way',
      async (peer) => {
        peer.write(handshakeBytes(app.port, { headers: { Authorization: 'yes' } }));
        await new Promise((resolve) => setTimeout(resolve, 50));
      },
    ],
    [
      'right after the 101',
      async (peer) => {
        peer.write(handshakeBytes(app.port, { headers: { Authorization: 'yes' } }));
        await peer.until(() => peer.answer?.status === 101);
      },
    ],
    [
      'in the middle of a frame',
      async (peer) => {
        peer.write(handshakeBytes(app.port, { headers: { Authorization: 'yes' } }));
        await peer.until(() => peer.answer?.status === 101);
        peer.write(frameBytes({ payload: 'half of it' }).subarray(0, 8));
      },
    ],
    [
      'with an answer on its way',
      async (peer) => {
        peer.write(handshakeBytes(app.port, { headers: { Authorization: 'yes' } }));
        await peer.until(() => peer.answer?.status === 101);
        peer.send({ type: 'test', action: 'echo', id: 1, data: 'x'.repeat(50_000) });
      },
    ],
  ];

  it.each(points)('%s', async (_, act) => {
    await Promise.all(
      Array.from({ length: TIMES }, async () => {
        const peer = await RawPeer.connect(app.port);
        await act(peer);
        peer.reset();
        await peer.closed;
      }),
    );
    await expectPeace();
  });

  it('half-open: the peer ends its side and waits', async () => {
    const peers = await Promise.all(
      points.slice(0, 6).map(async ([, act]) => {
        const peer = await RawPeer.connect(app.port, { allowHalfOpen: true });
        await act(peer);
        peer.socket.end();
        return peer;
      }),
    );
    const open = await RawPeer.open(app.port, { allowHalfOpen: true, headers: { Authorization: 'yes' } });
    open.socket.end();
    await app.untilStats(({ clients }) => clients === 1);
    for (const peer of [...peers, open]) peer.reset();
    await expectPeace();
  });

  it('nothing of an abandoned authentication stays in memory', async () => {
    const { authenticating: before } = await app.stats();
    const peers = await Promise.all(Array.from({ length: 100 }, () => RawPeer.connect(app.port)));
    for (const peer of peers) peer.write(handshakeBytes(app.port));
    await app.untilStats(({ authenticating }) => authenticating === before + 100);
    for (const peer of peers) peer.reset();
    await expectPeace();
    const { stats } = await app.ask('collect');
    // The bystander's own request, and one that a register of the engine may still point at.
    expect(stats?.held).toBeLessThanOrEqual(2);
    expect(stats?.resources['Timeout'] ?? 0).toBeLessThanOrEqual(1);
  });
});
