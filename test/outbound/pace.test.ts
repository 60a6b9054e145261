import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocketService, type WebSocketOptions, WsRoute } from '../../lib/index.js';
import { AutoPace } from '../../lib/outbound/flush-pace.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';

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

class Echo {
  @WsRoute('test', 'echo')
  echo(_ws: unknown, _clientId: string, data: unknown): unknown {
    return data;
  }
}

describe.each<[string, NonNullable<WebSocketOptions['delivery']>]>([
  ['turn', { flush: 'turn' }],
  ['auto', { flush: 'auto' }],
  ['a gap', { flush: { gapMs: 200 } }],
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
    const began = performance.now();
    tell(1);
    await peer.request('test', 'echo', {});
    const tookMs = performance.now() - began;
    expect(peer.received.map(({ action }) => action)).toEqual(['flash']);
    if (name === 'a gap') expect(tookMs).toBeLessThan(150);
  });
});
