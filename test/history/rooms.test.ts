import { afterEach, describe, expect, it } from '@jest/globals';
import type { RoomPosition, WebSocketOptions } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Frame, Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const HISTORY: WebSocketOptions = { rooms: { history: [{ match: 'chat:*' }] } };
const ROOM = 'chat:1';
const news = (n: number | string): { type: string; action: string; data: unknown } => ({
  type: 'chat',
  action: 'news',
  data: { n },
});

let stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

interface Cluster {
  nodes: RunningApp[];
  redis: TestRedis | undefined;
}

const start = async (options: WebSocketOptions): Promise<RunningApp> => {
  const app = await startApp({ options });
  stops.push(() => app.close());
  return app;
};

async function startCluster(kind: string, options: WebSocketOptions = HISTORY): Promise<Cluster> {
  if (kind === 'one process') return { nodes: [await start(options)], redis: undefined };
  const redis = await TestRedis.start();
  stops.push(() => redis.stop());
  return {
    nodes: [await start({ ...options, redis: redis.url }), await start({ ...options, redis: redis.url })],
    redis,
  };
}

/** What the room brought a peer so far, as `n` at offset. */
const seen = (peer: Peer): { n: unknown; offset: number }[] =>
  peer.received.filter(({ action }) => action === 'news').map(({ data, at }) => ({ n: data.n, offset: at.offset }));
