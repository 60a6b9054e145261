import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { until } from '../support/until.js';
import { cleanUp, connect, startServer, TestClient } from './support.js';
import type { ScriptedServer } from './support.js';

afterEach(cleanUp);

const KIB = 1_024;
const text = (kib: number): string => 'x'.repeat(kib * KIB);

describe('messages that come while the rooms are joined again', () => {
  /** Reconnects a client whose room never answers, and sends it so many KiB meanwhile. */
  async function flood(server: ScriptedServer, client: TestClient, kib: number): Promise<void> {
    server.answer = () => undefined;
    server.peers.all[0]?.socket.terminate();
    await client.until('reconnecting');
    const peer = await server.peers.take();
    await peer.next('system', 'joinRoom');
    for (let sent = 0; sent < kib; sent += 16) peer.send({ type: 'chat', action: 'said', data: text(16) });
  }

  it('wait for the rooms as long as there are few', async () => {
    const server = await startServer();
    const { client } = await connect(server, { maxHeldBytes: 256 * KIB, connectTimeoutMs: 2_000 });
    await client.joinRoom('lobby');
    await flood(server, client, 128);
    expect(client.messages.all).toEqual([]);
    await client.until('open');
    await until(() => client.messages.all.length === 8);
  });

  it('are handed over without waiting for the rooms when there are more bytes of them than maxHeldBytes', async () => {
    const server = await startServer();
    const { client } = await connect(server, { maxHeldBytes: 64 * KIB, connectTimeoutMs: 60_000 });
    await client.joinRoom('lobby');
    await flood(server, client, 1_024);
    await until(() => client.messages.all.length === 64);
    expect(client.state).toBe('open');
    expect([...client.rooms]).toEqual(['lobby']);
  });
});

describe('values of a stream that nobody reads', () => {
  it('end it when they are more bytes than maxHeldBytes', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { maxHeldBytes: 64 * KIB });
    const stream = client.stream<string>('log', 'lines');
    const first = stream.next();
    const frame = await peer.next('log', 'lines');
    for (let line = 0; line < 10; line += 1) peer.reply(frame, text(16), { more: true });
    await first;
    expect((await peer.next('system', 'cancel')).id).toBe(frame.id);
    const values: string[] = [];
    const reading = (async () => {
      for await (const value of stream) values.push(value);
    })();
    await expect(reading).rejects.toMatchObject({
      code: 'STREAM_OVERFLOW',
      message: expect.stringMatching(/65536 bytes wait \(maxHeldBytes\)/),
    });
    expect(values).toHaveLength(3);
  });
});

describe('a server that asks and does not read', () => {
  it('is left when more than maxUnsentBytes wait for it', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { maxUnsentBytes: 256 * KIB });
    client.on('quiz', 'ask', () => text(32));
    peer.request.socket.pause();
    let asked = 0;
    const asking = setInterval(() => {
      for (let count = 0; count < 8; count += 1) peer.send({ type: 'quiz', action: 'ask', id: (asked += 1) });
    }, 1);
    const { ws } = await client.connected.take();
    let most = 0;
    client.on('message', () => (most = Math.max(most, ws.bufferedAmount)));
    try {
      expect(await client.disconnected.take()).toMatchObject({ code: 4113, willReconnect: true });
    } finally {
      clearInterval(asking);
    }
    expect(most).toBeLessThan(600 * KIB);
    expect(client.errors.all[0]?.error.message).toMatch(/More than 262144 bytes wait \(maxUnsentBytes\)/);
    await client.until('open');
  });
});

describe('reports', () => {
  it('of one kind are limited, and the rest is counted', async () => {
    const server = await startServer();
    const { client, peer } = await connect(server, { maxErrorReports: 5 });
    for (let count = 0; count < 1_000; count += 1) peer.socket.send('nonsense');
    peer.refuse({ type: 'chat', action: 'send' }, 'FORBIDDEN');
    peer.socket.close(4010);
    await client.disconnected.take();
    expect(client.errors.all.map(({ error }) => error.name)).toEqual([
      ...Array.from({ length: 5 }, () => 'BadFrameError'),
      'RemoteError',
      'ReportsLeftOutError',
    ]);
    expect(client.errors.all.at(-1)?.error).toMatchObject({ kind: 'BadFrameError', count: 995 });
  });

  it('write to the console a small part of what a server sends to fill it', async () => {
    const lines: unknown[] = [];
    const write = jest.spyOn(console, 'error').mockImplementation((...line) => void lines.push(line));
    try {
      const server = await startServer();
      const { client, peer } = await connect(server, { events: { onError: undefined } });
      client.on('chat', 'said', () => {
        throw new Error('a handler that throws');
      });
      const details = { text: text(32) };
      const began = performance.now();
      for (let count = 0; count < 300; count += 1) {
        peer.send({ type: 'error', action: 'message', data: { error: text(4), code: text(4), details } });
        peer.send({ type: 'chat', action: 'said' });
      }
      peer.socket.close(4010);
      await client.disconnected.take();
      const windows = Math.ceil((performance.now() - began) / 10_000);
      expect(lines.length).toBeGreaterThanOrEqual(202);
      expect(lines.length).toBeLessThanOrEqual(202 * windows);
      const bytes = lines.map((line) => JSON.stringify(line, textsOf)).join('').length;
      expect(bytes).toBeLessThan(1_000 * KIB * windows);
    } finally {
      write.mockRestore();
    }
  });
});

const textsOf = (_key: string, value: unknown): unknown =>
  value instanceof Error ? { ...value, message: value.message, stack: value.stack } : value;
