import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { type WebSocketOptions, WsGateway, WsRoute } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import { frameBytes, RawPeer } from '../support/raw-peer.js';
import { standStill } from '../support/stand-still.js';
import { Stopwatch } from '../support/stopwatch.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

let running: RunningApp;
let release: () => void = () => undefined;
afterEach(async () => {
  release();
  await running.close();
});

@WsGateway('work')
class Work {
  @WsRoute('wait')
  wait(): Promise<void> {
    return new Promise((resolve) => {
      const before = release;
      release = () => {
        before();
        resolve();
      };
    });
  }
}

async function start(pingIntervalMs: number, pongTimeoutMs: number, more: WebSocketOptions = {}): Promise<void> {
  running = await startApp({ providers: [Work], options: { heartbeat: { pingIntervalMs, pongTimeoutMs }, ...more } });
}

const roundTripOf = (clientId: string): number | undefined => running.clients.getClient({ clientId })?.roundTripMs;
const isThere = (clientId: string): boolean => running.clients.getClient({ clientId }) !== undefined;

/** The pings that came, as frames of a peer that answers none. */
const pingsOf = (peer: RawPeer): Buffer[] =>
  peer.frames.filter(({ opcode }) => opcode === 9).map(({ payload }) => payload);

const pong = (payload: Buffer): Buffer => frameBytes({ opcode: 10, payload });

describe('client.roundTripMs', () => {
  it('is the time from the last ping to its pong', async () => {
    const began = performance.now();
    await start(100, 60_000);
    const peer = await running.connect({ autoPong: false });
    expect(roundTripOf(peer.clientId)).toBeUndefined();
    const pings: Buffer[] = [];
    peer.ws.on('ping', (payload) => pings.push(payload));
    await until(() => pings.length > 0);
    await pause(300);
    peer.ws.pong(pings[0]);
    await until(() => roundTripOf(peer.clientId) !== undefined);
    expect(roundTripOf(peer.clientId)).toBeGreaterThanOrEqual(299);
    expect(roundTripOf(peer.clientId)).toBeLessThan(performance.now() - began);
    peer.ws.on('ping', (payload) => peer.ws.pong(payload));
    for (const ping of pings.slice(1)) peer.ws.pong(ping);
    await until(() => (roundTripOf(peer.clientId) as number) < 299);
  });

  it('is not changed by an unsolicited pong, which is a sign of life all the same', async () => {
    await start(50, 1_000);
    const [peer, silent] = [await RawPeer.open(running.port), await RawPeer.open(running.port)];
    const [id, silentId] = [peer, silent].map(({ messages }) => messages[0].data.clientId as string) as [
      string,
      string,
    ];
    const unasked = setInterval(() => {
      peer.write(pong(Buffer.alloc(0)));
      peer.write(pong(Buffer.alloc(8)));
    }, 20);
    await silent.until(() => silent.closeCode === 4201);
    await pause(300);
    clearInterval(unasked);
    expect([isThere(id), isThere(silentId), roundTripOf(id)]).toEqual([true, false, undefined]);
    // The answer to the ping that has been under way all the time counts still; a second one doesn't.
    const [ping] = pingsOf(peer) as [Buffer];
    peer.write(pong(ping));
    await until(() => roundTripOf(id) !== undefined);
    const first = roundTripOf(id);
    expect(first).toBeGreaterThan(300);
    peer.write(Buffer.concat([pong(ping), pong(ping)]));
    await pause(30);
    expect(roundTripOf(id)).toBe(first);
    peer.reset();
    silent.reset();
  });

  it('is not shown to other clients', async () => {
    await start(20, 5_000);
    const peer = await running.connect();
    await until(() => roundTripOf(peer.clientId) !== undefined);
    expect(JSON.stringify(running.clients.getClient(peer))).not.toContain('roundTrip');
  });
});

