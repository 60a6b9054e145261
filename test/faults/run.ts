// `npm run test:faults`: what each fault costs, measured. `-- --quick` for CI, `-- --only frozen`, `-- --write` for the page.
// `-- --joins`: what joins cost Redis and the nodes instead; `-- --changes`: what a change costs another node;
// `-- --registries`: what both registries cost with rooms with presence.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { complaints } from '../support/ledger.js';
import { bundlePrograms } from '../support/program.js';
import { type Fault, FAULTS, happen } from './faults.js';
import { costOfChanges } from './changes.js';
import { oneRedis } from './grounds.js';
import { costOfJoins, type JoinCost } from './joins.js';
import { costOfRegistry } from './registries.js';
import { rollingRestart, type RollingRestart } from './rolling-restart.js';
import { type Measured, Scene } from './scene.js';

const PAGE = fileURLToPath(new URL('../../docs/faults.md', import.meta.url));
/** What is promised, and what the looking takes. Time in which the machine ran others comes on top. */
const NOTICED_MS = 7_000 + 1_000;
const RESTORED_MS = 5_000 + 1_000;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    only: { type: 'string' },
    write: { type: 'boolean' },
    joins: { type: 'boolean' },
    changes: { type: 'boolean' },
    registries: { type: 'boolean' },
  },
});
const chosen = FAULTS.filter(({ name, isQuick }) => (!values.quick || isQuick) && name.includes(values.only ?? ''));

async function measure(fault: Fault): Promise<Measured> {
  const ground = await (fault.ground ?? oneRedis)();
  try {
    const scene = await Scene.start(ground, fault.quiet);
    return await happen(fault, scene).finally(() => scene.stop());
  } finally {
    await ground.stop();
  }
}

/** What was promised and isn't so. */
function broken(fault: Fault, { noticedMs, restoredMs, lostMs, report, counted, falseLosses }: Measured): string[] {
  const lost = report.lost.length + report.excused;
  return [
    ...Object.entries(complaints(report)).map(([what, which]) => `${which.length} ${what}, such as ${which[0]}`),
    ...(restoredMs > (fault.restoredWithinMs ?? RESTORED_MS) + lostMs
      ? [`truth was restored after ${restoredMs} ms`]
      : []),
    ...(!fault.isSilent && noticedMs === undefined ? ['nobody noticed'] : []),
    ...(noticedMs !== undefined && noticedMs > NOTICED_MS + lostMs ? [`it was noticed after ${noticedMs} ms`] : []),
    ...(counted < lost ? [`of ${lost} lost copies ${counted} were counted`] : []),
    ...(fault.losesNothing && lost > 0 ? [`${lost} copies were lost`] : []),
    ...(falseLosses > 0 && !fault.mayBury ? [`${falseLosses} clients that were there were called lost`] : []),
  ];
}

/** Measures one fault, and says what is wrong. */
async function judge(fault: Fault): Promise<void> {
  try {
    const measured = await measure(fault);
    rows.push(row(fault, measured));
    console.info(rows.at(-1));
    for (const what of broken(fault, measured)) {
      isBroken = true;
      console.error(`  BROKEN: ${fault.name}: ${what}`);
    }
  } catch (error) {
    isBroken = true;
    console.error(`  BROKEN: ${fault.name}:`, error);
  }
}

const seconds = (ms: number | undefined): string => (ms === undefined ? '–' : `${(ms / 1_000).toFixed(1)} s`);

function row({ name }: Fault, { noticedMs, restoredMs, report, counted }: Measured): string {
  const { expected, excused, lost } = report;
  const gone = excused + lost.length;
  const cells = [name, `${gone} of ${expected}`, Math.min(gone, counted), seconds(noticedMs), seconds(restoredMs)];
  return `| ${cells.join(' | ')} |`;
}

function sentence({ sent, lost, awayMs }: RollingRestart): string {
  const [fewest, few, most] = spread(lost);
  const [, away, longest] = spread(awayMs);
  return (
    `A rolling restart: of ${sent} messages a client lost ${few} (median; ${fewest} to ${most}). ` +
    `It was away for ${seconds(away)} at a time (median; at most ${seconds(longest)}).`
  );
}

function spread(values: number[]): [least: number, median: number, most: number] {
  const sorted = values.toSorted((one, other) => one - other);
  return [sorted[0] ?? 0, sorted[sorted.length >> 1] ?? 0, sorted.at(-1) ?? 0];
}

if (values.changes) {
  for (const perEvent of [1, 100]) {
    const costs = [];
    for (let n = 0; n < 3; n++) costs.push(await costOfChanges(perEvent));
    const texts = costs.map((cost) => cost.toFixed(1));
    console.info(`A change, ${perEvent} in an event: ${texts.join(', ')} µs of another node's processor time`);
  }
  process.exit(0);
}

if (values.joins) {
  console.info('| nodes | joins | bytes to Redis | commands | bytes to each node | all known after |');
  console.info('| --- | --- | --- | --- | --- | --- |');
  for (const count of [2, 4, 8]) {
    const line = (how: string, { toRedis, commands, toEachNode, ms }: JoinCost): string =>
      `| ${[count, how, Math.round(toRedis), commands.toFixed(2), Math.round(toEachNode), seconds(ms)].join(' | ')} |`;
    const { together, oneByOne } = await costOfJoins(count);
    console.info(line('of all clients at once', together));
    console.info(line('one by one', oneByOne));
  }
  process.exit(0);
}

if (values.registries) {
  console.info(
    '| nodes | registry | KB of a client on each node | joins a second | events | bytes to each node | µs of all nodes | µs of Redis | idle |',
  );
  console.info('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const count of [2, 4, 8]) {
    for (const registry of ['replicated', 'local'] as const) {
      const cost = await costOfRegistry(count, registry);
      const { kbEach, perSecond, events, toEachNode, nodesUs, redisUs, idleBytes } = cost;
      const figures = [kbEach.toFixed(1), Math.round(perSecond), events.toFixed(2)];
      figures.push(...[toEachNode, nodesUs, redisUs].map(Math.round));
      console.info(`| ${[count, registry, ...figures].join(' | ')} | ${Math.round(idleBytes)} bytes/s |`);
    }
  }
  process.exit(0);
}

const rows = [
  '| fault | copies lost | of them counted | noticed in | truth restored in |',
  '| --- | --- | --- | --- | --- |',
];
await bundlePrograms();
console.info(rows.join('\n'));
let isBroken = false;
// CI has no time to wait for one after the other. Each has ground of its own.
if (values.quick) await Promise.all(chosen.map(judge));
else for (const fault of chosen) await judge(fault);
if (!values.quick && 'a rolling restart'.includes(values.only ?? '')) {
  rows.push('', sentence(await rollingRestart()));
  console.info(rows.at(-1));
}
if (values.write && chosen.length === FAULTS.length) {
  const page = readFileSync(PAGE, 'utf8');
  const table = /(<!-- test:faults -->\n)[^]*(<!-- \/test:faults -->)/;
  writeFileSync(
    PAGE,
    page.replace(table, (_, from: string, to: string) => `${from}\n${rows.join('\n')}\n\n${to}`),
  );
}
process.exit(isBroken ? 1 : 0);
