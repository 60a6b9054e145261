import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Games } from '../../sample/02-game/games.js';

const GRACE_MS = 1_000;

describe('the seats of a game', () => {
  let games: Games;
  beforeEach(() => {
    jest.useFakeTimers();
    games = new Games({ graceMs: GRACE_MS, maxGames: 3 });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const begin = (): { gameId: string; tokens: [string, string] } => {
    const { gameId, token } = games.create('ada', 'Ada');
    return { gameId, tokens: [token, games.join(gameId, 'bob', 'Bob').seated.token] };
  };
  const win = (first: string, second: string): void => {
    for (const column of [0, 1, 0, 1, 0, 1, 0]) games.move(column === 0 ? first : second, column);
  };

  it('gives the seat back to whoever returns with its token', () => {
    const { gameId, tokens } = begin();
    games.move('ada', 3);
    games.away('ada');
    expect(games.state(gameId)?.players[0]).toMatchObject({ name: 'Ada', isConnected: false });
    expect(games.join(gameId, 'ada again', 'Ada', tokens[0])).toMatchObject({ seated: { seat: 0 }, replaced: null });
    jest.advanceTimersByTime(GRACE_MS * 20);
    expect(games.state(gameId)).toMatchObject({ status: 'playing', players: [{ isConnected: true }, { name: 'Bob' }] });
    expect(games.isPlayer(gameId, 'ada')).toBe(false);
  });

  it('counts each absence from its own beginning', () => {
    const { gameId, tokens } = begin();
    games.away('ada');
    jest.advanceTimersByTime(GRACE_MS - 1);
    games.join(gameId, 'ada 2', 'Ada', tokens[0]);
    games.away('ada 2');
    jest.advanceTimersByTime(GRACE_MS - 1);
    expect(games.state(gameId)?.status).toBe('playing');
    jest.advanceTimersByTime(1);
    expect(games.state(gameId)?.outcome).toEqual({ winner: 1, reason: 'left', line: [] });
  });

  it('gives the round to the one who stayed, says so, and frees the seat', () => {
    const { gameId } = begin();
    const expired = jest.fn();
    games.expired.subscribe(expired);
    games.away('ada');
    jest.advanceTimersByTime(GRACE_MS);
    expect(expired).toHaveBeenCalledWith(gameId);
    expect(games.state(gameId)).toMatchObject({ status: 'over', players: [null, { name: 'Bob', wins: 1 }] });
    expect(games.join(gameId, 'eve', 'Eve').seated.seat).toBe(0);
    expect(games.state(gameId)).toMatchObject({ status: 'playing', outcome: null });
  });

  it('keeps a table longer for its only player, then forgets it', () => {
    const { gameId } = games.create('ada', 'Ada');
    games.away('ada');
    jest.advanceTimersByTime(GRACE_MS * 10 - 1);
    expect(games.state(gameId)?.status).toBe('waiting');
    jest.advanceTimersByTime(1);
    expect(games.state(gameId)).toBeUndefined();
  });

  it('lets a second connection with the token take the place of the first', () => {
    const { gameId, tokens } = begin();
    expect(games.join(gameId, 'ada 2', 'Ada', tokens[0])).toMatchObject({ seated: { seat: 0 }, replaced: 'ada' });
    games.away('ada');
    expect(games.state(gameId)?.players[0]?.isConnected).toBe(true);
  });

  it('answers the same connection with the same seat', () => {
    const { gameId, tokens } = begin();
    expect(games.join(gameId, 'bob', 'Bob').seated).toEqual({ gameId, seat: 1, token: tokens[1] });
  });

  it('starts a rematch once both want it, and the other one begins', () => {
    const { gameId } = begin();
    expect(() => games.rematch('ada')).toThrow(expect.objectContaining({ code: 'GAME_RUNNING' }));
    win('ada', 'bob');
    games.rematch('bob');
    expect(games.state(gameId)).toMatchObject({ status: 'over', players: [{ wins: 1 }, { wantsRematch: true }] });
    games.rematch('ada');
    expect(games.state(gameId)).toMatchObject({ status: 'playing', turn: 1, players: [{ wins: 1 }, { wins: 0 }] });
  });

  it('refuses a second game, moves without an opponent, and games without end', () => {
    const { gameId } = games.create('ada', 'Ada');
    expect(() => games.create('ada', 'Ada')).toThrow(expect.objectContaining({ code: 'ALREADY_PLAYING' }));
    expect(() => games.move('ada', 0)).toThrow(expect.objectContaining({ code: 'NO_OPPONENT' }));
    expect(() => games.rematch('ada')).toThrow(expect.objectContaining({ code: 'NO_OPPONENT' }));
    games.create('bob', 'Bob');
    expect(() => games.join(gameId, 'bob', 'Bob')).toThrow(expect.objectContaining({ code: 'ALREADY_PLAYING' }));
    games.create('eve', 'Eve');
    expect(() => games.create('mallory', 'M')).toThrow(expect.objectContaining({ code: 'TOO_MANY_GAMES' }));
    games.leave('eve');
    expect(() => games.create('mallory', 'M')).not.toThrow();
  });
});
