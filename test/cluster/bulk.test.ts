import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { ChangeFeed } from '../../lib/cluster/change-feed.js';
import { type ClientNews, newsHere, readPiece, writePiece } from '../../lib/cluster/client-news.js';
import { NewsEvents } from '../../lib/cluster/news-events.js';
import { NEWS } from '../../lib/cluster/event-groups.js';
import { BEAT_MS } from '../../lib/cluster/registry.js';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/index.js';
import { type RunningApp, startApp } from '../support/app.js';
import type { Peer } from '../support/peer.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const describeWithRedis = hasRedis() ? describe : describe.skip;
const CLIENTS = 300;
const ROOMS = ['red', 'blue', 'green', 'white', 'black'];

describeWithRedis('many changes of clients at once', () => {
  let redis: TestRedis;
  let plain: Redis;
  const apps: RunningApp[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
    plain = new Redis(redis.url);
  });
  afterAll(async () => {
    plain.disconnect();
    await redis.stop();
  });
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });
  const start = async (options: object = {}): Promise<RunningApp> => {
    const app = await startApp({ options: { redis: redis.url, ...options } });
    apps.push(app);
    return app;
  };
  const traffic = async (): Promise<{ bytes: number; commands: number }> => {
    const info = await plain.info('all');
    const read = (name: string): number => Number(new RegExp(`${name}[:=](\\d+)`).exec(info)?.[1] ?? 0);
    const inScripts = read('cmdstat_hset:calls');
    return { bytes: read('total_net_input_bytes'), commands: read('total_commands_processed') - inScripts };
  };
  /** What the nodes send to Redis while `work` runs. */
  const costOf = async (work: () => Promise<unknown>): Promise<{ bytes: number; commands: number; ms: number }> => {
    const [before, began] = [await traffic(), performance.now()];
    await work();
    const [after, ms] = [await traffic(), performance.now() - began];
    return { bytes: after.bytes - before.bytes, commands: after.commands - before.commands, ms };
  };
  const crowd = async (app: RunningApp): Promise<Peer[]> => {
    const peers: Peer[] = [];
    while (peers.length < CLIENTS) peers.push(...(await Promise.all(Array.from({ length: 50 }, () => app.connect()))));
    return peers;
  };

  it('travel together: a join costs Redis a third of what it did alone', async () => {
    const [one, two] = [await start(), await start()];
    const peers = await crowd(one);
    await until(() => two.clients.size === CLIENTS);
    const { bytes, commands } = await costOf(async () => {
      await Promise.all(peers.map((peer, n) => peer.join(`room ${n % 50}`)));
      await until(() => [...two.server.rooms.values()].reduce((sum, { size }) => sum + size, 0) === CLIENTS);
    });
    console.info(`A join: ${Math.round(bytes / CLIENTS)} bytes and ${(commands / CLIENTS).toFixed(2)} commands.`);
    expect(bytes / CLIENTS).toBeLessThan(895 / 3);
    expect(commands / CLIENTS).toBeLessThan(5 / 3);
  });

  it('cost as little when they come one by one', async () => {
    const [one, two] = [await start(), await start()];
    const peers = await crowd(one);
    await (peers.shift() as Peer).join('red'); // now this node is subscribed to the room
    await until(() => two.server.rooms.get('red')?.size === 1);
    const listener = new Redis(redis.url);
    let told = 0;
    let next: () => void;
    listener.on('message', (channel: string, text: string) => {
      next();
      const frame = ['*3', '$7', 'message', `$${channel.length}`, channel, `$${text.length}`, text, ''].join('\r\n');
      told += frame.length;
    });
    await listener.subscribe('pxl:$presence');
    // The nodes' beats go on meanwhile: the longer it takes, the more of them.
    const beats = await costOf(() => new Promise((resolve) => setTimeout(resolve, 2 * BEAT_MS)));
    const { bytes, commands, ms } = await costOf(async () => {
      for (const peer of peers) {
        const isTold = new Promise<void>((resolve) => (next = resolve));
        await Promise.all([peer.join('red'), isTold]);
      }
      await until(() => two.server.rooms.get('red')?.size === CLIENTS);
    });
    listener.disconnect();
    const share = ms / beats.ms;
    const sums = [bytes - beats.bytes * share, told, commands - beats.commands * share];
    const [toRedis, toNode, many] = sums.map((sum) => sum / peers.length) as [number, number, number];
    console.info(
      `A lone join: ${Math.round(toRedis)} bytes and ${many.toFixed(2)} commands, and ${Math.round(toNode)} bytes to each node.`,
    );
    expect(toRedis).toBeLessThan(895 / 2.5); // 295, and what the beats cost more or less than in that rest
    expect(toNode).toBeLessThan(420 / 3);
    expect(many).toBeLessThan(3);
  });

  it('of one client in 100 rooms cost five times its frames at most', async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.connect();
    const { clientId } = ada;
    const roomNames = Array.from({ length: 100 }, (_, n) => `r${n}`.padEnd(128, 'x'));
    await Promise.all(roomNames.map((roomName) => one.server.joinRoom({ clientId, roomName })));
    await until(() => two.rooms.getClientRooms({ clientId }).length === 100);
    let frames = 0;
    const { bytes } = await costOf(async () => {
      for (let n = 0; n < 10; n++) {
        const [username, userType, userId] = ['u', 't', 'i'].map((letter) => letter.repeat(100) + n);
        const data = { roomName: roomNames[0], username, userType, userId };
        frames += JSON.stringify({ type: 'system', action: 'joinRoom', data }).length;
        await ada.request('system', 'joinRoom', data);
        await until(() => two.clients.getClient({ clientId })?.['username'] === username);
      }
    });
    console.info(`${frames} bytes of frames: ${bytes} to Redis.`);
    expect(bytes).toBeLessThan(5 * frames);
  });

  it('of one client with 20 kB of metadata cost five times its frames at most', async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.connect();
    const { clientId } = ada;
    await ada.join('red');
    one.clients.updateClient({ clientId, key: 'profile', data: 'x'.repeat(20_000) });
    await until(() => two.clients.getClient({ clientId })?.['profile'] !== undefined);
    let frames = 0;
    const { bytes } = await costOf(async () => {
      for (let n = 0; n < 20; n++) {
        const data = { roomName: 'red', username: `ada the ${n}${n === 1 ? 'st' : 'th'} of that name` };
        frames += JSON.stringify({ type: 'system', action: 'joinRoom', data }).length;
        await ada.request('system', 'joinRoom', data);
        await until(() => two.clients.getClient({ clientId })?.['username'] === data.username);
      }
    });
    console.info(`${frames} bytes of frames: ${bytes} to Redis.`);
    expect(bytes).toBeLessThan(5 * frames);
    const late = await start();
    await until(() => late.clients.getClient({ clientId }) !== undefined);
    expect(late.clients.getClient({ clientId })?.['profile']).toHaveLength(20_000);
  });

  it('that a client makes of itself wait for their turn, whatever it joins and leaves besides', async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.connect();
    const { clientId } = ada;
    await ada.join('red', { username: 'ada' });
    await until(() => two.clients.getClient({ clientId })?.['username'] === 'ada');
    const listener = new Redis(redis.url);
    let told = 0;
    listener.on('message', (_channel: string, text: string) => (told += text.includes('username') ? 1 : 0));
    await listener.subscribe('pxl:$presence');
    const began = performance.now();
    for (let n = 0; n < 200; n++) {
      ada.send('system', 'leaveRoom', { roomName: 'blue' });
      await ada.request('system', 'joinRoom', { roomName: 'blue', username: `ada ${n}` });
    }
    await until(() => two.rooms.isClientInRoom({ clientId, roomName: 'blue' }));
    await until(() => two.clients.getClient({ clientId })?.['username'] === 'ada 199');
    expect(told).toBeLessThanOrEqual(2 + (performance.now() - began) / 100);
    listener.disconnect();
  });

  it('that a client makes of itself are told ten times a second, and the last of them arrives', async () => {
    const [one, two] = [await start(), await start()];
    const ada = await one.connect();
    await ada.join('red');
    await until(() => two.rooms.isClientInRoom({ clientId: ada.clientId, roomName: 'red' }));
    const listener = new Redis(redis.url);
    let told = 0;
    listener.on('message', (_channel: string, text: string) => (told += text.includes(NEWS) ? 1 : 0));
    await listener.subscribe('pxl:$presence');
    const began = performance.now();
    for (let n = 0; n < 200; n++) await ada.request('system', 'joinRoom', { roomName: 'red', username: `ada ${n}` });
    await until(() => two.clients.getClient({ clientId: ada.clientId })?.['username'] === 'ada 199');
    expect(told).toBeLessThanOrEqual(2 + (performance.now() - began) / 100);
    listener.disconnect();
  });

  it.each<[string, (app: RunningApp, peers: Peer[]) => unknown]>([
    ['when their node stops', (app) => app.close()],
    ['when their sockets break', (_, peers) => peers.forEach((peer) => peer.terminate())],
  ])('raise each event on the other nodes %s', async (_, leave) => {
    const left = new Map<string, number>();
    const gone = new Map<string, number>();
    const count = (map: Map<string, number>, key: string): void => void map.set(key, (map.get(key) ?? 0) + 1);
    const one = await start();
    await start({
      subscriberEventHandler: ({ channel, message }: { channel: string; message: Record<string, string> }) => {
        if (channel === Event.ClientLeftRoom) count(left, `${message['clientId']} ${message['roomName']}`);
        if (channel === Event.ClientDisconnected) count(gone, `${message['clientId']}`);
      },
    });
    const peers = await crowd(one);
    for (const roomName of ROOMS) await Promise.all(peers.map((peer) => peer.join(roomName)));
    await leave(one, peers);
    await until(() => gone.size === CLIENTS && left.size === CLIENTS * ROOMS.length);
    expect([...gone.values(), ...left.values()].filter((times) => times !== 1)).toEqual([]);
  });
});

