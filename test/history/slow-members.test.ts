import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { ServerSocket } from '../../lib/connection/server-socket.js';
import type { HistoryRuleOptions, WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const BUDGET = 262_144;
const KIB = 1_024;
const message = (n: number, kib: number): { type: string; action: string; data: unknown } => ({
  type: 'chat',
  action: 'news',
  data: { n, text: 'x'.repeat(kib * KIB) },
});
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);
const offsetsOf = (peer: Peer, room = ROOM): number[] =>
  peer.received.filter(({ at }) => at?.room === room).map(({ at }) => at.offset);

let stops: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function startNode(
  kind: string,
  rule: Partial<HistoryRuleOptions> = {},
  backpressure: WebSocketOptions['backpressure'] = {},
): Promise<RunningApp> {
  const options: WebSocketOptions = {
    rooms: { history: [{ match: 'chat:*', size: 5_000, maxBytes: 64 * KIB * KIB, ...rule }] },
    backpressure: { maxBufferedBytes: BUDGET, ...backpressure },
    heartbeat: false,
  };
  if (kind === 'in Redis') {
    const redis = await TestRedis.start();
    stops.push(() => redis.stop());
    options.redis = redis.url;
  }
  const node = await startApp({ options });
  stops.push(() => node.close());
  return node;
}

const outboxes = ({ server }: RunningApp): { bufferedBytes: number }[] =>
  [...server.clients].flatMap((ws) => (ws as ServerSocket).outbox ?? []);

/** The most that waited in this process for any client, looked at in every turn until it is stopped. */
function watch(node: RunningApp): () => number {
  let most = 0;
  let isOn = true;
  const look = (): void => {
    for (const { bufferedBytes } of outboxes(node)) most = Math.max(most, bufferedBytes);
    if (isOn) setImmediate(look);
  };
  look();
  const stop = (): number => {
    isOn = false;
    return most;
  };
  stops.push(() => void stop());
  return stop;
}

