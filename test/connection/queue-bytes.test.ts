import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { CloseCode, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { until } from '../support/until.js';

let release: () => void;
let isReleased: Promise<void>;
let seen: unknown[];

@WsGateway('work')
class Work {
  @WsRoute('do')
  async do(_ws: unknown, _clientId: string, data: { n: number; blocks?: boolean }): Promise<number> {
    seen.push(data.n);
    if (data.blocks) await isReleased;
    return data.n;
  }
}

let running: RunningApp;
afterEach(() => running.close());

const start = async (messages: object): Promise<RunningApp> => {
  seen = [];
  isReleased = new Promise((resolve) => (release = resolve));
  running = await startApp({ providers: [Work], options: { messages } });
  return running;
};

const padding = 'x'.repeat(10_000);

interface Inside {
  isPaused: boolean;
  waitingBytes: number;
}

const inside = (clientId: string): Inside => {
  const ws: unknown = running.clients.getClient({ clientId })?.ws;
  return (ws as { connection: Inside }).connection;
};

describe('messages that wait', () => {
  it('pause the reading of their socket when they are too many bytes, and are all handled in order', async () => {
    await start({ maxQueuedBytes: 50_000 });
    const peer = await running.connect();
    peer.send('work', 'do', { n: 0, blocks: true });
    for (let n = 1; n <= 200; n++) peer.send('work', 'do', { n, padding });
    await until(() => inside(peer.clientId).isPaused);
    await sleep(50);
    // What was read before: one more chunk of the socket at most.
    expect(inside(peer.clientId).waitingBytes).toBeLessThan(50_000 + 10_100 + 65_536);
    release();
    expect((await peer.request('work', 'do', { n: 201 })).response).toBe(201);
    expect(seen).toEqual(Array.from({ length: 202 }, (_, n) => n));
    expect(inside(peer.clientId)).toMatchObject({ isPaused: false, waitingBytes: 0 });
  });

  it('have their data at their turn, whether they are short, long, or beside a megabyte of others', async () => {
    await start({ maxQueuedBytes: 4_000_000, processMaxQueuedBytes: 16_000_000, maxQueued: 1_000 });
    const peer = await running.connect();
    peer.send('work', 'do', { n: 0, blocks: true });
    for (let n = 1; n <= 300; n++) peer.send('work', 'do', { n, ...(n % 2 ? {} : { padding }) });
    await until(() => inside(peer.clientId).waitingBytes > 1_500_000);
    release();
    expect((await peer.request('work', 'do', { n: 301 })).response).toBe(301);
    expect(seen).toEqual(Array.from({ length: 302 }, (_, n) => n));
    expect(inside(peer.clientId).waitingBytes).toBe(0);
  });

  it('that are long are kept as text, not as parsed data, and are dropped when their time is over', async () => {
    await start({ handlerTimeoutMs: 1_500 });
    const peer = await running.connect();
    peer.send('work', 'do', { n: 0, blocks: true }, 'first');
    for (let n = 1; n <= 5; n++) peer.send('work', 'do', { n, padding }, n);
    await until(() => inside(peer.clientId).waitingBytes > 50_000);
    for (let n = 1; n <= 5; n++) expect((await peer.take(({ id }) => id === n)).data.code).toBe('TIMEOUT');
    expect(inside(peer.clientId).waitingBytes).toBe(0);
    release();
    await peer.settle();
    expect(seen).toEqual([0]);
  });

  it('of all connections have a budget: those with the most are closed', async () => {
    await start({ processMaxQueuedBytes: 100_000 });
    const peers = await Promise.all(Array.from({ length: 4 }, () => running.connect()));
    for (const peer of peers) peer.send('work', 'do', { n: 0, blocks: true });
    const counts = [1, 2, 3, 5];
    for (const [index, peer] of peers.entries()) {
      for (let n = 0; n < (counts[index] as number); n++) peer.send('work', 'do', { n: 1, padding });
      await peer.settle();
    }
    expect((await peers[3]?.closed)?.code).toBe(CloseCode.OverCapacity);
    for (const peer of peers.slice(0, 3)) await peer.settle();
    release();
    for (const [index, peer] of peers.slice(0, 3).entries())
      expect((await peer.request('work', 'do', { n: index })).response).toBe(index);
  });
});