describe('pings', () => {
  it('of clients that came at once are spread over the interval', async () => {
    await start(1_000, 5_000);
    const times: number[] = [];
    const peers = await Promise.all(Array.from({ length: 50 }, () => running.connect()));
    const since = performance.now();
    const watch = new Stopwatch();
    for (const peer of peers) peer.ws.once('ping', () => times.push(performance.now() - since));
    await until(() => times.length === 50);
    // At once they would go out within 250 ms, ten in each look.
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(500);
    expect(watch.ms).toBeLessThan(3_000);
  });

  it('that were answered while this process stood still close nobody', async () => {
    await start(50, 1_000);
    const peers = await Promise.all(Array.from({ length: 20 }, () => RawPeer.open(running.port)));
    await Promise.all(peers.map((peer) => peer.until(() => pingsOf(peer).length > 0)));
    // The answers lie before the process, which reads none of them for longer than it would wait.
    for (const peer of peers) peer.write(pong(pingsOf(peer)[0] as Buffer));
    standStill(3_000);
    await Promise.all(peers.map((peer) => peer.until(() => pingsOf(peer).length > 1)));
    expect(peers.map(({ closeCode }) => closeCode)).toEqual(peers.map(() => undefined));
    for (const peer of peers) peer.reset();
  });

  it('that were answered late, but in time, while this process stood still for a moment close nobody', async () => {
    await start(50, 4_000);
    const peer = await RawPeer.open(running.port);
    await peer.until(() => pingsOf(peer).length > 0);
    const since = performance.now();
    await pause(3_200);
    peer.write(pong(pingsOf(peer)[0] as Buffer));
    standStill(since + 4_080 - performance.now()); // less than what is taken for the sleep of a machine
    await peer.until(() => pingsOf(peer).length > 1);
    expect(peer.closeCode).toBeUndefined();
    peer.reset();
  });
});

describe('a socket that is paused because its handlers are behind', () => {
  const PONG_MS = 500;
  const flood = (send: (text: string) => void): void => {
    for (let n = 0; n < 20; n++) send(JSON.stringify({ type: 'work', action: 'wait' }));
  };

  it('is closed with 4201, later than others, when its peer is dead', async () => {
    await start(100, PONG_MS, { messages: { maxQueued: 2, handlerTimeoutMs: 60_000 } });
    const dead = await TcpProxy.start(running.port);
    const peer = await running.connectTo(`${dead.url.replace('redis', 'ws')}/ws`);
    const alive = await running.connect();
    flood((text) => peer.sendRaw(text));
    const ws = running.clients.getClient(peer)?.ws;
    await until(() => ws?.isPaused === true);
    dead.blackhole();
    const since = performance.now();
    await until(() => !isThere(peer.clientId));
    expect(performance.now() - since).toBeGreaterThan(PONG_MS * 2);
    await alive.settle();
    await dead.stop();
  });

  it('is read up to the close frame of its peer, which counts as connected until then', async () => {
    const left: unknown[] = [];
    await start(100, PONG_MS, {
      messages: { maxQueued: 2, handlerTimeoutMs: 60_000 },
      events: { onDisconnected: ({ code }) => void left.push(code) },
    });
    const peer = await running.connect();
    flood((text) => peer.sendRaw(text));
    const ws = running.clients.getClient(peer)?.ws;
    await until(() => ws?.isPaused === true);
    peer.ws.close(1000); // not in the read that pauses: it would be seen at once
    await pause(PONG_MS);
    expect([isThere(peer.clientId), left]).toEqual([true, []]);
    const releasing = setInterval(() => release(), 5);
    await until(() => !isThere(peer.clientId));
    clearInterval(releasing);
    expect(left).toEqual([1000]);
  });

  it('is left alone when its peer answers, once its answer is read', async () => {
    await start(100, PONG_MS, { messages: { maxQueued: 2, handlerTimeoutMs: 60_000 } });
    const peer = await running.connect();
    flood((text) => peer.sendRaw(text));
    const ws = running.clients.getClient(peer)?.ws;
    await until(() => ws?.isPaused === true);
    await pause(PONG_MS * 3);
    const releasing = setInterval(() => release(), 5);
    await until(() => ws?.isPaused === false);
    await pause(PONG_MS * 3);
    clearInterval(releasing);
    expect(isThere(peer.clientId)).toBe(true);
  });
});
