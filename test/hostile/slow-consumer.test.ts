import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { ChildApp } from '../support/child.js';
import type { Stats } from '../support/child-main.js';
import type { Peer } from '../support/peer.js';
import { RawPeer } from '../support/raw-peer.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';

const SLOW = 20;
const MB = 1_024 * 1_024;
/** What is in use once the collector has run: how much the process has of the machine hangs on when it ran. */
const memoryOf = ({ heapUsed, buffers }: Stats): number => heapUsed + buffers;

describe('L3: clients that stop reading', () => {
  let app: ChildApp;
  let bystander: Peer;
  let slow: RawPeer[] = [];
  beforeEach(async () => {
    app = await ChildApp.start();
    bystander = await app.connect();
  });
  afterEach(async () => {
    for (const peer of slow) peer.reset();
    slow = [];
    await app.stop();
  });

  const stats = async (): Promise<Stats> => (await app.ask('collect')).stats as Stats;
  const sleepers = async (count: number): Promise<void> => {
    slow = await Promise.all(Array.from({ length: count }, () => RawPeer.open(app.port)));
    for (const peer of slow) peer.socket.pause();
  };

  it(`${SLOW} at once are closed with 4113; the process doesn't grow, and others get everything in order`, async () => {
    for (let from = -2_000; from < 0; from += 20) await bystander.request('test', 'shout', { from, count: 20 }); // warm
    await sleepers(SLOW);
    const before = await stats();
    let sent = 0;
    let now = before;
    let peak = memoryOf(before);
    while (now.backpressure.closed < SLOW && sent < 40_000) {
      for (let i = 0; i < 25; i++, sent += 20) await bystander.request('test', 'shout', { from: sent, count: 20 });
      now = await stats();
      peak = Math.max(peak, memoryOf(now));
    }
    expect(now.backpressure).toMatchObject({ closed: SLOW, waitingBytes: 0 });
    expect(now.clients).toBe(1);
    expect((peak - memoryOf(before)) / MB).toBeLessThan(64);
    await bystander.settle();
    const got = bystander.received.filter(({ type }) => type === 'news').map(({ data }) => data.n as number);
    expect(got.filter((n) => n >= 0)).toEqual(Array.from({ length: sent }, (_, n) => n));
    expect(now.errors).toEqual([]);
  });

  it('one of them is cut about a second after its close', async () => {
    await sleepers(1);
    const [peer] = slow as [RawPeer];
    for (let from = 0; (await stats()).backpressure.closed === 0; from += 500) {
      await bystander.request('test', 'shout', { from, count: 500 });
    }
    const watch = new Stopwatch();
    // A peer that reads again may still see its close frame; this one never does, and is cut all the same.
    await until(async () => {
      const { resources } = await stats();
      return (resources['TCPSocketWrap'] ?? 0) <= 1;
    });
    expect(watch.ms).toBeLessThan(2_500);
    peer.socket.resume();
    await peer.closed;
  });

  it('and keep asking are closed when their answers pile up', async () => {
    await sleepers(1);
    const [peer] = slow as [RawPeer];
    for (let n = 0; n < 40_000 && !peer.isClosed; n++) {
      peer.send({ type: 'test', action: 'echo', data: 'x'.repeat(1_000), id: n });
      if (n % 200 === 0) await bystander.settle();
      if (n % 2_000 === 0 && (await stats()).backpressure.closed === 1) break;
    }
    await until(async () => (await stats()).backpressure.closed === 1);
    expect((await stats()).clients).toBe(1);
  });

  it('hold up their own stream, and nothing else', async () => {
    await sleepers(1);
    const [peer] = slow as [RawPeer];
    peer.send({ type: 'test', action: 'endless', id: 's' });
    let produced = -1;
    await until(async () => {
      const before = produced;
      ({ produced } = await stats());
      return produced > 0 && produced === before;
    });
    await bystander.settle();
    expect((await stats()).backpressure.waitingBytes).toBeLessThan(2 * 65_536);
    expect((await stats()).backpressure.closed).toBe(0);
  });
});

describe('L3: a client that asks for a stream without an end, and reads as fast as it comes', () => {
  let app: ChildApp;
  let reader: WebSocket;
  afterEach(async () => {
    reader.terminate();
    await app.stop();
  });

  it.each(['plain', 'compressed'] as const)('leaves others their turn, and memory as it is (%s)', async (scenario) => {
    app = await ChildApp.start(scenario);
    const bystander = await app.connect();
    reader = new WebSocket(`ws://127.0.0.1:${app.port}/ws`);
    await once(reader, 'open');
    expect(reader.extensions.includes('permessage-deflate')).toBe(scenario === 'compressed');
    const { stats: before } = await app.ask('collect');
    reader.send(JSON.stringify({ type: 'test', action: 'endless', id: 's' }));
    await app.untilStats(({ produced }) => produced > 1_000);
    for (let n = 0; n < 50; n++) await bystander.settle();
    await app.untilStats(({ produced }) => produced > 5_000);
    const { stats: after } = await app.ask('collect');
    expect(after?.backpressure).toMatchObject({ dropped: 0, closed: 0 });
    expect((memoryOf(after as Stats) - memoryOf(before as Stats)) / MB).toBeLessThan(64);
    reader.terminate();
    await app.untilStats(({ clients }) => clients === 1);
    const { produced } = await app.stats();
    await bystander.settle();
    expect((await app.stats()).produced).toBe(produced);
  });
});