describe.each(hasRedis() ? ['in memory', 'in Redis'] : ['in memory'])('with histories %s, a slow member', (kind) => {
  it('H3, H11: gets what it missed in pieces, and what is live behind it', async () => {
    const node = await startNode(kind);
    const { service } = node;
    for (let n = 1; n <= 200; n++) await service.publishToRoom(ROOM, message(n, 40));
    const { epoch } = await service.position(ROOM);
    const peer = await node.connect();
    peer.ws.pause();
    const mostOf = watch(node);
    peer.send('system', 'joinRoom', { roomName: ROOM, since: { epoch, offset: 0 } }, 1);
    await until(() => outboxes(node).some(({ bufferedBytes }) => bufferedBytes > 0));
    for (let n = 201; n <= 220; n++) await service.publishToRoom(ROOM, message(n, 1));
    expect(node.server.status.backpressure.closed).toBe(0);
    peer.ws.resume();
    for (let n = 221; n <= 240; n++) await service.publishToRoom(ROOM, message(n, 1));
    await until(() => offsetsOf(peer).length >= 240);
    expect(offsetsOf(peer)).toEqual(range(1, 240));
    const [reply] = peer.received.filter(({ id }) => id === 1);
    expect(reply.response.data.history).toMatchObject({ epoch, recovered: true });
    expect(mostOf()).toBeLessThan(BUDGET / 2);
    expect(node.server.status.backpressure.closed).toBe(0);
    // It gets what comes next as everybody else does.
    await service.publishToRoom(ROOM, message(241, 1));
    await until(() => offsetsOf(peer).length === 241);
    expect(node.errors).toEqual([]);
  });

  it('H13: that comes back to 100 rooms never has more than half its budget waiting', async () => {
    const node = await startNode(kind);
    const rooms = range(1, 100).map((n) => `chat:${n}`);
    await Promise.all(
      rooms.map(async (room) => {
        for (let n = 1; n <= 3; n++) await node.service.publishToRoom(room, message(n, 25));
      }),
    );
    const places = await Promise.all(rooms.map((room) => node.service.position(room)));
    const peer = await node.connect();
    peer.ws.pause();
    const mostOf = watch(node);
    const asked = rooms.map((roomName, at) => ({ roomName, since: { ...places[at], offset: 0 } }));
    peer.send('system', 'joinRooms', { rooms: asked }, 1);
    await until(() => outboxes(node).some(({ bufferedBytes }) => bufferedBytes > 0));
    peer.ws.resume();
    await until(() => peer.received.some(({ id, done }) => id === 1 && done));
    await until(() => rooms.every((room) => offsetsOf(peer, room).length >= 3));
    for (const room of rooms) expect(offsetsOf(peer, room)).toEqual([1, 2, 3]);
    expect(mostOf()).toBeLessThan(BUDGET / 2);
  });

  it('H11: that reads nothing is closed with 4113, comes back, and has missed nothing', async () => {
    const node = await startNode(kind);
    const { service } = node;
    const peer = await node.connect();
    peer.send('system', 'joinRoom', { roomName: ROOM }, 1);
    await until(() => peer.received.some(({ id }) => id === 1));
    peer.ws.pause();
    let n = 0;
    while (node.server.status.backpressure.closed === 0) {
      await service.publishToRoom(ROOM, message(++n, 40));
      await nextTurn(); // in memory it takes no turn by itself
    }
    peer.ws.resume();
    expect((await peer.closed).code).toBe(4113);
    const seen = offsetsOf(peer);
    expect(seen).toEqual(range(1, seen.length));
    expect(seen.length).toBeLessThan(n);
    const { epoch } = await service.position(ROOM);
    const back = await node.connect();
    const since = { epoch, offset: seen.length };
    back.send('system', 'joinRoom', { roomName: ROOM, since }, 1);
    await until(() => offsetsOf(back).length >= n - seen.length);
    expect(offsetsOf(back)).toEqual(range(seen.length + 1, n));
  });

  it.each(['drop-volatile', 'conflate'] as const)('H11: misses nothing where the policy is %s', async (policy) => {
    const node = await startNode(kind, {}, { policy, volatileBytes: 1_024, maxBufferedBytes: 4 * BUDGET });
    const peer = await node.connect();
    await peer.join(ROOM);
    peer.ws.pause();
    let n = 0;
    while (node.server.status.backpressure.waitingBytes < BUDGET) {
      await node.service.publishToRoom(ROOM, message(++n, 40));
      await nextTurn();
    }
    for (let more = 0; more < 5; more++) await node.service.publishToRoom(ROOM, message(++n, 1));
    peer.ws.resume();
    await until(() => offsetsOf(peer).length >= n);
    expect(offsetsOf(peer)).toEqual(range(1, n));
    expect(node.server.status.backpressure).toMatchObject({ dropped: 0, conflated: 0, closed: 0 });
  });

  it('H4: that falls out of what is kept while it catches up is closed, not given a part', async () => {
    const node = await startNode(kind, { size: 100 });
    const { service } = node;
    for (let n = 1; n <= 100; n++) await service.publishToRoom(ROOM, message(n, 60));
    const { epoch } = await service.position(ROOM);
    const peer = await node.connect();
    peer.ws.pause();
    peer.send('system', 'joinRoom', { roomName: ROOM, since: { epoch, offset: 0 } }, 1);
    await until(() => outboxes(node).some(({ bufferedBytes }) => bufferedBytes > 0));
    for (let n = 101; n <= 300; n++) await service.publishToRoom(ROOM, message(n, 1));
    peer.ws.resume();
    expect((await peer.closed).code).toBe(4113);
    const seen = offsetsOf(peer);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen).toEqual(range(1, seen.length));
    expect(seen.length).toBeLessThan(100);
  });

  it('that is reset while it catches up gets nothing more of before', async () => {
    const node = await startNode(kind);
    const { service } = node;
    for (let n = 1; n <= 100; n++) await service.publishToRoom(ROOM, message(n, 60));
    const { epoch } = await service.position(ROOM);
    const peer = await node.connect();
    peer.ws.pause();
    peer.send('system', 'joinRoom', { roomName: ROOM, since: { epoch, offset: 0 } }, 1);
    await until(() => outboxes(node).some(({ bufferedBytes }) => bufferedBytes > 0));
    const other = await node.connect();
    await other.join(ROOM);
    const anew = await service.clearHistory(ROOM);
    await other.next('system', 'roomReset');
    await service.publishToRoom(ROOM, message(1, 1));
    peer.ws.resume();
    await until(() => peer.received.some(({ at }) => at?.epoch === anew.epoch));
    const news = peer.received.filter(({ at, action }) => at || action === 'roomReset');
    const reset = news.findIndex(({ action }) => action === 'roomReset');
    expect(reset).toBeGreaterThan(0);
    expect(news.slice(0, reset).map(({ at }) => at.offset)).toEqual(range(1, reset));
    expect(news.slice(reset + 1).map(({ at }) => at)).toEqual([{ room: ROOM, epoch: anew.epoch, offset: 1 }]);
  });

  it('that leaves while it catches up gets nothing more', async () => {
    const node = await startNode(kind);
    const { service } = node;
    for (let n = 1; n <= 100; n++) await service.publishToRoom(ROOM, message(n, 60));
    const { epoch } = await service.position(ROOM);
    const peer = await node.connect();
    peer.ws.pause();
    peer.send('system', 'joinRoom', { roomName: ROOM, since: { epoch, offset: 0 } }, 1);
    await until(() => outboxes(node).some(({ bufferedBytes }) => bufferedBytes > 0));
    peer.send('system', 'leaveRoom', { roomName: ROOM }, 2);
    await until(() => node.rooms.rooms.size === 0);
    peer.ws.resume();
    await until(() => peer.received.some(({ id }) => id === 2));
    const gone = peer.received.findIndex(({ id }) => id === 2);
    expect(peer.received.slice(gone + 1)).toEqual([]);
    expect(offsetsOf(peer).length).toBeLessThan(100);
  });
});
