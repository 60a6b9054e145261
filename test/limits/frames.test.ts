import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { WebSocket } from 'ws';
import { type WebSocketOptions, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { frameBytes, RawPeer } from '../support/raw-peer.js';
import { standStill } from '../support/stand-still.js';
import { SECRET, tokenFor } from '../support/tokens.js';

const MEBIBYTE = 1_048_576;

let running: RunningApp;
let bystander: Peer;
afterEach(async () => {
  // Whatever became of the others, whoever behaves has noticed nothing.
  expect((await bystander.request('echo', 'back', 'still here')).response).toBe('still here');
  await running.close();
});

@WsGateway('echo')
class Echo {
  @WsRoute('back')
  back(_ws: unknown, _clientId: string, data: unknown): unknown {
    return data;
  }

  @WsRoute('size')
  size(_ws: unknown, _clientId: string, { length }: string): number {
    return length;
  }
}

async function start(options: WebSocketOptions = {}): Promise<void> {
  running = await startApp({ providers: [Echo], options });
  bystander = await running.connect();
  bystander.send('echo', 'back');
}

/** One message in so many fragments. */
function fragments(count: number): Buffer {
  const text = JSON.stringify({ type: 'echo', action: 'back', data: 'x'.repeat(count), id: 1 });
  const step = Math.floor(text.length / count);
  return Buffer.concat(
    Array.from({ length: count }, (_, n) => {
      const isFinal = n === count - 1;
      const payload = text.slice(n * step, isFinal ? undefined : (n + 1) * step);
      return frameBytes({ opcode: n === 0 ? 1 : 0, isFinal, payload });
    }),
  );
}

describe('fragments of a message', () => {
  it.each<[options: WebSocketOptions, limit: number]>([
    [{}, 128],
    [{ messages: { maxFragments: 3 } }, 3],
  ])('%j are at most %i, then 1008', async (options, limit) => {
    await start(options);
    const peer = await RawPeer.open(running.port);
    peer.write(fragments(limit));
    await peer.until(() => peer.messages.some(({ id }) => id === 1));
    peer.write(fragments(limit + 1));
    await peer.until(() => peer.closeCode !== undefined);
    expect([peer.closeCode, peer.closeReason]).toEqual([1008, expect.stringContaining('too many fragments')]);
    peer.reset();
  });

  it('are as many as a larger maxPayload needs', async () => {
    await start({ messages: { maxPayload: MEBIBYTE } });
    const peer = await RawPeer.open(running.port);
    const text = JSON.stringify({ type: 'echo', action: 'size', data: 'x'.repeat(MEBIBYTE - 100), id: 1 });
    for (let at = 0; at < text.length; at += 4_096) {
      const isFinal = at + 4_096 >= text.length;
      peer.write(frameBytes({ opcode: at === 0 ? 1 : 0, isFinal, payload: text.slice(at, at + 4_096) }));
    }
    await peer.until(() => peer.messages.length === 2);
    expect(peer.messages[1]).toMatchObject({ id: 1, response: MEBIBYTE - 100 });
    peer.reset();
  });
});

describe('pieces of a frame', () => {
  it('are at most maxBufferedChunks, then 1008', async () => {
    await start({ messages: { maxBufferedChunks: 4 } });
    const peer = await RawPeer.open(running.port);
    const frame = frameBytes({ payload: 'x'.repeat(1_000) });
    let at = 0;
    while (peer.closeCode === undefined && at < 500) {
      peer.write(frame.subarray(at, ++at));
      await new Promise((resolve) => setTimeout(resolve, 2)); // one by one, or they arrive as one
    }
    await peer.until(() => peer.closeCode !== undefined);
    expect([peer.closeCode, peer.closeReason]).toEqual([1008, expect.stringContaining('too many fragments')]);
    peer.reset();
  });
});

describe('the reason of a close', () => {
  it.each<[what: string, bytes: Buffer, code: number, reason: string]>([
    ['a frame against the rules', frameBytes({ reserved: 7, payload: '{}' }), 1002, 'protocol error'],
    ['text that is no UTF-8', frameBytes({ payload: Buffer.from([0xff, 0xfe]) }), 1007, 'not UTF-8'],
    ['a message that is too big', frameBytes({ payload: 'x'.repeat(70_000) }), 1009, 'message too big'],
  ])('is said after %s', async (_, bytes, code, reason) => {
    await start();
    const peer = await RawPeer.open(running.port);
    peer.write(bytes);
    await peer.until(() => peer.closeCode !== undefined);
    expect([peer.closeCode, peer.closeReason]).toEqual([code, reason]);
    peer.reset();
  });

  it("is the application's own, or the usual one of its code", async () => {
    await start();
    const closes: [code: number | undefined, reason: string | undefined, expected: object][] = [
      [4010, 'three strikes', { code: 4010, reason: 'three strikes' }],
      [4010, undefined, { code: 4010, reason: 'kicked' }],
      [4300, '', { code: 4300, reason: 'closed by the server' }],
      [undefined, undefined, { code: 1005, reason: '' }],
    ];
    for (const [code, reason, expected] of closes) {
      const peer = await running.connect();
      running.clients.getClient(peer)?.ws?.close(code, reason);
      expect(await peer.closed).toEqual(expected);
    }
    const peer = await running.connect();
    running.clients.disconnectClient({ clientId: peer.clientId, code: 4003 });
    expect(await peer.closed).toEqual({ code: 4003, reason: 'forbidden' });
  });

  it('of the peer comes back as it was', async () => {
    await start();
    const peer = await RawPeer.open(running.port);
    peer.write(frameBytes({ opcode: 8, payload: Buffer.from([0x03, 0xe8]) }));
    await peer.until(() => peer.closeCode !== undefined);
    expect([peer.closeCode, peer.closeReason]).toEqual([1000, '']);
    peer.reset();
  });
});

describe('the size of a message', () => {
  it('is at most maxPayload, then 1009', async () => {
    await start();
    const peer = await running.connect();
    const room = 65_536 - JSON.stringify({ type: 'echo', action: 'back', data: '', id: 'r1' }).length;
    expect((await peer.request('echo', 'back', 'x'.repeat(room))).response).toHaveLength(room);
    peer.send('echo', 'back', 'x'.repeat(65_536));
    expect((await peer.closed).code).toBe(1009);
  });

  it('counts unpacked: a small frame that swells closes with 1009', async () => {
    await start({ messages: { perMessageDeflate: true } });
    const peer = await running.connect();
    expect(peer.ws.extensions).toContain('permessage-deflate');
    expect((await peer.request('echo', 'back', 'x'.repeat(60_000))).response).toHaveLength(60_000);
    peer.send('echo', 'back', 'x'.repeat(1_000_000));
    expect((await peer.closed).code).toBe(1009);
  });
});

describe('compression', () => {
  it('is off unless asked for', async () => {
    await start();
    expect((await running.connect()).ws.extensions).toBe('');
  });

  it('takes the options of ws, and what is broadcast arrives', async () => {
    await start({ messages: { perMessageDeflate: { threshold: 10, serverNoContextTakeover: true } } });
    const headers = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };
    const raw = await RawPeer.open(running.port, { headers });
    expect(raw.answer?.headers).toContain('permessage-deflate; server_no_context_takeover');
    raw.reset();
    const peer = await running.connect();
    expect(peer.ws.extensions).toBe('permessage-deflate');
    const data = 'y'.repeat(5_000);
    await running.service.broadcast({ type: 'news', action: 'flash', data });
    expect((await peer.next('news', 'flash')).data).toBe(data);
    const plain = await running.connect({ perMessageDeflate: false });
    await running.service.broadcast({ type: 'news', action: 'flash', data });
    for (const each of [peer, plain]) expect((await each.next('news', 'flash')).data).toBe(data);
  });
});

