import { randomBytes } from 'node:crypto';
import type { Server as HttpServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { WebSocket } from 'ws';
import { SYSTEM } from '../../lib/system.js';
import {
  type ConnectedClient,
  ConnectionError,
  InvalidOptionsError,
  type WebSocketOptions,
  WebSocketServer,
} from '../../lib/index.js';
import { type FlushedOutbox, Flusher } from '../../lib/outbound/flusher.js';
import { Outbox } from '../../lib/outbound/outbox.js';
import type { ServerSocket } from '../../lib/connection/server-socket.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { frameBytes, RawPeer } from '../support/raw-peer.js';
import { until } from '../support/until.js';

const KILOBYTE = 'x'.repeat(1_000);
const message = (n: number, action = 'flash') => ({ type: 'news', action, data: { n, text: KILOBYTE } });
/** The end of this turn of the event loop, and with it the flush. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
/** More than the kernel takes for a peer that doesn't read. */
const FILLING = 12_000;

describe('L3: a client that stops reading', () => {
  let running: RunningApp;
  let reader: Peer;
  let sleeper: RawPeer;
  // The sleeper answers no ping. What that comes to is in in-flight.test.ts.
  const start = async (backpressure: NonNullable<WebSocketOptions['backpressure']> = {}): Promise<void> => {
    running = await startApp({ options: { backpressure: { maxInFlightBytes: false, ...backpressure } } });
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

  it('misses volatile messages while it is far behind, and no others; they are counted', async () => {
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
      await until(async () => (await sockets()) === 1);
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

  it('misses volatile messages of one turn above what may wait, and is not closed for them', async () => {
    await start();
    const count = await fill(16_000);
    for (let i = 0; i < 2_000; i++) tellRoom(10_000_000 + i, { volatile: true });
    await turn();
    const { dropped, closed } = running.server.status.backpressure;
    expect(closed).toBe(0);
    expect(dropped).toBeGreaterThan(1_500);
    tellRoom(count);
    const got = await wake(count);
    expect(got.slice(0, count)).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(got).toHaveLength(count + 2_000 - dropped + 1);
  });

  it('is kept the latest of each key in one turn, too, and is not closed for them', async () => {
    await start();
    const count = await fill(16_000);
    for (let i = 0; i < 2_000; i++) tellRoom(10_000_000 + i, { conflateKey: 'ada' });
    await turn();
    expect(running.server.status.backpressure.closed).toBe(0);
    expect(running.server.status.backpressure.conflated).toBeGreaterThan(1_500);
    sleeper.socket.resume();
    await until(() => sleeper.bytes.subarray(-2_500).includes('"n":10001999,'));
    const got = numbers(sleeper.messages);
    expect(got.slice(0, count)).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(new Set(got).size).toBe(got.length);
    expect(got).toHaveLength(count + 2_000 - running.server.status.backpressure.conflated);
  });

  it('counts with what is kept back for it: towards the process', async () => {
    await start({ volatileBytes: 0, processMaxBufferedBytes: 500_000 });
    await fill(16_000);
    const { waitingBytes } = running.server.status.backpressure;
    for (let key = 0; key < 200; key++) tellRoom(key, { conflateKey: `key${key}` });
    expect(running.server.status.backpressure.waitingBytes).toBeGreaterThanOrEqual(waitingBytes + 200_000);
    for (let key = 200; key < 600; key++) tellRoom(key, { conflateKey: `key${key}` });
    await turn();
    expect(running.server.status.backpressure).toMatchObject({ closed: 1, waitingBytes: 0 });
  });

  it('counts with what is kept back for it: towards its own budget, and is closed once', async () => {
    await start({ volatileBytes: 0, maxBufferedBytes: 200_000 });
    await fill(16_000);
    for (let n = 0; n < 150; n++) tellRoom(n, { volatile: false });
    for (let key = 0; key < 100; key++) tellRoom(key, { conflateKey: `key${key}` });
    await turn();
    expect(running.server.status.backpressure).toMatchObject({ closed: 1, waitingBytes: 0 });
  });

  it('is not closed because the process itself stood still', async () => {
    await start({ drainTimeoutMs: 2_000 });
    const count = await fill(100_000);
    sleeper.socket.resume();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
    await until(() => running.server.status.backpressure.waitingBytes === 0);
    expect(running.server.status.backpressure.closed).toBe(0);
    expect(await wake(count - 1)).toHaveLength(count);
  });

  it('lets go of those that wait for it to drain when it leaves', async () => {
    await start();
    await fill(100_000);
    const client = running.clients.getClient({ clientId: idOf(sleeper) }) as ConnectedClient;
    const { outbox } = client.ws as ServerSocket;
    const drained = outbox?.whenDrained();
    sleeper.reset();
    await drained;
    expect(running.server.status.backpressure).toMatchObject({ closed: 0, waitingBytes: 0 });
  });

  it('is told apart from a client that only gets much at once', async () => {
    await start({ maxBufferedBytes: 100_000 });
    for (let n = 0; n < 3_000; n++) running.server.broadcastToClient({ clientId: reader.clientId, data: message(n) });
    await reader.settle();
    expect(numbers(reader.received)).toHaveLength(3_000);
    expect(running.server.status.backpressure.closed).toBe(0);
  });
});

describe('L3: a client that stops reading, and the application that writes to it by itself', () => {
  let running: RunningApp;
  let sleeper: RawPeer;
  let ws: WebSocket;
  const start = async (backpressure: NonNullable<WebSocketOptions['backpressure']> = {}): Promise<void> => {
    running = await startApp({ options: { backpressure } });
    sleeper = await RawPeer.open(running.port);
    sleeper.socket.pause();
    ws = running.clients.getClients()[0]?.ws as WebSocket;
  };
  afterEach(async () => {
    sleeper.reset();
    await running.close();
  });

  const ways = {
    'ws.send()': (n: number) => ws.send(JSON.stringify(message(n))),
    'ws.send() with a callback': (n: number) => ws.send(JSON.stringify(message(n)), () => undefined),
    'binary frames': (n: number) => running.server.sendClientMessage(ws, message(n), true),
  };
  const names = Object.keys(ways) as (keyof typeof ways)[];
  const write = async (way: keyof typeof ways, isEnough: () => boolean): Promise<void> => {
    for (let n = 0; !isEnough() && n < FILLING; n += 20) {
      for (let i = 0; i < 20; i++) ways[way](n + i);
      await turn();
    }
  };

  it.each(names)('is closed with 4113 above its budget: %s', async (way) => {
    await start({ maxBufferedBytes: 200_000 });
    await write(way, () => running.server.status.backpressure.closed > 0);
    expect(running.server.status.backpressure).toMatchObject({ closed: 1, waitingBytes: 0 });
    expect(ws.bufferedAmount).toBeLessThan(250_000);
    expect(running.clients.size).toBe(0);
  });

  it.each(names)('is closed when what waits is not taken in time: %s', async (way) => {
    await start({ drainTimeoutMs: 300 });
    await write(way, () => ws.bufferedAmount > 50_000);
    await until(() => running.server.status.backpressure.closed === 1);
  });

  it('counts for the budget of the process', async () => {
    await start({ processMaxBufferedBytes: 300_000 });
    await write('ws.send()', () => running.server.status.backpressure.closed > 0);
    expect(running.server.status.backpressure).toMatchObject({ closed: 1, waitingBytes: 0 });
  });

  it('is cut when the application closed it, and it takes nothing in time', async () => {
    await start({ drainTimeoutMs: 300 });
    await write('ws.send()', () => ws.bufferedAmount > 50_000);
    const closed = new Promise((resolve) => ws.once('close', resolve));
    ws.close(4_000, 'by hand');
    await closed;
    expect(running.server.status.backpressure).toMatchObject({ closed: 0, waitingBytes: 0 });
  });

  it('says of a message that it was not sent, once the socket is closed', async () => {
    await start({ maxBufferedBytes: 200_000 });
    await write('ws.send()', () => running.server.status.backpressure.closed > 0);
    const error = await new Promise((resolve) => ws.send('x', resolve));
    expect(error).toBeInstanceOf(Error);
    expect(running.server.status.backpressure.waitingBytes).toBe(0);
  });
});

describe('a compressed socket', () => {
  let running: RunningApp;
  let peer: Peer;
  const start = async (backpressure: NonNullable<WebSocketOptions['backpressure']> = {}): Promise<void> => {
    running = await startApp({ options: { backpressure, messages: { perMessageDeflate: true } } });
    peer = await connect();
  };
  const connect = async (): Promise<Peer> => {
    const connected = await running.connect({ perMessageDeflate: true });
    expect(connected.ws.extensions).toContain('permessage-deflate');
    return connected;
  };
  afterEach(() => running.close());

  /** Nothing that compression makes smaller, unless it is to be. */
  const text = (isDense = true): string => (isDense ? randomBytes(9_000).toString('base64') : 'x'.repeat(12_000));
  const tell = (
    n: number,
    { isDense, ...options }: { isDense?: boolean; volatile?: boolean; conflateKey?: string } = {},
  ) =>
    running.server.broadcastToAllClients({
      data: { type: 'news', action: 'flash', data: { n, text: text(isDense) } },
      ...options,
    });
  const backpressure = () => running.server.status.backpressure;
  const numbers = (): number[] => peer.received.filter(({ type }) => type === 'news').map(({ data }) => data.n);

  it.each([true, false])(
    'that gets much at once is behind while it is compressed, and then no more (dense: %s)',
    async (isDense) => {
      await start();
      for (let n = 0; n < 200; n++) tell(n, { isDense });
      await turn();
      expect(backpressure().waitingBytes).toBeGreaterThan(1_000_000);
      await until(() => backpressure().waitingBytes === 0);
      for (let n = 200; n < 210; n++) tell(n, { isDense, volatile: true });
      await peer.settle();
      expect(numbers()).toEqual(Array.from({ length: 210 }, (_, n) => n));
      expect(backpressure()).toEqual({ dropped: 0, conflated: 0, closed: 0, waitingBytes: 0 });
    },
  );

  it('is closed with 4113 above its budget, though it reads', async () => {
    await start({ maxBufferedBytes: 200_000 });
    for (let n = 0; backpressure().closed === 0 && n < 2_000; n++) {
      tell(n);
      if (n % 5 === 0) await turn();
    }
    expect(backpressure()).toMatchObject({ closed: 1, waitingBytes: 0 });
    expect((await peer.closed).code).toBe(4113);
  });

  it('fails the request of the server that closes it, at once', async () => {
    await start({ maxBufferedBytes: 200_000 });
    const client = running.clients.getClient(peer);
    const answers: Promise<unknown>[] = [];
    for (let n = 0; backpressure().closed === 0 && n < 2_000; n++) {
      answers.push(
        expect(client?.request('quiz', 'ask', text(), { timeoutMs: 600_000 })).rejects.toThrow(ConnectionError),
      );
      if (n % 5 === 0) await turn();
    }
    expect(backpressure().closed).toBe(1);
    await Promise.all(answers);
  });

  it('is closed when what waits is not taken in time', async () => {
    await start({ drainTimeoutMs: 300, maxBufferedBytes: 1_000_000_000 });
    peer.ws.pause();
    await until(() => {
      tell(0);
      return backpressure().closed === 1;
    });
  });

  it('counts for the budget of the process with what is still to be compressed', async () => {
    await start({ processMaxBufferedBytes: 3_000_000 });
    for (let others = 0; others < 3; others++) await connect();
    for (let n = 0; n < 80; n++) tell(n); // 960 KB for each
    await until(() => backpressure().closed > 0);
    await until(() => backpressure().waitingBytes === 0);
    expect(backpressure().closed).toBe(1);
    expect(running.clients.size).toBe(3);
  });

  it('misses volatile messages while it is far behind, and gets the latest of each key afterwards', async () => {
    await start();
    for (let n = 0; n < 40; n++) tell(n);
    await turn();
    for (let n = 0; n < 10; n++) tell(100 + n, { volatile: true });
    for (let n = 0; n < 10; n++) tell(200 + n, { conflateKey: 'key' });
    await peer.take(({ data }) => data?.n === 209);
    expect(numbers()).toEqual(Array.from({ length: 40 }, (_, n) => n));
    expect(backpressure()).toMatchObject({ dropped: 10, conflated: 9, closed: 0 });
  });
});

describe('many slow clients', () => {
  it('cost each turn in which they are too much for the process their number, not its square', async () => {
    const COUNT = 10_000;
    let looks = 0;
    const ended: FlushedOutbox[] = [];
    const limits = {
      volatileBytes: 1,
      maxBufferedBytes: 1_000_000,
      drainTimeoutMs: 10_000,
      maxInFlightBytes: false as const,
      processMaxBufferedBytes: 100_000,
    };
    const flusher = new Flusher(
      limits,
      'turn',
      (outbox) => ended.push(outbox),
      () => undefined,
      SYSTEM,
    );
    const socketOf = (bytes: number): Duplex => {
      const socket = { writableNeedDrain: true, write: () => false, once: () => socket };
      return Object.defineProperty(socket, 'writableLength', { get: () => (looks++, bytes) }) as unknown as Duplex;
    };
    const ws = { extensions: '', OPEN: 1, readyState: 1 } as unknown as WebSocket;
    const outboxes = Array.from({ length: COUNT }, (_, n) => new Outbox(`c${n}`, ws, socketOf(n + 1), flusher));
    for (const outbox of outboxes) outbox.pushText('{}');
    await turn();
    await turn();
    flusher.stop();
    // The smallest were left: 1 + 2 + … + 446 bytes are just within the budget.
    expect(ended).toEqual(outboxes.slice(446).toReversed());
    expect(flusher.waitingBytes).toBe((446 * 447) / 2);
    expect(flusher.counters.closed).toBe(COUNT - 446);
    expect(looks).toBeLessThan(5 * COUNT);
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
