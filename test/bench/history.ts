// Rooms that keep what is published, beside Socket.IO's streams adapter with connection state recovery.
import type { TestRedis } from '../support/redis.js';
import { type Cpu, pause, ROOM } from './contract.js';
import type { Stage } from './stage.js';
import type { Storm, StormConnecting } from './storm-load.js';

const HISTORY = 'log*';
const BURST = 20;
const WARM_MS = 2_000;

/** Processor time per message on the node that publishes, and per delivery on another that has 500 members in 20 rooms. */
export async function publishing(stage: Stage, { url: redis }: TestRedis): Promise<void> {
  const rooms = Array.from({ length: 20 }, (_, n) => `log${n}`);
  const members = 500;
  const perMessage = members / rooms.length;
  const [far, near, load] = await Promise.all([
    stage.server({ redis, history: HISTORY }),
    stage.server({ redis, history: HISTORY }),
    stage.load(),
  ]);
  await stage.connect(load, far, members, { rooms });
  const ask = { rooms, burst: BURST, pauseMs: 5 };
  const counting = {};
  await stage.publish(load, near, perMessage, { ...ask, forMs: stage.ms(2 * WARM_MS, 700) }, { counting });
  const forMs = stage.ms(4_000, 1_000);
  const published = await stage.publish(load, near, perMessage, { ...ask, forMs }, { counting });
  stage.record('history publish', (published.cpuMs * 1_000) / published.published, published.count);
  const received = await stage.publish(load, near, perMessage, { ...ask, forMs }, { counting, measured: far });
  stage.record('history member', (received.cpuMs * 1_000) / (received.published * perMessage), received.count);
}

const STORM_CLIENTS = Number(process.env['STORM_CLIENTS'] ?? 5_000);

/** Clients in 3 rooms each lose their connections, miss messages and come back at once. */
export async function storm(stage: Stage, redis: TestRedis): Promise<void> {
  const [count, rooms, perRoom, roomsEach] = [stage.ms(STORM_CLIENTS, 200), stage.ms(300, 30), 3, 3];
  const server = await stage.server({ redis: redis.url, history: HISTORY });
  const load = await stage.started('storm-load.ts');
  const names = Array.from({ length: rooms }, (_, n) => `log${n}`);
  const toEach = { rooms: names, burst: rooms, pauseMs: 1, forMs: 0 };
  const dialect = stage.peer === 'ours' ? 'ours' : 'socketio';
  await load.ask('connect', { port: server.port, dialect, count, rooms, roomsEach } satisfies StormConnecting);
  // The first storm finds code that wasn't compiled yet.
  for (const isMeasured of [false, true]) {
    await server.ask('publish', toEach);
    await pause(1_000);
    await load.ask('cut', { missed: perRoom * roomsEach });
    await pause(stage.ms(2_000, 500)); // the server notices, and Socket.IO stores each session
    for (let n = 0; n < perRoom; n++) await server.ask('publish', toEach);
    await pause(500);
    const [cpu, commands] = [await server.ask<Cpu>('cpu'), await commandsOf(redis)];
    const storming = await load.ask<Storm>('resume');
    const [cpuAfter, commandsAfter] = [await server.ask<Cpu>('cpu'), await commandsOf(redis)];
    if (storming.lost > 0) stage.flawed(`${storming.lost} clients weren't given what they missed`);
    if (!isMeasured) continue;
    stage.record('storm cpu', ((cpuAfter.cpuMs - cpu.cpuMs) * 1_000) / count, storming);
    stage.record('storm time', storming.ms, storming);
    stage.record('storm commands', (commandsAfter.all - commands.all) / count, storming);
    stage.record('storm reads', (commandsAfter.reads - commands.reads) / count, storming);
  }
}

/** What rooms with a member cost a process and Redis: plain ones, ones that keep, and ones with twenty messages in each. */
export async function roomMemory(stage: Stage, redis: TestRedis): Promise<void> {
  const [server, load] = await Promise.all([stage.server({ redis: redis.url, history: HISTORY }), stage.load()]);
  const [sockets, perSocket] = [20, stage.ms(100, 10)];
  const rooms = sockets * perSocket;
  await stage.connect(load, server, sockets, { rooms: [] });
  const join = (prefix: string) => load.ask('join', { prefix, rooms, perSocket });
  const size = async () => ({ node: (await server.ask<{ rss: number }>('memory')).rss, redis: await memoryOf(redis) });
  await join('warm');
  let before = await size();
  const grow = async (name: string, how: () => Promise<unknown>): Promise<void> => {
    await how();
    await pause(500);
    const after = await size();
    stage.record(`${name} node`, (after.node - before.node) / rooms / 1_024, { cpuShare: 0 });
    stage.record(`${name} redis`, (after.redis - before.redis) / rooms / 1_024, { cpuShare: 0 });
    before = after;
  };
  await grow('room plain', () => join('plain'));
  await grow('room kept', () => join('log'));
  const names = Array.from({ length: rooms }, (_, n) => `log${n}`);
  await grow('room full', async () => {
    for (let n = 0; n < 20; n++) await server.ask('publish', { rooms: names, burst: rooms, pauseMs: 1, forMs: 0 });
  });
}

/** One message at a time to a room of 1,000 that keeps nothing, on a server where others do. */
export async function beside(stage: Stage): Promise<void> {
  const size = 1_000;
  for (const [figure, history] of [
    ['beside none', undefined],
    ['beside history', HISTORY],
  ] as const) {
    const [server, load] = await Promise.all([stage.server({ history }), stage.load()]);
    await stage.connect(load, server, size, { rooms: [ROOM] });
    const forSoLong = (forMs: number) => stage.publish(load, server, size, { pauseMs: 5, forMs });
    await stage.publish(load, server, size, { pauseMs: 0, forMs: stage.ms(WARM_MS, 700) });
    await forSoLong(stage.ms(1_000, 300));
    const { published, cpuMs, count } = await forSoLong(stage.ms(3_000, 700));
    stage.record(figure, (cpuMs * 1_000) / (published * size), count);
    await stage.stop();
  }
}

/** All commands that Redis ran, and how often a log was read. */
async function commandsOf(redis: TestRedis): Promise<{ all: number; reads: number }> {
  const stats = String(await redis.run('INFO', 'commandstats'));
  const calls = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(
    ([, name = '', n]) => [name, Number(n)] as const,
  );
  const of = (isIt: (name: string) => boolean): number =>
    calls.filter(([name]) => isIt(name)).reduce((sum, [, n]) => sum + n, 0);
  return {
    all: of((name) => !name.startsWith('info')),
    reads: of((name) => name === 'xrange' || name === 'xrevrange'),
  };
}

async function memoryOf(redis: TestRedis): Promise<number> {
  const [, bytes] = /^used_memory:(\d+)/m.exec(String(await redis.run('INFO', 'memory'))) ?? [];
  return Number(bytes);
}
