import { describe, expect, it } from '@jest/globals';
import { COLUMNS, drop, forfeit, newRound, refusalOf, type Round, ROWS } from '../../sample/02-game/connect-four.js';

const play = (columns: number[], from: Round = newRound(0)): Round => columns.reduce(drop, from);
const cellAt = (row: number, column: number): number => row * COLUMNS + column;

describe('the rules of Connect Four', () => {
  it('lets discs fall onto each other, in turn', () => {
    const round = play([3, 3]);
    expect(round.cells[cellAt(5, 3)]).toBe(0);
    expect(round.cells[cellAt(4, 3)]).toBe(1);
    expect(round).toMatchObject({ turn: 0, lastCell: cellAt(4, 3), outcome: null });
  });

  it.each([
    ['in a row', [0, 0, 1, 1, 2, 2, 3], [35, 36, 37, 38]],
    ['in a row that the last disc fills', [0, 0, 1, 1, 3, 3, 2], [35, 36, 37, 38]],
    ['in a column', [0, 1, 0, 1, 0, 1, 0], [14, 21, 28, 35]],
    ['rising to the right', [0, 1, 1, 2, 2, 3, 2, 3, 3, 5, 3], [35, 29, 23, 17]],
    ['rising to the left', [6, 5, 5, 4, 4, 3, 4, 3, 3, 1, 3], [41, 33, 25, 17]],
  ])('sees four %s', (_, columns, line) => {
    const { outcome } = play(columns);
    expect(outcome).toMatchObject({ winner: 0, reason: 'line' });
    expect(outcome?.line.toSorted((a, b) => a - b)).toEqual(line.toSorted((a, b) => a - b));
  });

  it('counts more than four', () => {
    expect(play([0, 0, 1, 1, 2, 2, 4, 4, 5, 5, 6, 6, 3]).outcome?.line).toHaveLength(7);
  });

  it('sees no line that goes round the edge of the board', () => {
    // Red: 4, 5, 6 of the bottom row and 0 of the row above it.
    expect(play([4, 0, 5, 1, 6, 2, 0]).outcome).toBeNull();
  });

  it('ends in a draw when the board is full', () => {
    const full = play([0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 2, 3, 2, 3, 2, 3, 3, 2, 3, 2, 3, 2].slice(0, 24));
    const rest = play([4, 5, 4, 5, 4, 5, 5, 4, 5, 4, 5, 4, 6, 6, 6, 6, 6, 6], full);
    expect(rest.cells).not.toContain(null);
    expect(rest.outcome).toEqual({ winner: null, reason: 'draw', line: [] });
  });

  it('refuses the other player, a full column, a column that is none, and any move after the end', () => {
    const round = play(Array<number>(ROWS).fill(2));
    expect(refusalOf(round, 1, 0)).toBe('NOT_YOUR_TURN');
    for (const column of [2, -1, COLUMNS, 0.5, Number.NaN]) expect(refusalOf(round, 0, column)).toBe('ILLEGAL_MOVE');
    expect(refusalOf(round, 0, 0)).toBeNull();
    expect(refusalOf(play([0, 1, 0, 1, 0, 1, 0]), 1, 3)).toBe('GAME_OVER');
  });

  it('gives the round to the one who stays', () => {
    expect(forfeit(play([3]), 0).outcome).toEqual({ winner: 1, reason: 'left', line: [] });
  });
});
