import type { Cpu } from './contract.js';
import type { Count } from './load.js';
import type { PeerName } from './peers.js';
import type { Stage } from './stage.js';
import type { Worker } from './worker.js';

export interface Workload {
  /** Those that can be measured so. */
  peers: PeerName[];
  run: (stage: Stage) => Promise<void>;
}

/** Rest after each message or burst, longer than a fan-out's flush, so that each is one of its own. */
const REST_MS = 5;
const SIZES = [100, 1_000, 5_000];
const BURST = 20;
const REQUESTERS = 100;

export const WORKLOADS: Record<string, Workload> = {
  fanout: { peers: ['ours', 'net', 'ws', 'socket.io', 'nest-ws', 'bun'], run: (stage) => fanOut(stage, 1) },
  burst: { peers: ['ours', 'net', 'ws', 'socket.io', 'nest-ws', 'bun'], run: (stage) => fanOut(stage, BURST) },
  echo1: { peers: ['ours', 'ws', 'socket.io', 'nest-ws', 'bun'], run: (stage) => echo(stage, 1) },
  echo16: { peers: ['ours', 'ws', 'socket.io', 'nest-ws', 'bun'], run: (stage) => echo(stage, 16) },
};

/** Processor time per delivery in a room of 100, 1,000 and 5,000. */
async function fanOut(stage: Stage, burst: number): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  let connected = 0;
  for (const size of SIZES) {
    await stage.connect(load, server, size - connected);
    connected = size;
    const name = `${burst === 1 ? 'fanout' : 'burst'} ${size}`;
    await delivering(stage, { load, server, size, burst, name });
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
  const forSoLong = (forMs: number) => stage.publish(load, server, size, { burst, pauseMs: REST_MS, forMs });
  await forSoLong(stage.ms(700, 300));
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
  isGuarded?: boolean;
}

async function asking(stage: Stage, { load, server, depth, name, isGuarded }: Asking): Promise<void> {
  await load.ask('ask', { depth, forMs: stage.ms(1_000, 500), isGuarded });
  const before = await server.ask<Cpu>('cpu');
  const count = await load.ask<Count>('ask', { depth, forMs: stage.ms(2_500, 1_000), isGuarded });
  const after = await server.ask<Cpu>('cpu');
  if (count.disordered > 0) stage.flawed(`${count.disordered} replies are missing or out of order`);
  stage.record(name, ((after.cpuMs - before.cpuMs) * 1_000) / count.received, count);
}
