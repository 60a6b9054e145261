import type { Cpu } from './contract.js';
import type { Count, RequestKind } from './load.js';
import { median } from './report.js';
import type { Stage } from './stage.js';
import type { Worker } from './worker.js';

const REQUESTERS = 100;
/** Long enough for as many keys as a server knows: from then on each new one has the oldest forgotten. */
const WARM_MS = 2_500;
const BLOCK_MS = 700;
/** Blocks of each kind. One after the other, so that a slow second of the machine meets both. */
const BLOCKS = 9;

interface Block {
  us: number;
  cpuShare: number;
}

/** What a key costs in one process: the same handler without one, and once for each key. */
export async function keys(stage: Stage): Promise<void> {
  const [server, load] = await Promise.all([stage.server(), stage.load()]);
  await stage.connect(load, server, REQUESTERS, { rooms: [] });
  for (const depth of [1, 16]) {
    const block = (kind: RequestKind, forMs: number) => asking(stage, load, server, { depth, kind, forMs });
    for (const kind of ['plain', 'keyed'] as const) await block(kind, stage.ms(WARM_MS, 700));
    const plain: Block[] = [];
    const keyed: Block[] = [];
    for (let n = 0; n < BLOCKS; n++) {
      if (n % 2 === 0) plain.push(await block('plain', stage.ms(BLOCK_MS, 200)));
      keyed.push(await block('keyed', stage.ms(BLOCK_MS, 200)));
      if (n % 2 === 1) plain.push(await block('plain', stage.ms(BLOCK_MS, 200)));
    }
    record(stage, `keys${depth} without`, plain);
    record(stage, `keys${depth} with`, keyed);
  }
  // Last: after these no key on these connections comes in order any more.
  for (const depth of [1, 16]) {
    const block = (forMs: number) => asking(stage, load, server, { depth, kind: 'unordered', forMs });
    await block(stage.ms(WARM_MS, 700));
    const blocks: Block[] = [];
    for (let n = 0; n < BLOCKS; n++) blocks.push(await block(stage.ms(BLOCK_MS, 200)));
    record(stage, `keys${depth} unordered`, blocks);
  }
}

async function asking(stage: Stage, load: Worker, server: Worker, params: object): Promise<Block> {
  const before = await server.ask<Cpu>('cpu');
  const { disordered, received, cpuShare } = await load.ask<Count>('ask', params);
  const after = await server.ask<Cpu>('cpu');
  if (disordered > 0) stage.flawed(`${disordered} replies are missing or out of order`);
  return { us: ((after.cpuMs - before.cpuMs) * 1_000) / received, cpuShare };
}

function record(stage: Stage, figure: string, blocks: Block[]): void {
  const us = blocks.map((block) => block.us).toSorted((a, b) => a - b);
  stage.record(figure, median(us), { cpuShare: Math.max(...blocks.map(({ cpuShare }) => cpuShare)) });
}
