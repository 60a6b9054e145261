import { hasRedis, TestRedis } from '../support/redis.js';
import { type Cpu, pause } from './contract.js';
import { GROWTH } from './goals.js';
import type { Count, RequestKind } from './load.js';
import { beside, publishing, roomMemory, storm } from './history.js';
import { keys } from './keys.js';
import { openLoop, openLoopAcross } from './open-loop.js';
import type { PeerName } from './peers.js';
import { presence } from './presence.js';
import type { Stage } from './stage.js';
import { OTHERS, type Worker } from './worker.js';

export interface Workload {
  /** Those that can be measured so. */
  peers: PeerName[];
  run: (stage: Stage) => Promise<void>;
}

/** Rest after each message or burst, longer than a fan-out's flush, so that each is one of its own. */
const REST_MS = 5;
/** Flat out before anything is measured: what is measured is a server that has compiled its code. */
const WARM_MS = 2_000;
/** The same for connections. */
const WARM_CONNECTIONS = 4_000;
const SIZES = [100, 1_000, 5_000];
const BURST = 20;
const REQUESTERS = 100;

export const WORKLOADS: Record<string, Workload> = {
  fanout: { peers: ['ours', 'net', 'ws', 'socket.io', 'nest-ws', 'bun'], run: (stage) => fanOut(stage, 1) },
  burst: { peers: ['ours', 'net', 'ws', 'socket.io', 'nest-ws', 'bun'], run: (stage) => fanOut(stage, BURST) },
  echo1: { peers: ['ours', 'ws', 'socket.io', 'nest-ws', 'bun'], run: (stage) => echo(stage, 1) },
  echo16: { peers: ['ours', 'ws', 'socket.io', 'nest-ws', 'bun'], run: (stage) => echo(stage, 16) },
  keys: { peers: ['ours'], run: keys },
  enhancers: { peers: ['ours', 'nest-ws'], run: enhancers },
  chat: { peers: ['ours', 'net', 'ws', 'socket.io', 'nest-ws', 'bun'], run: chat },
  latency: { peers: ['ours', 'net', 'ws', 'socket.io', 'nest-ws', 'bun'], run: latency },
  cluster: { peers: ['ours', 'socket.io'], run: cluster },
  publisher: { peers: ['ours', 'socket.io'], run: publisher },
  accept: { peers: ['ours', 'ws', 'socket.io', 'nest-ws', 'bun'], run: accept },
  memory: { peers: ['ours', 'ws', 'socket.io', 'nest-ws', 'bun'], run: memory },
  idle: { peers: ['ours', 'socket.io'], run: idle },
  growth: { peers: ['ours', 'net'], run: growth },
  open: { peers: ['ours', 'net', 'ws', 'socket.io', 'nest-ws', 'bun'], run: openLoop },
  openAcross: {
    peers: ['ours', 'socket.io'],
    run: (stage) => withRedis(stage, ({ url }) => openLoopAcross(stage, url)),
  },
  history: { peers: ['ours', 'socket.io'], run: (stage) => withRedis(stage, (redis) => publishing(stage, redis)) },
  storm: { peers: ['ours', 'socket.io'], run: (stage) => withRedis(stage, (redis) => storm(stage, redis)) },
  roomMemory: { peers: ['ours'], run: (stage) => withRedis(stage, (redis) => roomMemory(stage, redis)) },
  beside: { peers: ['ours'], run: beside },
  presence: { peers: ['ours', 'socket.io'], run: (stage) => withRedis(stage, (redis) => presence(stage, redis)) },
};

/** Processor time per delivery in a room of 100, 1,000 and 5,000. */
async function fanOut(stage: Stage, burst: number): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  await atEachSize(stage, { server, load, sizes: SIZES, burst, name: burst === 1 ? 'fanout' : 'burst' });
}

interface Sizes {
  server: Worker;
  load: Worker;
  sizes: number[];
  burst: number;
  name: string;
}

async function atEachSize(stage: Stage, { server, load, sizes, burst, name }: Sizes): Promise<void> {
  let connected = 0;
  for (const size of sizes) {
    await stage.connect(load, server, size - connected);
    connected = size;
    await delivering(stage, { load, server, size, burst, name: `${name} ${size}` });
  }
}

interface Delivering {
  load: Worker;
  server: Worker;
  size: number;
  burst: number;
  name: string;
}

async function delivering(stage: Stage, { load, server, size, burst, name }: Delivering): Promise<void> {
  await stage.publish(load, server, size, { pauseMs: 0, forMs: stage.ms(WARM_MS, 700) });
  const forSoLong = (forMs: number) => stage.publish(load, server, size, { burst, pauseMs: REST_MS, forMs });
  await forSoLong(stage.ms(1_000, 300));
  const { published, cpuMs, count } = await forSoLong(stage.ms(2_000, 700));
  stage.record(name, (cpuMs * 1_000) / (published * size), count);
}