const offsets = (peer: Peer): number[] => seen(peer).map(({ offset }) => offset);
const historyOf = (reply: Frame): Frame => reply.response.data.history;
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe.each(hasRedis() ? ['one process', 'two nodes on Redis'] : ['one process'])(
  'a room with history in %s',
  (kind) => {
    const first = ({ nodes }: Cluster): RunningApp => nodes[0] as RunningApp;
    const last = ({ nodes }: Cluster): RunningApp => nodes.at(-1) as RunningApp;

    it('H1, H2, H10: gives every publication a place, and every member each of them once, in order', async () => {
      const cluster = await startCluster(kind);
      const [ada, bob] = [await first(cluster).connect(), await last(cluster).connect()];
      expect(ada.connected.data.features).toContain('history');
      const joined = historyOf(await ada.join(ROOM));
      expect(joined).toEqual({ epoch: expect.any(String), offset: 0, missed: 0 });
      await bob.join(ROOM);
      const places = [];
      for (let n = 1; n <= 20; n++)
        places.push(await (n % 2 ? first(cluster) : last(cluster)).service.publishToRoom(ROOM, news(n)));
      expect(places).toEqual(range(1, 20).map((offset) => ({ epoch: joined.epoch, offset, isDuplicate: false })));
      for (const peer of [ada, bob]) await until(() => offsets(peer).length === 20);
      for (const peer of [ada, bob]) expect(seen(peer)).toEqual(range(1, 20).map((n) => ({ n, offset: n })));
      expect(ada.received[0]).toEqual({ ...news(1), at: { room: ROOM, epoch: joined.epoch, offset: 1 } });
    });

    it('H3: gives a client that comes back what it missed, before anything live', async () => {
      const cluster = await startCluster(kind);
      const service = first(cluster).service;
      const ada = await first(cluster).connect();
      const { epoch } = historyOf(await ada.join(ROOM));
      for (let n = 1; n <= 5; n++) await service.publishToRoom(ROOM, news(n));
      await until(() => offsets(ada).length === 5);
      ada.terminate();
      for (let n = 6; n <= 80; n++) await service.publishToRoom(ROOM, news(n));

      const back = await last(cluster).connect();
      const publishing = (async () => {
        for (let n = 81; n <= 120; n++) await service.publishToRoom(ROOM, news(n));
      })();
      const reply = historyOf(await back.join(ROOM, { since: { epoch, offset: 5 } }));
      expect(reply).toMatchObject({ epoch, recovered: true, missed: reply.offset - 5 });
      await publishing;
      await until(() => offsets(back).length === 115);
      expect(offsets(back)).toEqual(range(6, 120));
    });

    it('answers before it sends what was missed', async () => {
      const cluster = await startCluster(kind);
      const ada = await first(cluster).connect();
      for (let n = 1; n <= 3; n++) await first(cluster).service.publishToRoom(ROOM, news(n));
      const { epoch } = await first(cluster).service.position(ROOM);
      ada.send('system', 'joinRoom', { roomName: ROOM, since: { epoch, offset: 0 } }, 'join');
      await until(() => ada.received.length === 4);
      expect(ada.received.map(({ action }) => action)).toEqual(['joinRoom', 'news', 'news', 'news']);
    });

    it('H4: says why it can’t, and then sends nothing of before', async () => {
      const cluster = await startCluster(kind, {
        rooms: {
          history: [
            { match: 'chat:*', size: 10, recoverMax: 5 },
            { match: /^short:.*$/, ttlMs: 100 },
          ],
        },
      });
      const { service } = first(cluster);
      for (let n = 1; n <= 20; n++) await service.publishToRoom(ROOM, news(n));
      const { epoch } = await service.position(ROOM);
      const peer = await last(cluster).connect();
      const joined = async (roomName: string, since: object): Promise<Frame> => {
        const reply = historyOf(await peer.join(roomName, { since }));
        await peer.request('system', 'leaveRoom', { roomName });
        return reply;
      };
      expect(await joined(ROOM, { epoch, offset: 14 })).toMatchObject({ recovered: false, reason: 'too-far-behind' });
      expect(await joined(ROOM, { epoch, offset: 15 })).toMatchObject({ recovered: true, missed: 5 });
      expect(await joined(ROOM, { epoch: 'another', offset: 1 })).toMatchObject({
        recovered: false,
        reason: 'other-epoch',
      });
      expect(await joined(ROOM, { epoch, offset: 21 })).toMatchObject({ recovered: false, reason: 'ahead' });
      expect(offsets(peer)).toEqual(range(16, 20));
      await service.publishToRoom('short:1', news(1));
      const short = await service.position('short:1');
      await until(async () => (await service.history('short:1')).entries.length === 0);
      expect(await joined('short:1', { ...short, offset: 0 })).toMatchObject({ recovered: false, reason: 'expired' });
      expect(await joined('short:1', short)).toMatchObject({ recovered: true, missed: 0 });
    });

    it('joins many rooms in one request, each from its own place', async () => {
      const cluster = await startCluster(kind);
      const { service } = first(cluster);
      const rooms = [];
      for (let room = 0; room < 10; room++) {
        const roomName = `chat:${room}`;
        for (let n = 1; n <= 5; n++) await service.publishToRoom(roomName, news(n));
        rooms.push({ roomName, since: { ...(await service.position(roomName)), offset: room % 6 } });
      }
      const peer = await last(cluster).connect();
      peer.send('system', 'joinRooms', { rooms: [...rooms, { roomName: 'plain' }, { roomName: 'private:x' }] }, 'many');
      await peer.take(({ id, done }) => id === 'many' && done);
      const parts = peer.received.filter(({ id }) => id === 'many').map(({ response }) => response);
      for (const { roomName, since } of rooms) {
        const part = parts.find((each) => each.roomName === roomName);
        expect(part).toMatchObject({ success: true, data: { history: { recovered: true, missed: 5 - since.offset } } });
        const got = peer.received.filter(({ at }) => at?.room === roomName).map(({ at }) => at.offset);
        expect(got).toEqual(range(since.offset + 1, 5));
        // Each room is live as soon as its part and what it missed have gone out.
        const at = peer.received.findIndex(({ response }) => response?.roomName === roomName);
        expect(peer.received.findIndex((frame) => frame.at?.room === roomName)).toBeGreaterThan(
          got.length > 0 ? at : -2,
        );
      }
      expect(parts.find(({ roomName }) => roomName === 'plain')).toMatchObject({ success: true });
      expect(parts.find(({ roomName }) => roomName === 'private:x')).toMatchObject({
        error: { code: 'ROOM_FORBIDDEN' },
      });
    });

    it('H15: asks authorizeJoin of every resume', async () => {
      let isBanned = false;
      const cluster = await startCluster(kind, {
        rooms: { history: [{ match: 'chat:*' }], authorizeJoin: () => !isBanned },
      });
      const peer = await first(cluster).connect();
      const { epoch } = historyOf(await peer.join(ROOM));
      await first(cluster).service.publishToRoom(ROOM, news(1));
      await until(() => offsets(peer).length === 1);
      await peer.request('system', 'leaveRoom', { roomName: ROOM });
      isBanned = true;
      const reply = await peer.request('system', 'joinRoom', { roomName: ROOM, since: { epoch, offset: 0 } });
      expect(reply.data.code).toBe('ROOM_FORBIDDEN');
      await peer.settle();
      expect(offsets(peer)).toEqual([1]);
    });

    it('H15: asks it for each room of many that are resumed at once', async () => {
      const asked: string[] = [];
      const banned = new Set<string>();
      const cluster = await startCluster(kind, {
        rooms: {
          history: [{ match: 'chat:*' }],
          authorizeJoin: ({ roomName }) => {
            asked.push(roomName);
            return !banned.has(roomName);
          },
        },
      });
      const { service } = first(cluster);
      const rooms: { roomName: string; since: RoomPosition }[] = [];
      for (const roomName of range(1, 20).map((n) => `chat:${n}`)) {
        await service.publishToRoom(roomName, news(1));
        rooms.push({ roomName, since: { ...(await service.position(roomName)), offset: 0 } });
      }
      const resume = async (peer: Peer): Promise<Frame[]> => {
        peer.send('system', 'joinRooms', { rooms }, 'many');
        await peer.take(({ id, done }) => id === 'many' && done);
        await peer.settle();
        return peer.received.filter(({ id, response }) => id === 'many' && response).map(({ response }) => response);
      };
      const before = await first(cluster).connect();
      await resume(before);
      expect(offsets(before)).toHaveLength(20);
      for (const { roomName } of rooms.slice(5, 15)) banned.add(roomName);
      asked.length = 0;
      const peer = await last(cluster).connect();
      const parts = await resume(peer);
      expect(asked.toSorted()).toEqual(rooms.map(({ roomName }) => roomName).toSorted());
      const refused = parts.filter(({ error }) => error?.code === 'ROOM_FORBIDDEN').map(({ roomName }) => roomName);
      expect(new Set(refused)).toEqual(banned);
      const heard = new Set(peer.received.filter(({ at }) => at).map(({ at }) => at.room));
      expect(heard).toEqual(new Set(rooms.map(({ roomName }) => roomName).filter((name) => !banned.has(name))));
      for (const { roomName } of rooms) await service.publishToRoom(roomName, news(2));
      await until(() => offsets(peer).filter((offset) => offset === 2).length === 10);
      await peer.settle();
      expect(peer.received.filter(({ at }) => at && banned.has(at.room))).toEqual([]);
    });

    it('takes sendToRooms and broadcastToRoom as publications, beside rooms without history', async () => {
      const cluster = await startCluster(kind);
      const peer = await last(cluster).connect();
      await peer.join(ROOM);
      await peer.join('plain');
      const { server, service } = first(cluster);
      await service.sendToRooms([ROOM, 'plain'], news(1));
      server.broadcastToRoom({ roomName: ROOM, data: news(2) });
      await until(() => peer.received.filter(({ action }) => action === 'news').length === 3);
      expect(peer.received.filter(({ at }) => at).map(({ at }) => at.offset)).toEqual([1, 2]);
      expect(peer.received.filter(({ at, action }) => !at && action === 'news')).toEqual([news(1)]);
      await expect(service.sendToRooms([ROOM], news(3), { except: [peer.clientId] })).rejects.toThrow('"except"');
      await expect(service.sendToRooms([ROOM], news(3), { volatile: true })).rejects.toThrow('"volatile"');
      await expect(service.sendToRooms([ROOM], news(3), { conflateKey: 'x' })).rejects.toThrow('"conflateKey"');
      await expect(service.publishToRoom('plain', news(3))).rejects.toThrow('keeps no messages');
    });

    it('says of sendToRooms that one room could not take it, though the others did', async () => {
      const cluster = await startCluster(kind, {
        rooms: { history: [{ match: 'chat:small', maxBytes: 200 }, { match: 'chat:*' }] },
      });
      const { service } = first(cluster);
      const long = { type: 'chat', action: 'news', data: { text: 'x'.repeat(1_000) } };
      await expect(service.sendToRooms([ROOM, 'chat:small'], long)).rejects.toMatchObject({
        code: 'MESSAGE_TOO_LARGE',
      });
      expect((await service.history(ROOM)).entries).toHaveLength(1);
    });

    it('refuses a message for rooms of both kinds with one error, and nothing is sent', async () => {
      const { service } = first(await startCluster(kind));
      const unhandled: unknown[] = [];
      const note = (error: unknown): void => void unhandled.push(error);
      process.on('unhandledRejection', note);
      try {
        const sent = async (): Promise<void> => service.sendToRooms([ROOM, 'plain'], { type: 'no type', action: 'x' });
        await expect(sent()).rejects.toMatchObject({ name: 'InvalidMessageError' });
        await new Promise((resolve) => setImmediate(resolve));
      } finally {
        process.off('unhandledRejection', note);
      }
      expect(unhandled).toEqual([]);
      expect((await service.history(ROOM)).entries).toEqual([]);
    });

    it('H8: stores one entry for a key', async () => {
      const cluster = await startCluster(kind);
      const peer = await last(cluster).connect();
      await peer.join(ROOM);
      const once = await first(cluster).service.publishToRoom(ROOM, news(1), { key: 'k' });
      expect(await last(cluster).service.publishToRoom(ROOM, news(1), { key: 'k' })).toEqual(
        kind === 'one process' || cluster.nodes.length > 1 ? { ...once, isDuplicate: true } : once,
      );
      await expect(first(cluster).service.publishToRoom(ROOM, news(2), { key: 'k' })).rejects.toMatchObject({
        code: 'KEY_REUSED',
      });
      await first(cluster).service.publishToRoom(ROOM, news(3));
      await until(() => offsets(peer).length === 2);
      expect(seen(peer)).toEqual([
        { n: 1, offset: 1 },
        { n: 3, offset: 2 },
      ]);
    });

    it('tells its members once when it is cleared, and goes on', async () => {
      const cluster = await startCluster(kind);
      const peers = [await first(cluster).connect(), await last(cluster).connect()];
      for (const peer of peers) await peer.join(ROOM);
      await first(cluster).service.publishToRoom(ROOM, news(1));
      const { epoch } = await last(cluster).service.clearHistory(ROOM);
      for (const peer of peers) {
        const reset = await peer.next('system', 'roomReset');
        expect(reset.data).toEqual({
          roomName: ROOM,
          epoch,
          offset: 0,
          reason: 'cleared',
          withinMs: expect.any(Number),
        });
      }
      expect(await first(cluster).service.publishToRoom(ROOM, news(2))).toMatchObject({ epoch, offset: 1 });
      for (const peer of peers) {
        await until(() => seen(peer).some(({ n }) => n === 2));
        await peer.settle();
        expect(peer.received.filter(({ action }) => action === 'roomReset')).toEqual([]);
      }
    });

    it('shows its members what it keeps, page by page', async () => {
      const cluster = await startCluster(kind);
      const { service } = first(cluster);
      for (let n = 1; n <= 150; n++) await service.publishToRoom(ROOM, news(n));
      const { epoch } = await service.position(ROOM);
      const peer = await last(cluster).connect();
      const page = async (query: object): Promise<Frame> =>
        await peer.request('system', 'history', { roomName: ROOM, ...query });
      expect((await page({})).data.code).toBe('NOT_IN_ROOM');
      await peer.join(ROOM);
      const { response } = await page({ limit: 3, since: { epoch, offset: 10 } });
      expect(response).toMatchObject({ epoch, offset: 150, first: 1, more: true });
      expect(response.entries).toEqual(
        [11, 12, 13].map((offset) => ({ ...news(offset), at: { room: ROOM, epoch, offset } })),
      );
      const newest = (await page({ reverse: true })).response;
      expect(newest.entries.map(({ at }: Frame) => at.offset)).toEqual(range(51, 150).toReversed());
      const rest = (await page({ reverse: true, before: { epoch, offset: 51 } })).response;
      expect(rest.entries.map(({ at }: Frame) => at.offset)).toEqual(range(1, 50).toReversed());
      expect(rest.more).toBe(false);
      expect((await page({ since: { epoch: 'another', offset: 3 } })).response).toMatchObject({ epoch, entries: [] });
      expect((await page({ since: 3 })).data.code).toBe('BAD_REQUEST');
      expect(await service.history(ROOM, { limit: 3, since: { epoch, offset: 10 } })).toEqual(response);
    });

    it('gives the newest value to everybody who joins, where it keeps no more', async () => {
      const cluster = await startCluster(kind, { rooms: { history: [{ match: 'price:*', mode: 'last' }] } });
      const { service } = first(cluster);
      await service.publishToRoom('price:1', news('old'), { version: 1 });
      await service.publishToRoom('price:1', news('new'), { version: 3 });
      expect(await service.publishToRoom('price:1', news('late'), { version: 2 })).toMatchObject({ isDuplicate: true });
      const peer = await last(cluster).connect();
      expect(historyOf(await peer.join('price:1'))).toMatchObject({ offset: 2 });
      await until(() => seen(peer).length === 1);
      expect(seen(peer)).toEqual([{ n: 'new', offset: 2 }]);
    });

    it('refuses a place that can’t be one', async () => {
      const cluster = await startCluster(kind);
      const peer = await first(cluster).connect();
      for (const since of [
        5,
        'x',
        null,
        {},
        { epoch: 'e' },
        { epoch: 'e', offset: -1 },
        { epoch: 'e', offset: 0.5 },
        { epoch: 1, offset: 1 },
      ]) {
        const reply = await peer.request('system', 'joinRoom', { roomName: ROOM, since });
        expect(reply.data.code).toBe('BAD_REQUEST');
      }
      expect((await peer.request('system', 'joinRoom', { roomName: ROOM, tail: -1 })).data.code).toBe('BAD_REQUEST');
    });
  },
);
