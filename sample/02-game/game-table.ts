import { randomBytes } from 'node:crypto';
import { drop, forfeit, newRound, otherSeat, refusalOf, type Outcome, type Round, type Seat } from './connect-four.js';
import { GameError } from './game-error.js';

/** What both players see of a game, pushed as `game/state`. */
export interface GameState {
  gameId: string;
  status: 'waiting' | 'playing' | 'over';
  cells: Round['cells'];
  turn: Seat;
  lastCell: number | null;
  outcome: Outcome | null;
  players: (PublicPlayer | null)[];
}

interface PublicPlayer {
  name: string;
  wins: number;
  isConnected: boolean;
  wantsRematch: boolean;
}

interface Player {
  name: string;
  /** Known to this player alone: it gives the seat back after a lost connection or a reload. */
  token: string;
  /** Null while the player is away. */
  clientId: string | null;
  /** Tells one absence from the next; null while the player is here. */
  absence: symbol | null;
  wins: number;
  wantsRematch: boolean;
}

/** What a player is told about the own seat. */
export interface Seated {
  gameId: string;
  seat: Seat;
  token: string;
}

/** Two seats and the round that is played between them. */
export class GameTable {
  readonly #players: [Player | null, Player | null] = [null, null];
  #round: Round | null = null;
  #starter: Seat = 0;

  constructor(readonly id: string) {}

  get isEmpty(): boolean {
    return this.#players.every((player) => player === null);
  }

  get hasBegun(): boolean {
    return this.#round !== null;
  }

  seatOf(clientId: string): Seat | undefined {
    return SEATS.find((seat) => this.#players[seat]?.clientId === clientId);
  }

  seatOfToken(token: string): Seat | undefined {
    return SEATS.find((seat) => this.#players[seat]?.token === token);
  }

  seatOfAbsence(absence: symbol): Seat | undefined {
    return SEATS.find((seat) => this.#players[seat]?.absence === absence);
  }

  seated(seat: Seat): Seated {
    return { gameId: this.id, seat, token: this.#player(seat).token };
  }

  /** A newcomer takes a free seat; with two players a fresh round begins. @throws {GameError} GAME_FULL */
  sit(clientId: string, name: string): Seat {
    const seat = SEATS.find((free) => this.#players[free] === null);
    if (seat === undefined) throw new GameError('GAME_FULL');
    const token = randomBytes(16).toString('base64url');
    this.#players[seat] = { name, token, clientId, absence: null, wins: 0, wantsRematch: false };
    if (this.#players[otherSeat(seat)]) this.#begin();
    return seat;
  }

  /** A player is back. @returns the connection that held the seat until now, if one still does */
  reclaim(seat: Seat, clientId: string): string | null {
    const player = this.#player(seat);
    const before = player.clientId;
    player.clientId = clientId;
    player.absence = null;
    return before;
  }

  /** The seat is kept. @returns what `seatOfAbsence()` finds it by, until the player is back or has left */
  away(seat: Seat): symbol {
    const absence = Symbol('away');
    const player = this.#player(seat);
    player.clientId = null;
    player.absence = absence;
    return absence;
  }

  /** @throws {GameError} NO_OPPONENT, GAME_OVER, NOT_YOUR_TURN, ILLEGAL_MOVE */
  move(seat: Seat, column: number): void {
    if (!this.#round) throw new GameError('NO_OPPONENT');
    const refusal = refusalOf(this.#round, seat, column);
    if (refusal) throw new GameError(refusal);
    this.#settle(drop(this.#round, column));
  }

  /** The next round begins once both want it. @throws {GameError} NO_OPPONENT, GAME_RUNNING */
  rematch(seat: Seat): void {
    const opponent = this.#players[otherSeat(seat)];
    if (!opponent) throw new GameError('NO_OPPONENT');
    if (!this.#round?.outcome) throw new GameError('GAME_RUNNING');
    this.#player(seat).wantsRematch = true;
    if (opponent.wantsRematch) this.#begin();
  }

  /** Frees a seat. In the middle of a round that gives the round to the opponent. */
  leave(seat: Seat): void {
    if (this.#round && !this.#round.outcome) this.#settle(forfeit(this.#round, seat));
    this.#players[seat] = null;
  }

  get state(): GameState {
    const { cells, turn, lastCell, outcome } = this.#round ?? newRound(this.#starter);
    const status = this.#round === null ? 'waiting' : outcome ? 'over' : 'playing';
    const players = this.#players.map((player) => player && publicPlayer(player));
    return { gameId: this.id, status, cells, turn, lastCell, outcome, players };
  }

  #begin(): void {
    for (const player of this.#players) if (player) player.wantsRematch = false;
    this.#round = newRound(this.#starter);
    this.#starter = otherSeat(this.#starter);
  }

  #settle(round: Round): void {
    this.#round = round;
    const winner = round.outcome?.winner ?? null;
    if (winner !== null) this.#player(winner).wins++;
  }

  #player(seat: Seat): Player {
    const player = this.#players[seat];
    if (!player) throw new GameError('NOT_A_PLAYER');
    return player;
  }
}

const SEATS = [0, 1] as const;

const publicPlayer = ({ name, wins, clientId, wantsRematch }: Player): PublicPlayer => ({
  name,
  wins,
  isConnected: clientId !== null,
  wantsRematch,
});
