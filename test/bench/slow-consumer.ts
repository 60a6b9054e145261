// `npm run bench:slow-consumer`: what a client that stops reading costs the others, and how it ends.
import { buildOurs } from './build.js';
import { countOf, fileOf, flushOf, parse, readCommandLine } from './command-line.js';
import { type Cpu, now } from './contract.js';
import type { Count } from './load.js';
import { MEASURED, OTHERS, pinToOthers, Worker } from './worker.js';

const OTHER_MEMBERS = 10;
const PER_SECOND = 10_000;
const TEXT_BYTES = 950;
const MB = 1_024 * 1_024;
const SLOW_CONSUMER = 4113;
/** `backpressure.drainTimeoutMs` by default, and two looks of the sweep that finds it over. */
const IN_TIME_S = 12;

const USAGE = `npm run bench:slow-consumer -- [options]

  --seconds <count>  how long members get messages in each of three runs (60)
  --dist <file>      another build of this module: its dist/index.js
  --flush <json>     delivery.flush: '"turn"' (usual), '"auto"' or '{"gapMs":5}'
  --help             this text`;

const given = readCommandLine(USAGE, (args) => {
  const { seconds, dist, flush } = parse(args, {
    seconds: { type: 'string' },
    dist: { type: 'string' },
    flush: { type: 'string', default: '"turn"' },
  });
  return {
    seconds: countOf('--seconds', seconds, 60),
    dist: fileOf('--dist', dist),
    flush: flushOf(flush),
  };
});
const { seconds } = given;

interface Outcome {
  p99: number;
  rssPeakMb: number;
  perSecond: number;
  /** Closed by the server: with which code, and how many seconds after they stopped reading. */
  closed: { code: number | undefined; afterS: number }[];
}

pinToOthers();
const dist = given.dist ?? buildOurs();
const control = await play(0);
console.info(`control: ${describe(control)}`);
let failed = false;
for (const slow of [1, 100]) {
  const outcome = await play(slow);
  const verdicts = {
    [`all ${slow} closed with ${SLOW_CONSUMER}`]:
      outcome.closed.length === slow && outcome.closed.every(({ code }) => code === SLOW_CONSUMER),
    [`closed within ${IN_TIME_S} s`]: outcome.closed.every(({ afterS }) => afterS < IN_TIME_S),
    'p99 of the others below twice the control’s': outcome.p99 < 2 * control.p99,
    'RSS below base + 64 MB': outcome.rssPeakMb < 64,
  };
  console.info(`${slow} slow: ${describe(outcome)}`);
  for (const [what, isSo] of Object.entries(verdicts)) {
    console.info(`  ${isSo ? 'yes' : 'NO '}: ${what}`);
    failed ||= !isSo;
  }
}
process.exit(failed ? 1 : 0);

/** So many members stop reading, while the others get 10,000 messages of 1 KB a second. */
async function play(slow: number): Promise<Outcome> {
  const server = await Worker.start({
    file: 'servers/ours.ts',
    core: MEASURED,
    env: { BENCH_DIST: dist, BENCH_FLUSH: given.flush },
  });
  const load = await Worker.start({ file: 'load.ts', core: OTHERS });
  try {
    await load.ask('connect', { port: server.port, dialect: 'ours', count: OTHER_MEMBERS });
    // A warm server: buffers, compiled code and a heap as large as this load makes them anyway.
    await publishFor(load, server, 3_000, OTHER_MEMBERS);
    if (slow > 0) await load.ask('connect', { port: server.port, dialect: 'ours', count: slow });
    await load.ask('stopReading', { count: slow });
    const stopped = now();
    const base = (await server.ask<{ rss: number }>('memory')).rss;
    const watch = watchRss(server);
    const { count, published, ms } = await publishFor(load, server, seconds * 1_000, OTHER_MEMBERS);
    const peak = await watch();
    const closed = await server.ask<{ code: number | undefined; at: number }[]>('closed');
    if (count.received !== published * OTHER_MEMBERS || count.disordered > 0) {
      throw new Error(
        `The others got ${count.received} of ${published * OTHER_MEMBERS}, ${count.disordered} disordered.`,
      );
    }
    return {
      p99: count.p99 as number,
      rssPeakMb: (peak - base) / MB,
      perSecond: (published * 1_000) / ms,
      closed: closed.map(({ code, at }) => ({ code, afterS: (at - stopped) / 1_000 })),
    };
  } finally {
    await Promise.all([server.stop(), load.stop()]);
  }
}

async function publishFor(load: Worker, server: Worker, forMs: number, members: number) {
  await load.ask('count', { isConsecutive: true, keepsLatency: true });
  const before = await server.ask<Cpu>('cpu');
  const { published } = await server.ask<{ published: number }>('publish', {
    perSecond: PER_SECOND,
    forMs,
    textBytes: TEXT_BYTES,
  });
  const { at } = await server.ask<Cpu>('cpu');
  const count = await load.ask<Count>('received', { total: published * members });
  return { count, published, ms: at - before.at };
}

/** Looks ten times a second. Returns how to stop, which gives the largest size seen. */
function watchRss(server: Worker): () => Promise<number> {
  const sizes: Promise<{ rss: number }>[] = [];
  const timer = setInterval(() => sizes.push(server.ask('resident')), 100);
  return async () => {
    clearInterval(timer);
    return Math.max(...(await Promise.all(sizes)).map(({ rss }) => rss));
  };
}

function describe({ p99, rssPeakMb, perSecond, closed }: Outcome): string {
  const codes = [...new Set(closed.map(({ code }) => code))].join(', ') || '–';
  const last = Math.max(0, ...closed.map(({ afterS }) => afterS));
  const ends = closed.length > 0 ? `, the last after ${last.toFixed(1)} s` : '';
  return `p99 ${p99.toFixed(1)} ms, RSS at most +${rssPeakMb.toFixed(0)} MB, ${Math.round(perSecond)} messages/s, ${closed.length} closed (${codes}${ends})`;
}
