import { afterEach, describe, expect, it } from '@jest/globals';
import type { ServerSocket } from '../../lib/connection/server-socket.js';
import type { HistoryRuleOptions, RoomPosition, WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const ROOM = 'chat:1';
const news = (n: number, text = ''): { type: string; action: string; data: unknown } => ({
  type: 'chat',
  action: 'news',
  data: { n, text },
});
const offsets = (peer: Peer): number[] => peer.received.filter(({ at }) => at).map(({ at }) => at.offset);
const historyOf = (reply: Frame): Frame => reply.response.data.history;
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);

let stops: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

describe.each(hasRedis() ? ['in memory', 'in Redis'] : ['in memory'])('with histories %s', (kind) => {
  async function start(rule: Partial<HistoryRuleOptions>, more: WebSocketOptions = {}): Promise<RunningApp> {
    const options: WebSocketOptions = { rooms: { history: [{ match: 'chat:*', ...rule }] }, ...more };
    if (kind === 'in Redis') {
      const redis = await TestRedis.start();
      stops.push(() => redis.stop());
      options.redis = redis.url;
    }
    const node = await startApp({ options });
    stops.push(() => node.close());
    return node;
  }

  async function publish(node: RunningApp, from: number, to: number, text = ''): Promise<RoomPosition> {
    for (let n = from; n <= to; n++) await node.service.publishToRoom(ROOM, news(n, text));
    return node.service.position(ROOM);
  }

  it('a client that resumes below a value that has aged out stays connected, and gets the next one', async () => {
    const node = await start({ mode: 'last', ttlMs: 100 });
    const { epoch } = await publish(node, 1, 3);
    await until(async () => (await node.service.history(ROOM)).entries.length === 0);
    const peer = await node.connect();
    const joined = historyOf(await peer.join(ROOM, { since: { epoch, offset: 1 } }));
    expect(joined).toMatchObject({ offset: 3, recovered: true, missed: 2 });
    await publish(node, 4, 4);
    await until(() => offsets(peer).length === 1);
    expect(offsets(peer)).toEqual([4]);
    expect(node.server.status.backpressure.closed).toBe(0);
  });

  it('a room that keeps all messages takes them whatever their version', async () => {
    const node = await start({});
    expect(await node.service.publishToRoom(ROOM, news(1), { version: 2 })).toMatchObject({ offset: 1 });
    const second = await node.service.publishToRoom(ROOM, news(2), { version: 1 });
    expect(second).toMatchObject({ offset: 2, isDuplicate: false });
  });

  it('a page may end anywhere, also at a place that will never be', async () => {
    const node = await start({});
    const { epoch } = await publish(node, 1, 3);
    const peer = await node.connect();
    await peer.join(ROOM);
    for (const offset of [4, 1e14, 1e15, Number.MAX_SAFE_INTEGER])
      for (const reverse of [false, true]) {
        const query = { roomName: ROOM, before: { epoch, offset }, reverse };
        const { response } = await peer.request('system', 'history', query);
        expect(response).toMatchObject({ offset: 3, first: 1, more: false });
        expect(response.entries).toHaveLength(3);
      }
    const beyond = { epoch, offset: Number.MAX_SAFE_INTEGER };
    const { response } = await peer.request('system', 'history', { roomName: ROOM, since: beyond });
    expect(response).toMatchObject({ offset: 3, entries: [], more: false });
    const after = historyOf(await peer.join('chat:2', { since: beyond, tail: Number.MAX_SAFE_INTEGER }));
    expect(after).toMatchObject({ recovered: false, reason: 'other-epoch' });
  });

  it('H14: nobody gets more bytes than are kept, whatever the script of the text', async () => {
    const node = await start({ maxBytes: 3_000 });
    const first = await node.connect();
    await first.join(ROOM);
    await publish(node, 1, 8, '漢'.repeat(300)); // 900 bytes of text
    await until(() => offsets(first).length === 8);
    const kept = (await node.service.history(ROOM)).entries.map(({ at }) => at.offset);
    expect(kept.length).toBeLessThan(4);
    const peer = await node.connect();
    await peer.join(ROOM, { tail: 5 });
    await peer.settle();
    expect(offsets(peer)).toEqual(kept);
  });

  it('server code that puts a member into its room again takes nothing from it', async () => {
    const node = await start({ size: 1_000, maxBytes: 8_388_608 }, { backpressure: { maxBufferedBytes: 262_144 } });
    const { epoch } = await publish(node, 1, 100, 'x'.repeat(40_000));
    const peer = await node.connect();
    peer.ws.pause();
    peer.send('system', 'joinRoom', { roomName: ROOM, since: { epoch, offset: 0 } }, 1);
    const [socket] = node.server.clients as unknown as Iterable<ServerSocket>;
    await until(() => (socket?.outbox?.bufferedBytes ?? 0) > 0);
    await node.server.joinRoom({ clientId: peer.clientId, roomName: ROOM });
    peer.ws.resume();
    await publish(node, 101, 110);
    await until(() => offsets(peer).includes(110));
    expect(offsets(peer)).toEqual(range(1, 110));
  });

  it('H11: a client whose hooks still run is closed rather than that it misses one', async () => {
    let finish: (() => void) | undefined;
    const node = await start(
      {},
      {
        backpressure: { maxBufferedBytes: 262_144 },
        events: {
          onConnected: async ({ joinRoom }) => {
            await joinRoom({ roomName: ROOM });
            await new Promise<void>((resolve) => (finish = resolve));
          },
        },
      },
    );
    const peer = await node.connect({ isRaw: true });
    await until(() => finish !== undefined);
    await publish(node, 1, 20, 'x'.repeat(40_000));
    finish?.();
    expect((await peer.closed).code).toBe(4113);
    expect(offsets(peer)).toEqual([]);
    expect(node.server.status.backpressure.dropped).toBe(0);
  });

  it('a message that fits is kept, also with the session of its sender', async () => {
    const node = await start({ maxBytes: 1_000 });
    const peer = await node.connect();
    await peer.join(ROOM);
    const small = JSON.stringify(news(1, '')).length;
    await node.service.publishToRoom(ROOM, news(1, 'x'.repeat(1_000 - small)));
    expect((await node.service.history(ROOM)).entries).toHaveLength(1);
    await expect(node.service.publishToRoom(ROOM, news(1, 'x'.repeat(1_001 - small)))).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
    });
  });
});
