import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { WebSocket } from 'ws';
import type { WebSocketOptions } from '../../lib/index.js';
import { frameText } from '../../lib/server/wire.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { RawPeer } from '../support/raw-peer.js';

/** The end of this turn of the event loop, and with it the flush. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

const message = (n: number, text = '') => ({ type: 'news', action: 'flash', data: { n, text } });

describe('what leaves for a socket', () => {
  let running: RunningApp;
  const start = async (options: WebSocketOptions = {}): Promise<void> => {
    running = await startApp({ options });
  };
  afterEach(() => running.close());

  const inRoom = async (count: number): Promise<Peer[]> => {
    const peers = await Promise.all(Array.from({ length: count }, () => running.connect()));
    await Promise.all(peers.map((peer) => peer.join('room')));
    return peers;
  };
  const tellRoom = (n: number, text?: string): void =>
    running.server.broadcastToRoom({ roomName: 'room', data: message(n, text) });
  const socketOf = (peer: Peer): Socket => (serverSide(peer) as unknown as { _socket: Socket })._socket;
  const serverSide = (peer: Peer): WebSocket => running.clients.getClient({ clientId: peer.clientId })?.ws as WebSocket;
  const numbers = (peer: Peer): number[] =>
    peer.received.filter(({ type }) => type === 'news').map(({ data }) => data.n);

  it('is one frame per message, whole and unmasked, at every length of the header', async () => {
    await start();
    const peer = await RawPeer.open(running.port);
    const { clientId } = peer.messages[0].data;
    for (const length of [40, 125, 126, 127, 65_535, 65_536, 70_000]) {
      const empty = JSON.stringify(message(1)).length;
      const sent = message(1, 'x'.repeat(Math.max(0, length - empty)));
      running.server.broadcastToClient({ clientId, data: sent });
      const payload = Buffer.from(JSON.stringify(sent));
      const expected = createHash('sha1').update(frameText(payload)).digest('hex');
      await peer.until(() => peer.bytes.subarray(-payload.length).equals(payload));
      const frame = peer.bytes.subarray(-frameText(payload).length);
      expect(createHash('sha1').update(frame).digest('hex')).toBe(expected);
      expect(peer.messages.at(-1)).toEqual(sent);
    }
  });

  it('of one turn is one write, however many messages and whoever they are for', async () => {
    await start();
    const [ada, bob] = (await inRoom(2)) as [Peer, Peer];
    const writes = [ada, bob].map((peer) => jest.spyOn(socketOf(peer), 'write'));
    for (let n = 0; n < 20; n++) tellRoom(n);
    running.server.broadcastToClient({ clientId: bob.clientId, data: message(20) });
    await turn();
    const calls = writes.map((write) => write.mock.calls.length);
    await Promise.all([ada.settle(), bob.settle()]);
    expect(calls).toEqual([1, 1]);
    expect(numbers(ada)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  it('goes out once for both when two sockets got the same', async () => {
    await start();
    const [ada, bob] = (await inRoom(2)) as [Peer, Peer];
    const writes = [ada, bob].map((peer) => jest.spyOn(socketOf(peer), 'write'));
    for (let n = 0; n < 3; n++) tellRoom(n);
    await turn();
    expect(writes[0]?.mock.calls[0]?.[0]).toBe(writes[1]?.mock.calls[0]?.[0]);
  });

  it('keeps its order, whoever sends: rooms, replies, the application on the socket itself, pings, the close', async () => {
    await start();
    const peer = await RawPeer.open(running.port);
    const { clientId } = peer.messages[0].data;
    await running.server.joinRoom({ clientId, roomName: 'room' });
    const ws = running.clients.getClient({ clientId })?.ws as WebSocket;
    tellRoom(1);
    running.clients.getClient({ clientId })?.send(message(2));
    ws.send(JSON.stringify(message(3)));
    running.server.sendClientMessage(ws, message(4));
    ws.ping();
    tellRoom(5);
    ws.send(Buffer.from(JSON.stringify(message(6))), { binary: true });
    tellRoom(7);
    running.clients.disconnectClient({ clientId, code: 4010 });
    await peer.until(() => peer.closeCode !== undefined);
    const order = peer.frames
      .slice(1)
      .map(({ opcode, payload }) => (opcode === 1 || opcode === 2 ? JSON.parse(payload.toString()).data.n : opcode));
    expect(order).toEqual([1, 2, 3, 4, 9, 5, 6, 7, 8]);
  });

  it('keeps its order when the application sends a fragment or a Blob', async () => {
    await start();
    const [peer] = (await inRoom(1)) as [Peer];
    const ws = serverSide(peer);
    tellRoom(1);
    ws.send(JSON.stringify(message(2)).slice(0, 9), { fin: false });
    ws.send(JSON.stringify(message(2)).slice(9), { fin: true });
    tellRoom(3);
    ws.send(new Blob([JSON.stringify(message(4))]) as never, { binary: false });
    tellRoom(5);
    await peer.settle();
    expect(numbers(peer)).toEqual([1, 2, 3, 4, 5]);
  });

  it('reaches compressed sockets in the same order', async () => {
    await start({ messages: { perMessageDeflate: { threshold: 0 } } });
    const packed = await running.connect({ perMessageDeflate: true });
    const plain = await running.connect({ perMessageDeflate: false });
    await Promise.all([packed.join('room'), plain.join('room')]);
    expect(packed.ws.extensions).toContain('permessage-deflate');
    for (let n = 0; n < 50; n++) tellRoom(n, 'lorem ipsum '.repeat(n * 5));
    running.server.broadcastToClient({ clientId: packed.clientId, data: message(50) });
    tellRoom(51);
    await packed.settle();
    await plain.settle();
    expect(numbers(packed)).toEqual(Array.from({ length: 52 }, (_, n) => n));
    expect(numbers(plain)).toEqual([...Array.from({ length: 50 }, (_, n) => n), 51]);
  });

  it('is unharmed by sockets that die in the middle of a burst', async () => {
    await start();
    const peers = await inRoom(20);
    const survivors = peers.filter((_, index) => index % 2 === 0);
    for (let n = 0; n < 100; n++) {
      tellRoom(n);
      const victim = peers[n];
      if (victim && n % 2 === 1) socketOf(victim).destroy();
    }
    await Promise.all(survivors.map((peer) => peer.settle()));
    for (const peer of survivors) expect(numbers(peer)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(running.errors).toEqual([]);
  });

  it('that was queued before a close arrives before it; what comes after it is not sent', async () => {
    await start();
    const [peer] = (await inRoom(1)) as [Peer];
    for (let n = 0; n < 10; n++) tellRoom(n);
    running.clients.disconnectClient({ clientId: peer.clientId });
    for (let n = 10; n < 20; n++) tellRoom(n);
    expect((await peer.closed).code).toBe(4010);
    expect(numbers(peer)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('counts in bufferedAmount from the moment it is sent', async () => {
    await start();
    const [peer] = (await inRoom(1)) as [Peer];
    const ws = serverSide(peer);
    expect(ws.bufferedAmount).toBe(0);
    tellRoom(1);
    expect(ws.bufferedAmount).toBe(frameText(Buffer.from(JSON.stringify(message(1)))).length);
    await peer.settle();
    expect(ws.bufferedAmount).toBe(0);
  });

  it('is spaced by flushGapMs, the first at once, and stays in order', async () => {
    await start({ delivery: { flushGapMs: 40 } });
    const [peer] = (await inRoom(1)) as [Peer];
    const write = jest.spyOn(socketOf(peer), 'write');
    for (let n = 0; n < 50; n++) {
      tellRoom(n);
      await new Promise((resolve) => setTimeout(resolve, 2)); // the pace is what this is about
    }
    await peer.settle();
    expect(numbers(peer)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(write.mock.calls.length).toBeLessThan(20);
  });
});
