import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type WebSocket, WebSocketServer as WS } from 'ws';
import { frameLength, frameText, writeTextFrame } from '../../lib/outbound/wire.js';
import { type RunningApp, startApp } from '../support/app.js';
import { RawPeer } from '../support/raw-peer.js';

describe('a text frame', () => {
  let http: HttpServer;
  let peer: RawPeer;
  let ws: WebSocket;
  beforeEach(async () => {
    http = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => http.once('listening', resolve));
    const connected = new Promise<WebSocket>((resolve) => new WS({ server: http }).once('connection', resolve));
    peer = await RawPeer.handshake((http.address() as AddressInfo).port);
    ws = await connected;
  });
  afterEach(() => {
    peer.reset();
    http.close();
  });

  it.each([
    ['nothing', ''],
    ['125 bytes', 'x'.repeat(125)],
    ['126 bytes', 'x'.repeat(126)],
    ['65,535 bytes', 'x'.repeat(65_535)],
    ['65,536 bytes', 'x'.repeat(65_536)],
    ['a million bytes', 'x'.repeat(1_000_000)],
    ['text of more bytes than characters', 'Zürich 東京 🙂 '.repeat(40)],
    ['125 characters that are 126 bytes', `${'x'.repeat(124)}ü`],
    ['65,535 characters that are more bytes', '東'.repeat(65_535)],
  ])('is, byte for byte, what ws itself writes: %s', async (_what, text) => {
    const start = peer.answer?.length as number;
    const framed = frameText(Buffer.from(text));
    await new Promise((resolve) => ws.send(text, resolve));
    await peer.until(() => peer.bytes.length - start >= framed.length);
    expect(peer.bytes.subarray(start).equals(framed)).toBe(true);
    const written = Buffer.alloc(3 + framed.length);
    const bytes = Buffer.byteLength(text);
    expect(frameLength(bytes)).toBe(framed.length);
    expect(writeTextFrame(written, 3, text, bytes)).toBe(written.length);
    expect(written.subarray(3).equals(framed)).toBe(true);
  });

  it('leaves the payload as it was', () => {
    const payload = Buffer.from('{"type":"news"}');
    frameText(payload);
    expect(payload.toString()).toBe('{"type":"news"}');
  });
});

describe('sockets that ws itself writes to, because they are compressed', () => {
  let running: RunningApp;
  const message = (n: number, text = '') => ({ type: 'news', action: 'flash', data: { n, text } });
  afterEach(() => running.close());

  it('everything arrives once and in order, whoever sends, up to the close', async () => {
    running = await startApp({ options: { messages: { perMessageDeflate: { threshold: 0 } } } });
    const connect = () => running.connect({ perMessageDeflate: true });
    const peers = await Promise.all([connect(), connect()]);
    await Promise.all(peers.map((peer) => peer.join('room')));
    const [{ clientId }] = peers;
    for (let n = 0; n < 100; n += 2) {
      running.server.broadcastToRoom({ roomName: 'room', data: message(n, '東京'.repeat(n)) });
      running.server.broadcastToAllClients({ data: message(n + 1) });
    }
    const { ws } = running.clients.getClient({ clientId }) as { ws: WebSocket };
    ws.send(JSON.stringify(message(100)));
    ws.ping();
    running.clients.getClient({ clientId })?.send(message(101));
    running.clients.disconnectClient({ clientId, code: 4010 });
    running.server.broadcastToAllClients({ data: message(102) });
    expect((await peers[0].closed).code).toBe(4010);
    await peers[1].settle();
    const numbers = peers.map(({ received }) => received.map(({ data }) => data.n as number));
    const upTo = (end: number) => Array.from({ length: end }, (_, n) => n);
    expect(numbers).toEqual([upTo(102), [...upTo(100), 102]]);
  });
});