describe('protocol pings that come at once', () => {
  const pings = (count: number): Buffer =>
    Buffer.concat(Array.from({ length: count }, () => frameBytes({ opcode: 9, payload: 'x' })));
  const pongsOf = (peer: RawPeer): number => peer.frames.filter(({ opcode }) => opcode === 10).length;

  it('are all answered within the rate', async () => {
    await start({ limits: {} });
    const peer = await RawPeer.open(running.port);
    peer.write(pings(100));
    await peer.until(() => pongsOf(peer) === 100);
    peer.reset();
  });

  it('close with 4108 over it', async () => {
    await start({ limits: {} });
    const peer = await RawPeer.open(running.port);
    const ws = running.clients.getClient({ clientId: peer.messages[0].data.clientId })?.ws as WebSocket;
    const once = jest.spyOn(ws, 'once');
    peer.write(pings(2_000));
    await peer.until(() => peer.closeCode !== undefined);
    expect(peer.closeCode).toBe(4108);
    // The pings behind the one that was too many cost no timer each.
    expect(once.mock.calls.filter(([event]) => event === 'close')).toHaveLength(1);
    peer.reset();
  });

  it('close with 4108 before a first message, too', async () => {
    const auth = { jwt: { secret: SECRET }, tokenFrom: ['header' as const, 'message' as const] };
    running = await startApp({ providers: [Echo], options: { auth, limits: {} } });
    bystander = await running.connect({ headers: { authorization: `Bearer ${await tokenFor('ada')}` } });
    const peer = await RawPeer.handshake(running.port);
    peer.write(pings(50));
    await peer.until(() => pongsOf(peer) === 50);
    peer.write(pings(500));
    await peer.until(() => peer.closeCode !== undefined);
    expect(peer.closeCode).toBe(4108);
    peer.reset();
  });

  it('are cut off without a rate, when more than 1000 pongs are unread', async () => {
    await start();
    const peer = await RawPeer.open(running.port);
    peer.write(pings(900));
    await peer.until(() => pongsOf(peer) === 900);
    peer.write(pings(20_000));
    await peer.closed;
    expect(peer.closeCode).toBeUndefined();
  });
});

