import type { Server as HttpServer } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { InvalidOptionsError, type WebSocketOptions, WebSocketServer } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { frameBytes, RawPeer } from '../support/raw-peer.js';
import { until } from '../support/until.js';

const KILOBYTE = 'x'.repeat(1_000);
const message = (n: number, action = 'flash') => ({ type: 'news', action, data: { n, text: KILOBYTE } });
/** More than the kernel takes for a peer that doesn't read. */
const FILLING = 12_000;

describe('a client that stops reading', () => {
  let running: RunningApp;
  let reader: Peer;
  let sleeper: RawPeer;
  const start = async (backpressure: NonNullable<WebSocketOptions['backpressure']> = {}): Promise<void> => {
    running = await startApp({ options: { backpressure } });
    reader = await running.connect();
    sleeper = await RawPeer.open(running.port);
    for (const clientId of [reader.clientId, idOf(sleeper)])
      await running.server.joinRoom({ clientId, roomName: 'room' });
    sleeper.socket.pause();
  };
  afterEach(async () => {
    sleeper.reset();
    await running.close();
  });

  const idOf = (peer: RawPeer): string => peer.messages[0].data.clientId as string;
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const tellRoom = (n: number, options: { volatile?: boolean; conflateKey?: string } = {}): void =>
    running.server.broadcastToRoom({ roomName: 'room', data: message(n), ...options });
  /** Until so many bytes wait for the sleeper. */
  const fill = async (bytes: number): Promise<number> => {
    let n = 0;
    while (running.server.status.backpressure.waitingBytes < bytes && n < FILLING) {
      for (let i = 0; i < 20; i++) tellRoom(n++);
      await turn();
    }
    return n;
  };
  const numbers = (received: { type: string; data: { n: number } }[]): number[] =>
    received.filter(({ type }) => type === 'news').map(({ data }) => data.n);
  const wake = async (last: number): Promise<number[]> => {
    sleeper.socket.resume();
    // Looked at by its end: parsing megabytes at every piece would take the time that the server has.
    await until(() => sleeper.bytes.subarray(-2_500).includes(`"n":${last},`));
    return numbers(sleeper.messages);
  };

  it('L3: is closed with 4113 above its budget, cut a second later, and counted; others get everything in order', async () => {
    await start({ maxBufferedBytes: 200_000 });
    const left = new Promise<void>((resolve) => {
      void sleeper.closed.then(resolve);
    });
    let n = 0;
    while (running.server.status.backpressure.closed === 0 && n < FILLING) {
      for (let i = 0; i < 20; i++) tellRoom(n++);
      await turn();
    }
    expect(running.server.status.backpressure).toMatchObject({ closed: 1, waitingBytes: 0 });
    expect(running.clients.getClient({ clientId: idOf(sleeper) })).toBeUndefined();
    sleeper.socket.resume();
    await left;
    await reader.settle();
    expect(numbers(reader.received)).toEqual(Array.from({ length: n }, (_, index) => index));
    expect(running.errors).toEqual([]);
  });

  it('that keeps within the budget gets everything once it reads again', async () => {
    await start();
    const count = await fill(300_000);
    const got = await wake(count - 1);
    expect(got).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(running.server.status.backpressure).toEqual({ dropped: 0, conflated: 0, closed: 0, waitingBytes: 0 });
  });

  it('misses volatile messages while it is far behind, and those alone; they are counted', async () => {
    await start();
    const count = await fill(280_000);
    for (let i = 0; i < 100; i++) tellRoom(10_000_000 + i, { volatile: true });
    tellRoom(count);
    const got = await wake(count);
    expect(got).toEqual(Array.from({ length: count + 1 }, (_, index) => index));
    await reader.settle();
    expect(numbers(reader.received).filter((n) => n >= 10_000_000)).toHaveLength(100);
    expect(running.server.status.backpressure).toMatchObject({ dropped: 100, closed: 0 });
    tellRoom(77, { volatile: true });
    await until(() => sleeper.messages.at(-1).data.n === 77);
  });

  it('misses what client.volatile sends', async () => {
    await start();
    const count = await fill(280_000);
    const client = running.clients.getClient({ clientId: idOf(sleeper) });
    client?.volatile.send(message(10_000_000));
    client?.send(message(count));
    expect((await wake(count)).filter((n) => n === 10_000_000)).toEqual([]);
  });

  it('gets the latest of each key alone when it has caught up', async () => {
    await start();
    const count = await fill(280_000);
    for (let i = 0; i < 50; i++) {
      tellRoom(20_000_000 + i, { conflateKey: 'ada' });
      tellRoom(30_000_000 + i, { conflateKey: 'bob' });
    }
    sleeper.socket.resume();
    await until(() => sleeper.bytes.subarray(-2_500).includes('"n":30000049,'));
    const got = numbers(sleeper.messages);
    expect(got.slice(count)).toEqual([20_000_049, 30_000_049]);
    expect(running.server.status.backpressure).toMatchObject({ conflated: 98, closed: 0 });
    await reader.settle();
    expect(numbers(reader.received)).toHaveLength(count + 100);
  });

  it.each([
    ['drop-volatile' as const, [] as number[], { dropped: 5, conflated: 0 }],
    ['conflate' as const, [20_000_004], { dropped: 0, conflated: 4 }],
  ])('is served by the policy %s where messages say nothing themselves', async (policy, expected, counters) => {
    await start({ policy });
    let count = 0;
    while (running.server.status.backpressure.waitingBytes < 280_000) {
      for (let i = 0; i < 20; i++) tellRoom(count++, { volatile: false });
      await turn();
    }
    for (let i = 0; i < 5; i++) tellRoom(20_000_000 + i);
    expect(running.server.status.backpressure).toMatchObject(counters);
    sleeper.socket.resume();
    await until(() => running.server.status.backpressure.waitingBytes === 0);
    tellRoom(40_000_000, { volatile: false });
    await until(() => sleeper.bytes.subarray(-2_500).includes('"n":40000000,'));
    expect(numbers(sleeper.messages).slice(count)).toEqual([...expected, 40_000_000]);
  });

  it('is closed when what waits is not taken in time', async () => {
    await start({ drainTimeoutMs: 300 });
    await fill(100_000);
    await until(() => running.server.status.backpressure.closed === 1);
    expect(running.server.status.backpressure.waitingBytes).toBe(0);
  });

  it.each(['ends its side', 'ends its side after a close frame'])(
    'L3: that %s is cut all the same, and nothing waits for it any longer',
    async (how) => {
      await start({ drainTimeoutMs: 300 });
      await fill(100_000);
      if (how.includes('close frame')) sleeper.write(frameBytes({ opcode: 8, payload: Buffer.from([3, 0xe8]) }));
      sleeper.socket.end();
      const http = running.app.getHttpServer() as HttpServer;
      const sockets = (): Promise<number> =>
        new Promise((resolve) => http.getConnections((_error, count) => resolve(count)));
      await until(async () => (await sockets()) === 1, 3_000);
      await reader.settle();
    },
  );

  it('is closed first when it has the most of what is too much for the process', async () => {
    await start({ processMaxBufferedBytes: 600_000 });
    const second = await RawPeer.open(running.port);
    second.socket.pause();
    await fill(300_000);
    const { clientId } = second.messages[0].data as { clientId: string };
    for (let n = 0; running.server.status.backpressure.closed === 0 && n < FILLING; n++) {
      running.server.broadcastToClient({ clientId, data: message(n) });
      await turn();
    }
    expect(running.server.status.backpressure.closed).toBe(1);
    const open = [idOf(sleeper), clientId].filter((id) => running.clients.getClient({ clientId: id }));
    expect(open).toHaveLength(1);
    second.reset();
  });

  it('is not taken for one that merely gets much at once', async () => {
    await start({ maxBufferedBytes: 100_000 });
    for (let n = 0; n < 3_000; n++) running.server.broadcastToClient({ clientId: reader.clientId, data: message(n) });
    await reader.settle();
    expect(numbers(reader.received)).toHaveLength(3_000);
    expect(running.server.status.backpressure.closed).toBe(0);
  });
});

describe('backpressure options', () => {
  it.each([
    [{ policy: 'drop' }, 'backpressure.policy'],
    [{ maxBufferedBytes: 0 }, 'backpressure.maxBufferedBytes'],
    [{ volatileBytes: -1 }, 'backpressure.volatileBytes'],
  ])('refuses %j', (backpressure, field) => {
    const make = (): WebSocketServer => new WebSocketServer({ backpressure: backpressure as never });
    expect(make).toThrow(InvalidOptionsError);
    expect(make).toThrow(field);
  });
});
