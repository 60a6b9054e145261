import { cpus, release } from 'node:os';
import { type Goal, type Row, ROWS } from './goals.js';
import { PEER_NAMES, type PeerName, PEERS } from './peers.js';
import type { Sample } from './stage.js';

/** The load generator had so much of its core that it may be what was measured. */
export const BUSY = 0.85;

export interface Cell {
  /** Median over the rounds. */
  value: number;
  /** Smallest and largest round. */
  range: [number, number];
  loadShare: number;
  rounds: number;
}

export type Results = Record<string, Partial<Record<PeerName, Cell>>>;

export function resultsOf(samples: Sample[]): Results {
  const results: Results = {};
  for (const { figure, peer } of samples) {
    const own = samples.filter((sample) => sample.figure === figure && sample.peer === peer);
    const values = own.map(({ value }) => value).toSorted((a, b) => a - b);
    (results[figure] ??= {})[peer] = {
      value: median(values),
      range: [values[0] as number, values.at(-1) as number],
      loadShare: Math.max(...own.map(({ loadShare }) => loadShare)),
      rounds: values.length,
    };
  }
  return results;
}

/** One line of the table for each goal; lines without a goal of this run stand for themselves. */
export function markdownTable(results: Results): string {
  const peers = PEER_NAMES.filter((peer) => Object.values(results).some((row) => row[peer]));
  const head = ['workload', ...peers.map((peer) => PEERS[peer].title), 'ratio and bound', ''];
  const rows = ROWS.flatMap((row) => lineOf(row, results, peers));
  if (rows.length === 0) return '';
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function lineOf(row: Row, results: Results, peers: PeerName[]): string[][] {
  const cells = results[row.figure];
  if (!cells) return [];
  const verdicts = [...row.goals.flatMap((goal) => verdictOf(goal, row, results)), ...flatness(row, results)];
  const isReached = verdicts.every(({ isReached }) => isReached);
  return [
    [
      `${row.title}${row.unit === 'deliveries/s' ? '' : `, ${row.unit}`}`,
      ...peers.map((peer) => cellText(cells[peer])),
      verdicts.map(({ text }) => text).join('<br>'),
      verdicts.length === 0 ? '' : isReached ? 'reached' : '**not reached**',
    ],
  ];
}

interface Verdict {
  text: string;
  isReached: boolean;
}

function verdictOf(goal: Goal, row: Row, results: Results): Verdict[] {
  const ours = results[row.figure]?.ours?.value;
  const theirs = results[goal.figure ?? row.figure]?.[goal.against]?.value;
  if (ours === undefined || theirs === undefined) return [];
  const name = goal.figure ?? PEERS[goal.against].title;
  const { atMost, atLeast, atMostPlus } = goal;
  if (atMostPlus !== undefined) {
    const more = ours - theirs;
    return [{ text: `${name} + ${short(more)} (≤ ${atMostPlus})`, isReached: more <= atMostPlus }];
  }
  const ratio = ours / theirs;
  const bound = atMost === undefined ? `≥ ${atLeast}` : `≤ ${atMost}`;
  const isReached = atMost === undefined ? ratio >= (atLeast as number) : ratio <= atMost;
  return [{ text: `${short(ratio)} × ${name} (${bound})`, isReached }];
}

function flatness({ flat }: Row, results: Results): Verdict[] {
  const values = flat?.figures.flatMap((figure) => results[figure]?.ours?.value ?? []) ?? [];
  if (!flat || values.length < flat.figures.length) return [];
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  const [least, most] = [Math.min(...values) / mean - 1, Math.max(...values) / mean - 1];
  const text = `${percent(least)} to +${percent(most)} of their mean (±${percent(flat.within)})`;
  return [{ text, isReached: Math.max(-least, most) <= flat.within }];
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

const cellText = (cell: Cell | undefined): string =>
  cell ? `${short(cell.value)}${cell.loadShare > BUSY ? ' !' : ''}` : '–';

/** Three digits that matter. */
export function short(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(value < 0.1 ? 2 : 3)));
}

export function machine(): string {
  const [first] = cpus();
  return `${cpus().length} × ${first?.model.trim() ?? 'unknown processor'}, Linux ${release()}, Node ${process.versions.node}`;
}

export function median(sorted: number[]): number {
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
