// Messages that are due at a fixed rate, whether those before have arrived or not.
import { ROOM } from './contract.js';
import type { PeerName } from './peers.js';
import { Stage } from './stage.js';
import { OTHERS, type Worker } from './worker.js';

/** Offered load, as shares of what `net` can carry. */
export const SHARES = [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10];
/** A server that is so late has collapsed: the loads above would only fill memory. */
const COLLAPSED_MS = 1_500;
const MEMBERS = 1_000;

export interface Shape {
  name: string;
  title: string;
  rooms: string[];
  /** Clients that get each message. */
  perMessage: number;
}

export const SHAPES = {
  room: { name: 'room', title: 'One room of 1,000', rooms: [ROOM], perMessage: MEMBERS },
  rooms: {
    name: 'rooms',
    title: '100 rooms of 10',
    rooms: Array.from({ length: 100 }, (_, n) => `room${n}`),
    perMessage: MEMBERS / 100,
  },
  nodes: { name: 'nodes', title: 'One room of 1,000 on another node', rooms: [ROOM], perMessage: MEMBERS },
} satisfies Record<string, Shape>;

export const METRICS = ['p50', 'p99', 'cpu', 'shed', 'rate'] as const;
export type Metric = (typeof METRICS)[number];
export const figureOf = (shape: string, share: number, metric: Metric): string => `open ${shape} ${share} ${metric}`;

/** Everything in one process. */
export async function openLoop(stage: Stage): Promise<void> {
  for (const shape of [SHAPES.room, SHAPES.rooms]) {
    const perSecond = await capacityOf(shape, stage);
    const [server, load] = await Promise.all([stage.server(), stage.load()]);
    await stage.connect(load, server, MEMBERS, { rooms: shape.rooms });
    await climb(stage, { shape, perSecond, load, publisher: server, measured: server });
    await Promise.all([server.stop(), load.stop()]);
  }
}

/** One node publishes, the members are on another. */
export async function openLoopAcross(stage: Stage, redis: string): Promise<void> {
  const perSecond = await capacityOf(SHAPES.nodes, stage);
  const [far, near, load] = await Promise.all([stage.server({ redis }), stage.server({ redis }, OTHERS), stage.load()]);
  await stage.connect(load, far, MEMBERS);
  await climb(stage, { shape: SHAPES.nodes, perSecond, load, publisher: near, measured: far });
}

interface Climb {
  shape: Shape;
  /** What `net` can carry. */
  perSecond: number;
  load: Worker;
  publisher: Worker;
  measured: Worker;
}

async function climb(stage: Stage, { shape, perSecond, load, publisher, measured }: Climb): Promise<void> {
  const { name, rooms, perMessage } = shape;
  const counting = { isConsecutive: rooms.length === 1, keepsLatency: true };
  const offer = (rate: number, forMs: number) =>
    stage.offer(load, publisher, perMessage, { rooms, perSecond: rate, pauseMs: 0, forMs }, { measured, counting });
  await offer(perSecond / 2, stage.ms(2_000, 700));
  for (const share of SHARES) {
    const { published, cpuMs, count } = await offer(perSecond * share, stage.ms(2_000, 700));
    const shed = published * perMessage - count.received;
    const record = (metric: Metric, value: number): void => stage.record(figureOf(name, share, metric), value, count);
    record('p50', count.p50 ?? Number.NaN);
    record('p99', count.p99 ?? Number.NaN);
    record('cpu', (cpuMs * 1_000) / Math.max(1, count.received));
    record('shed', shed);
    record('rate', perSecond * share);
    if (count.disordered > 0 && shed === 0) stage.flawed(`${count.disordered} messages out of order or twice`);
    if ((count.p99 ?? Infinity) > COLLAPSED_MS) return;
  }
}

const capacities = new Map<string, Promise<number>>();

/** Messages per second that would fill the core of `net`, measured once in a run. */
function capacityOf(shape: Shape, { setting }: Stage): Promise<number> {
  const key = `${shape.perMessage}`;
  const known = capacities.get(key) ?? measureCapacity(shape, new Stage('net' satisfies PeerName, setting));
  capacities.set(key, known);
  return known;
}

async function measureCapacity({ rooms, perMessage }: Shape, stage: Stage): Promise<number> {
  try {
    const [server, load] = await Promise.all([stage.server(), stage.load()]);
    await stage.connect(load, server, MEMBERS, { rooms });
    const publishing = { rooms, burst: rooms.length, pauseMs: 0 };
    const counting = {};
    await stage.publish(load, server, perMessage, { ...publishing, forMs: stage.ms(2_000, 700) }, { counting });
    const { published, cpuMs } = await stage.publish(
      load,
      server,
      perMessage,
      { ...publishing, forMs: stage.ms(2_000, 700) },
      { counting },
    );
    return (published / cpuMs) * 1_000;
  } finally {
    await stage.stop();
  }
}
