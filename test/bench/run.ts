// `npm run bench -- --only fanout,burst --against ours,ws,net --rounds 3 --quick`: see README.md here.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildOurs, OUT } from './build.js';
import { chart } from './chart.js';
import { readCommandLine } from './command-line.js';
import { foreignLoad } from './foreign-load.js';
import { curvesOf, openLoopChart, openLoopTables } from './open-loop-report.js';
import { findBun, hasPeers } from './peers.js';
import { optionsOf, USAGE } from './run-options.js';
import { machine, markdownTable, resultsOf, short } from './report.js';
import { selfTest } from './self-test.js';
import { type Sample, type Setting, Stage } from './stage.js';
import { pinToOthers } from './worker.js';
import { WORKLOADS } from './workloads.js';

const NOTES = `Processor time of the server where nothing else is said. "!": the load generator had more than 85 % of its core.
This module ran with \`limits: { messages: false }\` and \`clientList: { enabled: false }\`: the peers have neither.`;

const { only, against, rounds, isQuick, dist, flush, isSelfTest } = readCommandLine(USAGE, optionsOf);

if (isSelfTest) {
  for (const line of await selfTest()) console.info(line);
  process.exit(process.exitCode);
}

checkFileLimit();
installPeers();
const setting: Setting = {
  dist: dist ?? buildOurs(),
  bun: findBun(),
  isQuick,
  flush,
};
if (against.includes('bun') && !setting.bun) console.info('Bun has no binary for this machine: left out.');

pinToOthers();
const samples: Sample[] = [];
const flaws: string[] = [];
const foreign: number[] = [];
const began = Date.now();
const interruption = new AbortController();
// What runs then is given up, and ends its Redis; what there is by then is reported.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort());
for (let round = 1; round <= rounds; round++) {
  for (const name of only) await playRound(name, round);
}
report();
process.exit(flaws.length > 0 ? 1 : 0);

/** Every peer once: rounds are interleaved, so that a slow minute of the machine meets all of them. */
async function playRound(name: string, round: number): Promise<void> {
  const { peers, run } = WORKLOADS[name] as (typeof WORKLOADS)[string];
  for (const peer of peers) {
    if (!against.includes(peer) || (peer === 'bun' && !setting.bun) || interruption.signal.aborted) continue;
    foreign.push(await foreignLoad());
    const stage = new Stage(peer, setting);
    const giveUp = (): void => void stage.stop();
    interruption.signal.addEventListener('abort', giveUp, { once: true });
    try {
      await run(stage);
    } catch (error) {
      stage.flawed(error instanceof Error ? error.message : String(error));
    } finally {
      interruption.signal.removeEventListener('abort', giveUp);
      await stage.stop();
    }
    samples.push(...stage.samples);
    flaws.push(...stage.flaws.map((flaw) => `${name}, round ${round}, ${flaw}`));
    const figures = stage.samples.filter(isTold).map(({ figure, value, loadShare }) => {
      return `${figure} ${short(value)} (load ${Math.round(loadShare * 100)} %)`;
    });
    console.info(`round ${round} ${peer}: ${[...figures, ...stage.flaws].join(', ')}`);
  }
}

/** Of the open loop's figures p99 alone: the tables have the rest. */
function isTold({ figure }: Sample): boolean {
  return !figure.startsWith('open ') || figure.endsWith(' p99');
}

function report(): void {
  const results = resultsOf(samples);
  const tables = [markdownTable(results), openLoopTables(results)].filter((text) => text !== '').join('\n\n');
  const minutes = ((Date.now() - began) / 60_000).toFixed(1);
  const date = new Date().toISOString().slice(0, 10);
  const command = `npm run bench -- ${process.argv.slice(2).join(' ')}`.replace(/ -- $/, '');
  const busy = Math.round((foreign.reduce((sum, share) => sum + share, 0) / Math.max(1, foreign.length)) * 100);
  const quiet = `Between the workloads the machine was ${busy} % busy with other things.`;
  const text = `${date}, ${machine()}, ${minutes} minutes, median of ${rounds}: \`${command}\`\n\n${tables}\n\n${NOTES} ${quiet}\n`;
  mkdirSync(OUT, { recursive: true }); // with --dist nothing was built
  writeFileSync(`${OUT}/results.md`, text);
  writeFileSync(
    `${OUT}/results.json`,
    `${JSON.stringify({ date, machine: machine(), command, busy, results, samples, flaws }, null, 1)}\n`,
  );
  console.info(`\n${text}`);
  if (flaws.length > 0) console.info(`What came wrong:\n${flaws.join('\n')}`);
  writeFileSync(`${OUT}/results.svg`, chart(results, `${date}, ${machine()}`));
  if (curvesOf(results).length > 0)
    writeFileSync(`${OUT}/open-loop.svg`, openLoopChart(results, `${date}, ${machine()}`));
  console.info(`Also in ${OUT}: results.md, results.json, results.svg, and open-loop.svg if there was one`);
}

/** Growth opens 10,000 sockets from one process to another. */
function checkFileLimit(): void {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -n']).toString());
  if (limit < 11_000) console.info(`Only ${limit} files may be open: run "ulimit -n 20000" first, or rooms will fail.`);
}

function installPeers(): void {
  if (hasPeers()) return;
  const folder = fileURLToPath(new URL('.', import.meta.url));
  execFileSync('npm', ['ci', '--ignore-scripts', '--prefix', folder], { stdio: 'inherit' });
}
