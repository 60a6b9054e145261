import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import type { WebSocket } from 'ws';
import type { WebSocketOptions } from '../../lib/index.js';
import { frameText } from '../../lib/outbound/wire.js';
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
    await start({ backpressure: { maxInFlightBytes: false } }); // otherwise a ping may be the last frame
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

  it('keeps its order on a compressed socket, too, whoever sends', async () => {
    await start({ messages: { perMessageDeflate: true } });
    const peer = await running.connect({ perMessageDeflate: true });
    await peer.join('room');
    const ws = serverSide(peer);
    peer.ws.on('ping', () => peer.received.push({ type: 'news', data: { n: 'ping' } }));
    tellRoom(1, 'x'.repeat(50_000));
    running.clients.getClient({ clientId: peer.clientId })?.send(message(2));
    ws.send(JSON.stringify(message(3)));
    running.server.sendClientMessage(ws, message(4));
    ws.ping();
    running.server.sendClientMessage(ws, message(5), true);
    ws.send(new Blob([JSON.stringify(message(6))]) as never, { binary: false });
    tellRoom(7);
    running.clients.disconnectClient({ clientId: peer.clientId, code: 4010 });
    tellRoom(8);
    expect((await peer.closed).code).toBe(4010);
    expect(numbers(peer)).toEqual([1, 2, 3, 4, 'ping', 5, 6, 7]);
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

  it('reaches the others when a socket dies in the middle of the flush', async () => {
    await start();
    const peers = await inRoom(6);
    const sockets = new Map(peers.map((peer) => [peer, socketOf(peer)]));
    const [written, died] = [new Set<Peer>(), new Set<Peer>()];
    for (const [peer, socket] of sockets) {
      const write = socket.write.bind(socket);
      jest.spyOn(socket, 'write').mockImplementation((...args: unknown[]) => {
        written.add(peer);
        // The first that is written to takes two others with it, whose frames are queued already.
        if (written.size === 1) for (const other of peers.filter((some) => some !== peer).slice(0, 2)) died.add(other);
        for (const victim of died) sockets.get(victim)?.destroy();
        return write(...(args as [Buffer]));
      });
    }
    for (let n = 0; n < 10; n++) tellRoom(n);
    await turn();
    expect(written.size).toBe(6); // they were written to, though they were gone
    for (let n = 10; n < 20; n++) tellRoom(n);
    const survivors = peers.filter((peer) => !died.has(peer));
    await Promise.all(survivors.map((peer) => peer.settle()));
    for (const peer of survivors) expect(numbers(peer)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    await Promise.all([...died].map((peer) => peer.closed));
    expect(running.rooms.getRoomClients({ roomName: 'room' })).toHaveLength(4);
    expect(running.errors).toEqual([]);
    expect(running.server.status.backpressure.waitingBytes).toBe(0);
  });

  it('reaches the others when writing to one throws: that one lost frames, and is cut', async () => {
    await start();
    const peers = await inRoom(4);
    const [broken, ...others] = peers as [Peer, ...Peer[]];
    jest.spyOn(socketOf(broken), 'write').mockImplementation(() => {
      throw new Error('no memory left');
    });
    for (let n = 0; n < 10; n++) tellRoom(n);
    await turn();
    for (let n = 10; n < 20; n++) tellRoom(n);
    await Promise.all(others.map((peer) => peer.settle()));
    for (const peer of others) expect(numbers(peer)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect((await broken.closed).code).toBe(1006);
    expect(numbers(broken)).toEqual([]);
    expect(running.errors).toEqual([expect.objectContaining({ message: 'no memory left' })]);
  });

  it('leaves no listener behind, however often the application writes in between', async () => {
    await start();
    const [peer] = (await inRoom(1)) as [Peer];
    const [ws, socket] = [serverSide(peer), socketOf(peer)];
    const before = socket.listenerCount('drain');
    const text = 'x'.repeat(20_000); // more than a socket takes without a 'drain' afterwards
    for (let n = 0; n < 200; n += 2) {
      tellRoom(n, text);
      ws.send(JSON.stringify(message(n + 1, text)));
      expect(socket.listenerCount('drain')).toBeLessThanOrEqual(before + 1);
    }
    await peer.settle();
    expect(numbers(peer)).toEqual(Array.from({ length: 200 }, (_, n) => n));
    expect(socket.listenerCount('drain')).toBe(before);
    expect(running.server.status.backpressure).toEqual({ dropped: 0, conflated: 0, closed: 0, waitingBytes: 0 });
  });

  it('and the application writes by itself in one turn closes nobody who reads', async () => {
    await start({ backpressure: { maxBufferedBytes: 100_000 } });
    const [peer] = (await inRoom(1)) as [Peer];
    const ws = serverSide(peer);
    const text = 'x'.repeat(1_000);
    for (let n = 0; n < 6_000; n += 2) {
      tellRoom(n, text);
      ws.send(JSON.stringify(message(n + 1, text)));
    }
    await peer.take(({ data }) => data?.n === 5_999);
    expect(numbers(peer)).toEqual(Array.from({ length: 5_999 }, (_, n) => n));
    expect(running.server.status.backpressure.closed).toBe(0);
  });

  it.each([false, true])('that was queued before a stop arrives before its 1012 (compressed: %s)', async (isPacked) => {
    await start({ messages: { perMessageDeflate: isPacked }, drain: { spreadMs: 0, terminateAfterMs: 1_000 } });
    const peers = await inRoom(3);
    for (let n = 0; n < 10; n++) tellRoom(n);
    const stopping = [running.server.stop(), running.server.stop()];
    for (const peer of peers) expect((await peer.closed).code).toBe(1012);
    for (const peer of peers) expect(numbers(peer)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await Promise.all(stopping);
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

  it('is spaced by a gap, the first at once, and stays in order', async () => {
    await start({ delivery: { flush: { gapMs: 40 } } });
    const [peer] = (await inRoom(1)) as [Peer];
    const write = jest.spyOn(socketOf(peer), 'write');
    const began = performance.now();
    for (let n = 0; n < 50; n++) {
      tellRoom(n);
      await new Promise((resolve) => setTimeout(resolve, 2)); // the pace is what this is about
    }
    await peer.settle();
    expect(numbers(peer)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(write.mock.calls.length).toBeLessThanOrEqual(2 + (performance.now() - began) / 40);
  });

  describe('within a gap', () => {
    /** The rest of a gap begins: what is told from now on waits for its end. */
    const begin = async (peers: number): Promise<Peer[]> => {
      await start({ delivery: { flush: { gapMs: 1_000 } }, drain: { spreadMs: 0, terminateAfterMs: 2_000 } });
      const members = await inRoom(peers);
      tellRoom(0);
      for (const member of members) await member.take(({ data }) => data?.n === 0);
      return members;
    };
    const tellFive = async (): Promise<void> => {
      for (let n = 1; n <= 5; n++) tellRoom(n);
      await turn();
    };

    it('arrives before the close of its socket, at once', async () => {
      const [peer] = (await begin(1)) as [Peer];
      await tellFive();
      expect(numbers(peer)).toEqual([]);
      running.clients.disconnectClient({ clientId: peer.clientId });
      tellRoom(6);
      expect((await peer.closed).code).toBe(4010);
      expect(numbers(peer)).toEqual([1, 2, 3, 4, 5]);
    });

    it('arrives before the close at the stop of the server', async () => {
      const peers = await begin(2);
      await tellFive();
      await running.server.stop();
      for (const peer of peers) expect((await peer.closed).code).toBe(1012);
      for (const peer of peers) expect(numbers(peer)).toEqual([1, 2, 3, 4, 5]);
    });

    it('is written before its end when it is much: a client that reads isn’t too slow', async () => {
      const [peer] = (await begin(1)) as [Peer];
      const most = { bytes: 0 };
      for (let n = 1; n <= 40; n++) {
        tellRoom(n, 'x'.repeat(100_000));
        await turn();
        most.bytes = Math.max(most.bytes, serverSide(peer).bufferedAmount);
        await peer.take(({ data }) => data?.n === n);
      }
      expect(most.bytes).toBeLessThan(1_048_576);
      expect(running.server.status.backpressure.closed).toBe(0);
    });

    it('reaches the others at its end when a socket dies', async () => {
      const [victim, ...others] = (await begin(4)) as [Peer, ...Peer[]];
      await tellFive();
      socketOf(victim).destroy();
      await victim.closed;
      tellRoom(6);
      await Promise.all(others.map((peer) => peer.take(({ data }) => data?.n === 6)));
      for (const peer of others) expect(numbers(peer)).toEqual([1, 2, 3, 4, 5]);
      expect(running.errors).toEqual([]);
    });

    it('comes before what the application writes by itself', async () => {
      const [peer] = (await begin(1)) as [Peer];
      await tellFive();
      serverSide(peer).send(JSON.stringify(message(6)));
      tellRoom(7);
      await peer.settle();
      expect(numbers(peer)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    });
  });
});
