import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { WebSocket } from 'ws';
import { SYSTEM } from '../../lib/system.js';
import { WebSocketService, type WebSocketOptions, WsRoute } from '../../lib/index.js';
import { AutoPace } from '../../lib/outbound/flush-pace.js';
import { type FlushedOutbox, Flusher } from '../../lib/outbound/flusher.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { Stopwatch } from '../support/stopwatch.js';

/** A process of which a test says how long it worked and waited. */
class Process {
  active = 0;
  idle = 0;
  readonly pace = new AutoPace(() => ({ active: this.active, idle: this.idle }));

  /** A flush that ends at `at` after so long a time, in which the process did nothing else. */
  flush(at: number, tookMs: number, { messages = 1, idleMs = 0 } = {}): void {
    this.active += tookMs;
    this.idle += idleMs;
    this.pace.flushed(at, tookMs, messages);
  }
}

describe('the automatic pace', () => {
  it('waits as long as the last flush took', () => {
    const process = new Process();
    process.flush(100, 3);
    expect(process.pace.waitMs(100)).toBe(3);
    expect(process.pace.waitMs(102)).toBe(1);
    expect(process.pace.waitMs(103)).toBe(0);
  });

  it('waits 5 ms at most', () => {
    const process = new Process();
    process.flush(100, 40);
    expect(process.pace.waitMs(100)).toBe(5);
  });

  it.each([
    ['a short flush', 0.4, {}],
    ['a flush that carried many messages a socket', 3, { messages: 4 }],
    ['a process that has time', 3, { idleMs: 3 }],
  ])('doesn’t wait after %s', (_, tookMs, more) => {
    const process = new Process();
    process.flush(100, tookMs, more);
    expect(process.pace.waitMs(100)).toBe(0);
  });

  it('doesn’t take its own wait for idle time', () => {
    const process = new Process();
    for (let at = 100; at < 200; at += 6) {
      process.flush(at, 3, { idleMs: at === 100 ? 0 : 3 });
      expect(process.pace.waitMs(at)).toBe(3);
    }
  });
});

/** Notes when it is written. */
class NotedOutbox implements FlushedOutbox {
  readonly ws = {} as WebSocket;
  isTouched = false;
  queuedMessages = 0;
  queuedBytes = 0;
  waitingBytes = 0;
  owedBytes = 0;
  behindSince = 0;
  flushedAt = 0;
  readonly writes: number[] = [];

  constructor(private readonly flusher: Flusher) {}

  push(): void {
    this.queuedMessages++;
    if (!this.isTouched) this.flusher.touch(this);
  }

  turnEnded(): void {
    this.isTouched = false;
    if (this.queuedMessages > 0) this.writes.push(Math.round(performance.now() - START_MS));
    this.queuedMessages = 0;
  }

  look(): void {}
  end(): void {}
}

const START_MS = 10_000;