/** Processor time per request of 100 connections with `depth` requests under way on each. */
async function echo(stage: Stage, depth: number): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  await stage.connect(load, server, REQUESTERS, { rooms: [] });
  await asking(stage, { load, server, depth, name: `echo${depth}` });
}

interface Asking {
  load: Worker;
  server: Worker;
  depth: number;
  name: string;
  kind?: RequestKind;
}

async function asking(stage: Stage, { load, server, depth, name, kind }: Asking): Promise<void> {
  await load.ask('ask', { depth, forMs: stage.ms(WARM_MS, 700), kind });
  const before = await server.ask<Cpu>('cpu');
  const count = await load.ask<Count>('ask', { depth, forMs: stage.ms(2_500, 1_000), kind });
  const after = await server.ask<Cpu>('cpu');
  if (count.disordered > 0) stage.flawed(`${count.disordered} replies are missing or out of order`);
  stage.record(name, ((after.cpuMs - before.cpuMs) * 1_000) / count.received, count);
}

/** The same to a handler with a guard, a pipe and an interceptor. */
async function enhancers(stage: Stage): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  await stage.connect(load, server, REQUESTERS, { rooms: [] });
  for (const depth of [1, 16]) await asking(stage, { load, server, depth, name: `enhancers${depth}`, kind: 'guarded' });
}

/** Deliveries per second while 1,000 members publish over their own sockets, 20 of them at a time. */
async function chat(stage: Stage): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  await stage.connect(load, server, 1_000);
  await load.ask('chat', { atOnce: BURST, forMs: stage.ms(WARM_MS, 700) });
  const count = await load.ask<Count>('chat', { atOnce: BURST, forMs: stage.ms(3_000, 1_000) });
  if (count.disordered > 0) stage.flawed('the members did not get every message once');
  stage.record('chat', (count.received * 1_000) / count.ms, count);
}

/** From publication to arrival at the last of a hundred of 1,000 members of a server that does nothing else. */
async function latency(stage: Stage): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  const members = 1_000;
  await stage.connect(load, server, members);
  const counting = { isConsecutive: true, keepsLatency: true };
  const publishing = { pauseMs: 100, forMs: stage.ms(5_000, 2_000) };
  await stage.publish(load, server, members, { pauseMs: 0, forMs: stage.ms(WARM_MS, 700) });
  const { count } = await stage.publish(load, server, members, publishing, { counting });
  stage.record('latency', count.p99 as number, count);
}

/** Processor time per delivery on the node of 500 members, while another node publishes. */
async function cluster(stage: Stage): Promise<void> {
  await withRedis(stage, async ({ url: redis }) => {
    const [far, near, load] = await Promise.all([
      stage.server({ redis }),
      stage.server({ redis }, OTHERS),
      stage.load(),
    ]);
    const members = 500;
    await stage.connect(load, far, members);
    await stage.publish(load, near, members, { burst: BURST, pauseMs: 150, forMs: stage.ms(WARM_MS, 700) });
    const paces = {
      'cluster paced': { burst: 1, pauseMs: 10, forMs: stage.ms(3_000, 1_000), times: 1 },
      // So long a rest that the slowest has delivered a burst before the next one.
      'cluster burst': { burst: BURST, pauseMs: 150, forMs: stage.ms(3_000, 1_000), times: 1 },
      'cluster flat out': { burst: 200, pauseMs: 0, forMs: 0, times: stage.ms(8, 3) },
    };
    for (const [figure, { times, ...publishing }] of Object.entries(paces)) {
      await stage.publish(load, near, members, { ...publishing, forMs: publishing.forMs / 4 }, { measured: far });
      let [cpuMs, deliveries, cpuShare] = [0, 0, 0];
      for (let n = 0; n < times; n++) {
        const part = await stage.publish(load, near, members, publishing, { measured: far });
        cpuMs += part.cpuMs;
        deliveries += part.published * members;
        cpuShare = Math.max(cpuShare, part.count.cpuShare);
      }
      stage.record(figure, (cpuMs * 1_000) / deliveries, { cpuShare });
    }
  });
}