describe('the nesting of a message', () => {
  it('is at most maxDepth, then BAD_FRAME', async () => {
    await start();
    const peer = await running.connect();
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    const send = (depth: number): void =>
      peer.sendRaw(`{"type":"echo","action":"back","id":${depth},"data":${nested(depth)}}`);
    send(31);
    expect((await peer.take(({ id }) => id === 31)).response).toBeDefined();
    send(32);
    expect((await peer.take(({ id }) => id === 32)).data.code).toBe('BAD_FRAME');
  });

  it('may be 1000 levels, and no option allows more', async () => {
    await start({ messages: { maxDepth: 1_000 } });
    const peer = await running.connect();
    for (const depth of [999, 1_000, 30_000])
      peer.sendRaw(`{"type":"echo","action":"back","id":${depth},"data":${'['.repeat(depth)}${']'.repeat(depth)}}`);
    expect((await peer.take(({ id }) => id === 999)).response).toBeDefined();
    for (const depth of [1_000, 30_000])
      expect((await peer.take(({ id }) => id === depth)).data.code).toBe('BAD_FRAME');
    await expect(startApp({ options: { messages: { maxDepth: 1_001 } } })).rejects.toThrow(
      '"messages.maxDepth" must be a whole number from 1 to 1000',
    );
  });
});

describe('the first message', () => {
  it('must come within firstMessageTimeoutMs, else 1008', async () => {
    await start({ limits: { messages: false, firstMessageTimeoutMs: 1_000 } });
    const talking = await running.connect();
    talking.send('no', 'route');
    const silent = await running.connect();
    const mute = await running.connect();
    const pongs = setInterval(() => mute.ws.pong(), 50);
    expect(await silent.closed).toEqual({ code: 1008, reason: 'no message in time' });
    expect((await mute.closed).code).toBe(1008);
    clearInterval(pongs);
    await talking.settle();
  });

  it('may have come while this process stood still', async () => {
    await start({ limits: { messages: false, firstMessageTimeoutMs: 600 } });
    const peer = await running.connect();
    peer.send('no', 'route');
    standStill(800);
    await peer.settle();
  });

  it('may be the one that says who it is', async () => {
    const auth = { jwt: { secret: SECRET }, tokenFrom: ['header' as const, 'message' as const] };
    const headers = { authorization: `Bearer ${await tokenFor('ada')}` };
    running = await startApp({ providers: [Echo], options: { auth, limits: { firstMessageTimeoutMs: 1_000 } } });
    bystander = await running.connect({ headers });
    bystander.send('echo', 'back');
    const token = await tokenFor('bob');
    const peer = await running.connect({ isRaw: true });
    peer.send('system', 'authenticate', { token });
    await peer.next('system', 'connected');
    const silent = await running.connect({ headers }); // its time is over later
    expect((await silent.closed).code).toBe(1008);
    expect(running.clients.getUserClients({ userId: 'bob' })).toHaveLength(1);
  });

  it('may come when it likes by default', async () => {
    await start();
    const { firstMessageTimeoutMs } = running.server.options.limits;
    expect(firstMessageTimeoutMs).toBe(false);
  });
});
