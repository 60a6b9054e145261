import { type Row, ROWS } from './goals.js';
import { PEER_NAMES, PEERS } from './peers.js';
import { type Cell, type Results, short } from './report.js';

const WIDTH = 1_280;
const COLUMNS = 2;
const COLUMN = WIDTH / COLUMNS;
const MARGIN = 20;
const BAR = 16;
const TITLE = 40;
const NAMES = 90;
const NUMBERS = 130;

/** One group of bars for each workload that several were measured at; each group has a scale of its own. */
export function chart(results: Results, caption: string): string {
  const groups = ROWS.map((row) => groupOf(row, results)).filter((group) => group !== undefined);
  const heights = Array.from({ length: COLUMNS }, () => MARGIN + TITLE);
  const drawn = groups.map(({ height, draw }) => {
    const column = heights.indexOf(Math.min(...heights));
    const top = heights[column] as number;
    heights[column] = top + height;
    return draw(column * COLUMN + MARGIN, top);
  });
  const height = Math.max(...heights) + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#24292f">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(MARGIN, MARGIN + 12, caption, 'font-size="13"'),
    ...drawn.flat(),
    '</svg>\n',
  ].join('\n');
}

interface Group {
  height: number;
  draw: (left: number, top: number) => string[];
}

function groupOf({ figure, title, unit }: Row, results: Results): Group | undefined {
  const bars = PEER_NAMES.flatMap((peer) => {
    const cell = results[figure]?.[peer];
    return cell ? [{ peer, cell }] : [];
  });
  if (bars.length < 2) return undefined;
  const most = Math.max(...bars.map(({ cell }: { cell: Cell }) => cell.value));
  const length = COLUMN - 2 * MARGIN - NAMES - NUMBERS;
  return {
    height: TITLE + bars.length * BAR,
    draw: (left, top) => [
      text(left, top + 14, `${title}${unit === 'deliveries/s' ? ' (more is better)' : ''}`, 'font-weight="600"'),
      ...bars.flatMap(({ peer, cell }, index) => {
        const y = top + 22 + index * BAR;
        const width = most > 0 ? Math.max(1, (cell.value / most) * length) : 1;
        return [
          text(left + NAMES - 6, y + 11, PEERS[peer].title, 'text-anchor="end"'),
          `<rect x="${left + NAMES}" y="${y + 1}" width="${width.toFixed(1)}" height="${BAR - 4}" fill="${peer === 'ours' ? '#c2185b' : '#8c959f'}"/>`,
          text(left + NAMES + width + 5, y + 11, `${short(cell.value)} ${unit}`),
        ];
      }),
    ],
  };
}

const text = (x: number, y: number, words: string, more = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y}" ${more}>${words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