/** Processor time per message on the node that publishes, and on one that has no members: four nodes, 1,000 rooms of 5. */
async function publisher(stage: Stage): Promise<void> {
  await withRedis(stage, async ({ url: redis }) => {
    const cores = [undefined, undefined, OTHERS, OTHERS];
    const nodes = await Promise.all(cores.map((core) => stage.server({ redis }, core)));
    const [near, idle, far] = nodes as [Worker, Worker, Worker];
    const load = await stage.load();
    const rooms = Array.from({ length: 1_000 }, (_, n) => `room${n}`);
    await stage.connect(load, far, 5_000, { rooms });
    const publishing = { rooms, burst: BURST, pauseMs: 3, forMs: stage.ms(4_000, 1_500) };
    await stage.publish(load, near, 5, { ...publishing, forMs: stage.ms(2 * WARM_MS, 2_000) }, { counting: {} });

    const resting = await idle.ask<Cpu>('cpu');
    await pause(stage.ms(3_000, 1_500));
    const before = await idle.ask<Cpu>('cpu');
    const { published, cpuMs, count } = await stage.publish(load, near, 5, publishing, { counting: {} });
    const after = await idle.ask<Cpu>('cpu');
    // A node also beats its heart: what it takes anyway, in so much time, is not the messages' cost.
    const anyway = ((before.cpuMs - resting.cpuMs) / (before.at - resting.at)) * (after.at - before.at);
    stage.record('publisher', (cpuMs * 1_000) / published, count);
    stage.record('bystander', (Math.max(0, after.cpuMs - before.cpuMs - anyway) * 1_000) / published, count);
  });
}

/** Processor time from the connection request to the first message the server would take. */
async function accept(stage: Stage): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  await stage.connect(load, server, stage.ms(WARM_CONNECTIONS, 2_000), { rooms: [] });
  const connections = 2_000;
  const [before, loadBefore] = await Promise.all([server.ask<Cpu>('cpu'), load.ask<Cpu>('cpu')]);
  await stage.connect(load, server, connections, { rooms: [] });
  const [after, loadAfter] = await Promise.all([server.ask<Cpu>('cpu'), load.ask<Cpu>('cpu')]);
  const cpuShare = (loadAfter.cpuMs - loadBefore.cpuMs) / (loadAfter.at - loadBefore.at);
  stage.record('accept', ((after.cpuMs - before.cpuMs) * 1_000) / connections, { cpuShare });
}

/** What the process takes before its first connection, and what it grows by for each that does nothing. */
async function memory(stage: Stage): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  const resident = async (): Promise<number> => (await server.ask<{ rss: number }>('memory')).rss;
  stage.record('base', (await resident()) / 2 ** 20, { cpuShare: 0 });
  await stage.connect(load, server, 500, { rooms: [] });
  const before = await resident();
  const connections = 4_500;
  await stage.connect(load, server, connections, { rooms: [] });
  stage.record('memory', ((await resident()) - before) / connections / 1_024, { cpuShare: 0 });
}

/** What connections cost that do nothing: heartbeats, at the period that each server has by default (25 s). */
async function idle(stage: Stage): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  const connections = stage.ms(10_000, 1_000);
  await stage.connect(load, server, connections, { rooms: [] });
  const before = await server.ask<Cpu>('cpu');
  await pause(stage.ms(2 * 25_000, 2_000));
  const after = await server.ask<Cpu>('cpu');
  const minutes = (after.at - before.at) / 60_000;
  stage.record('idle', ((after.cpuMs - before.cpuMs) * 1_000) / connections / minutes, { cpuShare: 0 });
}

/** Whether a delivery costs more in a larger room, and a join more among more rooms. */
async function growth(stage: Stage): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  await atEachSize(stage, { server, load, sizes: GROWTH, burst: 1, name: 'growth' });
  await stage.stop();
  if (stage.peer === 'ours') await joining(stage);
}

async function joining(stage: Stage): Promise<void> {
  const [server, holders] = await Promise.all([stage.server(), stage.load()]);
  await stage.connect(holders, server, 500, { rooms: [] });
  for (const [figure, prefix, rooms] of [
    ['join 1000', 'first', 1_000],
    ['join 50000', 'more', 49_000],
  ] as const) {
    await holders.ask('join', { prefix, rooms, perSocket: rooms / 500 });
    const joiners = await stage.load();
    // A number without a factor in common with the rooms': nobody comes to the same room twice.
    await stage.connect(joiners, server, 497, { rooms: [] });
    await joiners.ask('join', { prefix: 'warm', rooms: 1_000, perSocket: 20 });
    const before = await server.ask<Cpu>('cpu');
    const { joins } = await joiners.ask<{ joins: number }>('join', { prefix, rooms, perSocket: 20 });
    const after = await server.ask<Cpu>('cpu');
    stage.record(figure, ((after.cpuMs - before.cpuMs) * 1_000) / joins, { cpuShare: 0 });
    await joiners.stop();
    await pause(500);
  }
}

async function withRedis(stage: Stage, run: (redis: TestRedis) => Promise<void>): Promise<void> {
  if (!hasRedis()) return stage.flawed('there is no redis-server to measure with');
  const redis = await TestRedis.start();
  try {
    await run(redis);
  } finally {
    await stage.stop();
    await redis.stop();
  }
}