describe('a feed of changes', () => {
  const record = (n: number) => ({
    clientId: `node.${String(n).padStart(36, '0')}`,
    user: null,
    metadata: {},
    rooms: ROOMS,
    lastActivity: 0,
  });

  it('tells of 3,000 clients that leave in pieces of 64 KB, each when the one before is answered', async () => {
    const pieces: string[] = [];
    const answers: (() => void)[] = [];
    const feed = new ChangeFeed({
      clock: systemClock,
      node: { id: 'node' },
      registry: { hasTold: () => true, changed: () => 1 },
      publish: (piece) => {
        pieces.push(JSON.stringify(writePiece(piece)));
        return new Promise<void>((resolve) => answers.push(resolve));
      },
      failed: (error) => {
        throw error;
      },
    });
    const told = feed.announceEnd(
      'node',
      Array.from({ length: 3_000 }, (_, n) => record(n)),
      'node-lost',
    );
    const news: ClientNews[] = [];
    for (let n = 0; news.length < 3_000; n++) {
      await until(() => pieces.length > n);
      await new Promise((resolve) => setImmediate(resolve));
      expect(pieces).toHaveLength(n + 1);
      expect(pieces[n]?.length).toBeLessThanOrEqual(65_536);
      news.push(...readPiece(JSON.parse(pieces[n] as string)).news);
      answers[n]?.();
    }
    await told;
    expect(new Set(news.map(({ clientId }) => clientId)).size).toBe(3_000);
    expect(news.every(({ isGone, moves }) => isGone && moves.length === ROOMS.length)).toBe(true);
  });

  it('tells its own node what clients do whose return waits to be told, and nothing of the return', async () => {
    const pieces: (readonly ClientNews[])[] = [];
    const feed = new ChangeFeed({
      clock: systemClock,
      node: { id: 'node' },
      registry: { hasTold: () => true, changed: () => 1 },
      publish: (piece) => Promise.resolve(pieces.push(piece.news)),
      failed: (error) => {
        throw error;
      },
    });
    const [stays, moves, leaves] = [record(0), record(1), record(2)];
    for (const one of [stays, moves, leaves]) {
      const former = one.rooms.map((roomName) => ({ roomName, isIn: true }));
      feed.add({ clientId: one.clientId, userId: 7, describe: () => one, moves: former, came: 'returned' });
    }
    const joined = [{ roomName: 'new', isIn: true }];
    const left = [...ROOMS].map((roomName) => ({ roomName, isIn: false }));
    feed.add({ clientId: moves.clientId, userId: 7, describe: () => moves, moves: joined });
    feed.add({ clientId: leaves.clientId, userId: 7, describe: undefined, moves: left });
    await feed.drained();
    expect(pieces.flatMap(newsHere)).toMatchObject([
      { clientId: moves.clientId, moves: joined, came: undefined, isGone: false },
      { clientId: leaves.clientId, moves: left, came: undefined, isGone: true },
    ]);
  });

  it('raises events one by one, in order, and lets others have their turn in between', async () => {
    const raised: number[] = [];
    const turns: number[] = [];
    const events = new NewsEvents(
      {
        hears: () => true,
        event: (_event, message) => {
          const until2ms = performance.now() + 2;
          while (performance.now() < until2ms);
          raised.push(Number((message as { clientId: string }).clientId));
        },
      },
      systemClock,
      (error) => {
        throw error;
      },
      true,
    );
    const news = Array.from({ length: 50 }, (_, n) => ({
      clientId: String(n),
      userId: undefined,
      moves: [],
      isGone: true,
    }));
    events.push({ nodeId: 'n', version: 1, news });
    while (raised.length < 50) {
      turns.push(raised.length);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(raised).toEqual(news.map(({ clientId }) => Number(clientId)));
    const steps = turns.map((count, n) => count - (turns[n - 1] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(4);
  });
});
