import { figureOf, type Metric, SHAPES, SHARES, type Shape } from './open-loop.js';
import { PEER_NAMES, type PeerName, PEERS } from './peers.js';
import { BUSY, type Cell, type Results, short } from './report.js';

interface Curve {
  shape: Shape;
  peers: PeerName[];
  /** Of p99: how many rounds it got so far, and how busy the load generator was. */
  cell(share: number, peer: PeerName): Cell | undefined;
  at(share: number, metric: Metric, peer: PeerName): number | undefined;
}

/** The shapes that were measured. */
export const curvesOf = (results: Results): Curve[] =>
  Object.values(SHAPES).flatMap((shape) => {
    const cell: Curve['cell'] = (share, peer) => results[figureOf(shape.name, share, 'p99')]?.[peer];
    const at: Curve['at'] = (share, metric, peer) => results[figureOf(shape.name, share, metric)]?.[peer]?.value;
    const peers = PEER_NAMES.filter((peer) => SHARES.some((share) => at(share, 'p99', peer) !== undefined));
    return peers.length > 0 ? [{ shape, peers, cell, at }] : [];
  });

/** A table for each shape: p50 and p99 in milliseconds, processor time of a delivery in microseconds, what never came. */
export function openLoopTables(results: Results): string {
  return curvesOf(results)
    .map((curve) => {
      const { shape, peers, at } = curve;
      const head = ['offered', 'messages/s', ...peers.map((peer) => PEERS[peer].title)];
      const rows = SHARES.map((share) => {
        const rates = peers.flatMap((peer) => at(share, 'rate', peer) ?? []);
        return [
          `${share * 100} %`,
          short(rates[0] ?? Number.NaN),
          ...peers.map((peer) => cellText(curve, share, peer)),
        ];
      });
      const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
      return [`**${shape.title}**: p50 / p99 ms · µs per delivery`, '', ...lines, '', ...verdicts(curve)].join('\n');
    })
    .join('\n\n');
}

function cellText({ peers, cell, at }: Curve, share: number, peer: PeerName): string {
  const [p50, p99, cpu, shed] = (['p50', 'p99', 'cpu', 'shed'] as const).map((metric) => at(share, metric, peer));
  if (p50 === undefined || p99 === undefined || cpu === undefined) return 'collapsed';
  const { loadShare, rounds } = cell(share, peer) as Cell;
  const most = Math.max(...peers.map((each) => cell(SHARES[0] as number, each)?.rounds ?? 0));
  const figures = `${short(p50)} / ${short(p99)} · ${short(cpu)}${loadShare > BUSY ? ' !' : ''}`;
  const less = rounds < most ? `, in ${rounds} of ${most} rounds` : '';
  return `${figures}${shed ? `, ${short(shed)} never came` : ''}${less}`;
}

/** What is to be reached, line by line. */
function verdicts({ peers, at }: Curve): string[] {
  if (!peers.includes('ours') || peers.length < 2) return [];
  const others = peers.filter((peer) => peer !== 'ours');
  const lines: string[] = [];
  const say = (text: string, value: number, bound: number): void =>
    void lines.push(`- ${text}: ${short(value)} (≤ ${bound}) ${value <= bound ? 'reached' : '**not reached**'}`);
  const ratios = SHARES.filter((share) => share <= 1).map((share) => {
    const best = Math.min(...others.map((peer) => at(share, 'p99', peer) ?? Infinity));
    return (at(share, 'p99', 'ours') ?? Infinity) / best;
  });
  say('p99 at 10 to 100 %, the worst ratio to the best of the others', Math.max(...ratios), 1.1);
  if (others.includes('bun')) {
    const ratio = (metric: Metric): number => (at(3, metric, 'ours') ?? Infinity) / (at(3, metric, 'bun') ?? Infinity);
    say('p99 at 300 %, times Bun', ratio('p99'), 1);
    say('processor time at 300 %, times Bun', ratio('cpu'), 0.7);
    say('deliveries at 300 % that never came', at(3, 'shed', 'ours') ?? Number.NaN, 0);
  }
  return lines;
}

const WIDTH = 640;
const HEIGHT = 400;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 110, 40, 44];
const COLOURS: Record<PeerName, string> = {
  ours: '#c2185b',
  net: '#8c959f',
  ws: '#6639ba',
  'socket.io': '#0969da',
  'nest-ws': '#bc4c00',
  bun: '#1a7f37',
};
const TICKS_MS = [1, 10, 100, 1_000, 10_000];

/** p99 over offered load, both on logarithmic scales: one picture beside the other for each shape. */
export function openLoopChart(results: Results, caption: string): string {
  const curves = curvesOf(results);
  const width = WIDTH * curves.length;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${HEIGHT}" viewBox="0 0 ${width} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#24292f">`,
    `<rect width="${width}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...curves.flatMap((curve, index) => picture(curve, index * WIDTH)),
    words(LEFT, HEIGHT - 6, caption, 'font-size="10" fill="#57606a"'),
    '</svg>\n',
  ].join('\n');
}

function picture({ shape, peers, at }: Curve, left: number): string[] {
  const x = (share: number): number =>
    left + LEFT + scale(share, SHARES[0] as number, SHARES.at(-1) as number) * (WIDTH - LEFT - RIGHT);
  const y = (ms: number): number => HEIGHT - BOTTOM - scale(Math.max(ms, 1), 1, 10_000) * (HEIGHT - TOP - BOTTOM);
  const ends: number[] = [];
  return [
    words(left + LEFT, 22, `${shape.title}: p99 latency, ms, over offered load`, 'font-weight="600"'),
    ...TICKS_MS.flatMap((ms) => [
      `<line x1="${left + LEFT}" x2="${left + WIDTH - RIGHT}" y1="${y(ms)}" y2="${y(ms)}" stroke="#d0d7de"/>`,
      words(left + LEFT - 6, y(ms) + 4, short(ms), 'text-anchor="end"'),
    ]),
    ...SHARES.map((share) =>
      words(x(share), HEIGHT - BOTTOM + 16, `${share * 100}`, 'text-anchor="middle" font-size="10"'),
    ),
    words(left + WIDTH - RIGHT + 24, HEIGHT - BOTTOM + 16, '% of net', 'font-size="10"'),
    ...peers.flatMap((peer) => {
      const points = SHARES.flatMap((share) => {
        const ms = at(share, 'p99', peer);
        return ms === undefined ? [] : [[x(share), y(ms)] as const];
      });
      const [endX, endY] = points.at(-1) as readonly [number, number];
      let labelY = endY + 4;
      while (ends.some((taken) => Math.abs(taken - labelY) < 13)) labelY += 13;
      ends.push(labelY);
      const line = points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
      return [
        `<polyline points="${line}" fill="none" stroke="${COLOURS[peer]}" stroke-width="${peer === 'ours' ? 3 : 1.5}"/>`,
        words(endX + 6, labelY, PEERS[peer].title, `fill="${COLOURS[peer]}"`),
      ];
    }),
  ];
}

const scale = (value: number, least: number, most: number): number => Math.log(value / least) / Math.log(most / least);

const words = (x: number, y: number, text: string, more = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