describe('a gap of 100 ms', () => {
  const limits = {
    volatileBytes: 1_000,
    maxBufferedBytes: 1_000_000,
    drainTimeoutMs: 10_000,
    maxInFlightBytes: false as const,
    processMaxBufferedBytes: 1_000_000,
  };
  /** Exact: an immediate takes a millisecond of Jest's time. */
  const after = (ms: number, task: (now: number) => void): (() => void) => {
    const timer = setTimeout(() => task(performance.now()), ms);
    return () => clearTimeout(timer);
  };
  let flusher: Flusher;
  let outboxes: NotedOutbox[];

  beforeEach(() => {
    jest.useFakeTimers({ now: 0 });
    jest.advanceTimersByTime(START_MS);
    const fail = (error: unknown): void => expect(error).toBe('none');
    flusher = new Flusher(limits, { gapMs: 100 }, fail, fail, { ...SYSTEM, clock: { ...SYSTEM.clock, after } });
    outboxes = Array.from({ length: 3 }, () => new NotedOutbox(flusher));
  });
  afterEach(() => {
    flusher.stop();
    jest.useRealTimers();
  });

  /** At each of these times the outbox with this index gets a message; at the end all that wait are written. */
  const play = (...pushes: (readonly [atMs: number, index: number, more?: 'reply'])[]): number[][] => {
    for (const [atMs, index, more] of pushes) {
      jest.advanceTimersByTime(Math.max(0, START_MS + atMs - performance.now()));
      outboxes[index]?.push();
      if (more) flusher.hurry(outboxes[index] as NotedOutbox);
      jest.advanceTimersByTime(0);
    }
    jest.advanceTimersByTime(1_000);
    return outboxes.map(({ writes }) => writes);
  };

  it('is over so long after the last write, not after the message', () => {
    expect(play([0, 0], [60, 0], [90, 0])).toEqual([[0, 100], [], []]);
  });

  it('is that of each socket by itself', () => {
    expect(play([0, 0], [50, 1], [60, 0], [70, 1], [110, 2], [120, 2])).toEqual([
      [0, 100],
      [50, 150],
      [110, 210],
    ]);
  });

  it('ends first for the socket that was written first', () => {
    expect(play([0, 0], [50, 1], [60, 1], [70, 0])).toEqual([[0, 100], [50, 150], []]);
  });

  it('begins anew with a reply', () => {
    expect(play([0, 0], [50, 0], [60, 0, 'reply'], [70, 0])).toEqual([[0, 60, 160], [], []]);
  });

  it('is written once at its end, however many replies took messages along', () => {
    const replies = Array.from({ length: 50 }, (_, n) => [2 * n, 0, 'reply'] as const);
    const written = jest.spyOn(outboxes[0] as NotedOutbox, 'turnEnded');
    const messages = replies.flatMap(([atMs, index, more]) => [[atMs, index, more] as const, [atMs, index] as const]);
    expect(play(...messages)[0]?.at(-1)).toBe(198);
    expect(written.mock.calls.length).toBeLessThan(110);
  });

  it('isn’t waited for by a socket with more than 64 KB', () => {
    const [outbox] = outboxes as [NotedOutbox];
    play([0, 0]);
    outbox.writes.length = 0;
    outbox.flushedAt = performance.now();
    outbox.queuedBytes = 65_537;
    outbox.push();
    jest.advanceTimersByTime(1);
    expect(outbox.writes).toHaveLength(1);
  });
});

class Echo {
  @WsRoute('test', 'echo')
  echo(_ws: unknown, _clientId: string, data: unknown): unknown {
    return data;
  }
}

describe.each<[string, NonNullable<WebSocketOptions['delivery']>]>([
  ['turn', { flush: 'turn' }],
  ['auto', { flush: 'auto' }],
  ['a gap', { flush: { gapMs: 1_000 } }],
])('with a flush by %s', (name, delivery) => {
  let running: RunningApp;
  afterEach(() => running.close());
  const start = async (peers: number): Promise<Peer[]> => {
    running = await startApp({ options: { delivery, limits: { messages: false } }, providers: [Echo] });
    return Promise.all(Array.from({ length: peers }, () => running.connect()));
  };

  it('every member gets every message once, in order, between replies in order', async () => {
    const peers = await start(20);
    for (const peer of peers) await peer.request('system', 'joinRoom', { roomName: 'all' });
    const service = running.app.get(WebSocketService);
    for (let n = 0; n < 200; n++) {
      void service.sendToRooms(['all'], { type: 'news', action: 'flash', data: { n } });
      if (n % 7 === 0) for (const peer of peers) peer.send('test', 'echo', { n }, n + 1);
      if (n % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    for (const peer of peers) {
      const news: unknown[] = [];
      while (news.length < 200) news.push((await peer.take(({ action }) => action === 'flash'))['data'].n);
      expect(news).toEqual(Array.from({ length: 200 }, (_, n) => n));
      const replies: unknown[] = [];
      while (replies.length < 29) replies.push((await peer.take(({ action }) => action === 'echo'))['id']);
      expect(replies).toEqual(Array.from({ length: 29 }, (_, n) => 7 * n + 1));
    }
  });

  it('a reply doesn’t wait, and takes along what lies before it', async () => {
    const [peer] = (await start(1)) as [Peer];
    await peer.request('system', 'joinRoom', { roomName: 'all' });
    const service = running.app.get(WebSocketService);
    const tell = (n: number): void => void service.sendToRooms(['all'], { type: 'news', action: 'flash', data: { n } });
    tell(0);
    await peer.take(({ action }) => action === 'flash');
    const watch = new Stopwatch();
    tell(1);
    await peer.request('test', 'echo', {});
    const tookMs = watch.ms;
    expect(peer.received.map(({ action }) => action)).toEqual(['flash']);
    if (name === 'a gap') expect(tookMs).toBeLessThan(900);
  });
});
