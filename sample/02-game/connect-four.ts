/** The rules of Connect Four, and nothing else: no sockets, no players, no clock. */
export const COLUMNS = 7;
export const ROWS = 6;
const IN_A_LINE = 4;

export type Seat = 0 | 1;

export interface Outcome {
  /** Null: a draw. */
  winner: Seat | null;
  reason: 'line' | 'draw' | 'left';
  /** The cells that won. */
  line: number[];
}

/** One round, never changed: a move makes a new one. */
export interface Round {
  /** Row by row from the top left: the index of a cell is `row * COLUMNS + column`. */
  readonly cells: readonly (Seat | null)[];
  readonly turn: Seat;
  readonly lastCell: number | null;
  readonly outcome: Outcome | null;
}

export type MoveRefusal = 'GAME_OVER' | 'NOT_YOUR_TURN' | 'ILLEGAL_MOVE';

export const otherSeat = (seat: Seat): Seat => (seat === 0 ? 1 : 0);

export function newRound(starter: Seat): Round {
  return { cells: Array<null>(COLUMNS * ROWS).fill(null), turn: starter, lastCell: null, outcome: null };
}

/** Why this move can't be made, or null when it can. */
export function refusalOf(round: Round, seat: Seat, column: number): MoveRefusal | null {
  if (round.outcome) return 'GAME_OVER';
  if (round.turn !== seat) return 'NOT_YOUR_TURN';
  return landingCell(round, column) === null ? 'ILLEGAL_MOVE' : null;
}

/** The round after a move that `refusalOf()` lets pass. */
export function drop(round: Round, column: number): Round {
  const cell = landingCell(round, column);
  if (cell === null) throw new RangeError(`Column ${column} takes no disc. Ask refusalOf() first.`);
  const seat = round.turn;
  const cells = round.cells.with(cell, seat);
  return { cells, turn: otherSeat(seat), lastCell: cell, outcome: outcomeOf(cells, cell, seat) };
}

/** The round after a player has given up. */
export function forfeit(round: Round, leaver: Seat): Round {
  return { ...round, outcome: { winner: otherSeat(leaver), reason: 'left', line: [] } };
}

/** The lowest free cell of a column. */
function landingCell({ cells }: Round, column: number): number | null {
  if (!Number.isInteger(column) || column < 0 || column >= COLUMNS) return null;
  for (let row = ROWS - 1; row >= 0; row--) {
    const cell = row * COLUMNS + column;
    if (cells[cell] === null) return cell;
  }
  return null;
}

function outcomeOf(cells: Round['cells'], cell: number, seat: Seat): Outcome | null {
  const line = winningLine(cells, cell, seat);
  if (line) return { winner: seat, reason: 'line', line };
  return cells.includes(null) ? null : { winner: null, reason: 'draw', line: [] };
}

/** Only lines through the new disc can be new. */
function winningLine(cells: Round['cells'], cell: number, seat: Seat): number[] | null {
  const directions = [
    [0, 1],
    [1, 0],
    [1, 1],
    [1, -1],
  ] as const;
  for (const [down, right] of directions) {
    const line = [
      ...reach(cells, cell, seat, -down, -right).toReversed(),
      cell,
      ...reach(cells, cell, seat, down, right),
    ];
    if (line.length >= IN_A_LINE) return line;
  }
  return null;
}

/** The discs of one player that follow each other from a cell in one direction. */
function reach(cells: Round['cells'], from: number, seat: Seat, down: number, right: number): number[] {
  const found: number[] = [];
  let row = Math.floor(from / COLUMNS) + down;
  let column = (from % COLUMNS) + right;
  while (row >= 0 && row < ROWS && column >= 0 && column < COLUMNS && cells[row * COLUMNS + column] === seat) {
    found.push(row * COLUMNS + column);
    row += down;
    column += right;
  }
  return found;
}
