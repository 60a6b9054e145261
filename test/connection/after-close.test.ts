import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { WebSocket } from 'ws';
import { CloseCode, type WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { frameBytes, RawPeer, textBytes } from '../support/raw-peer.js';
import { until } from '../support/until.js';

let running: RunningApp;
afterEach(() => running.close());

interface Flooded {
  peer: RawPeer;
  ws: WebSocket;
  /** What the server has read of the socket. */
  read: () => number;
}

const open = async (options: WebSocketOptions = {}): Promise<Flooded> => {
  running = await startApp({ options });
  const peer = await RawPeer.open(running.port, { allowHalfOpen: true });
  await until(() => running.clients.size === 1);
  const ws = running.clients.getClients()[0]?.ws as WebSocket;
  const { _socket: socket } = ws as unknown as { _socket: Socket };
  return { peer, ws, read: () => socket.bytesRead };
};

/** Sends as fast as it can until the socket is gone; nothing but small frames. @returns bytes sent */
const flood = async (peer: RawPeer, frame: Buffer): Promise<number> => {
  const chunk = Buffer.concat(Array.from({ length: 100_000 }, () => frame));
  let sent = 0;
  while (!peer.isClosed) {
    if (peer.socket.writableLength < 1_000_000) {
      peer.write(chunk);
      sent += chunk.length;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  return sent;
};

describe('after a close of this server', () => {
  it.each<[string, WebSocketOptions, Buffer, number]>([
    ['bad frames', {}, frameBytes(), CloseCode.BadFrames],
    ['too many messages', { limits: { messages: {} } }, textBytes({ type: 'a', action: 'b' }), CloseCode.RateLimited],
    ['too many pings', { limits: { messages: {} } }, frameBytes({ opcode: 9 }), CloseCode.RateLimited],
    ['a frame that is none', {}, frameBytes({ reserved: 7 }), 1002],
  ])('for %s nothing more is read', async (_what, options, frame, code) => {
    const { peer, ws, read } = await open(options);
    let readAtClose = 0;
    const flooding = flood(peer, frame);
    await until(() => ws.readyState !== ws.OPEN);
    readAtClose = read();
    const sent = await flooding;
    expect(peer.closeCode).toBe(code);
    expect(sent).toBeGreaterThan(500_000);
    expect(read() - readAtClose).toBeLessThan(200_000);
    expect(running.errors).toEqual([]);
  });

  it('with a code that does not blame the peer, at most 64 KiB more are read', async () => {
    const { peer, ws, read } = await open();
    running.clients.disconnectClient({ clientId: running.clients.getClients()[0]?.clientId ?? '' });
    const readAtClose = read();
    await flood(peer, textBytes({ type: 'a', action: 'b' }));
    expect(peer.closeCode).toBe(CloseCode.Kicked);
    expect(ws.readyState).toBe(ws.CLOSED);
    expect(read() - readAtClose).toBeLessThan(300_000);
  });

  it('with a code that does not blame the peer, its close frame is read behind what was under way', async () => {
    running = await startApp();
    const peer = await running.connect();
    const ws = running.clients.getClient(peer)?.ws as WebSocket;
    const closed = new Promise<number>((resolve) => ws.once('close', resolve));
    for (let n = 0; n < 20; n++) peer.send('a', 'b', 'x'.repeat(1_000));
    running.clients.disconnectClient({ clientId: peer.clientId, code: 4010 });
    expect(await closed).toBe(4010); // 1006 for one that was cut
    expect((await peer.closed).code).toBe(4010);
  });
});
