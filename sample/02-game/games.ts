import { randomInt } from 'node:crypto';
import { Subject } from 'rxjs';
import type { Seat } from './connect-four.js';
import { GameError } from './game-error.js';
import { type GameState, GameTable, type Seated } from './game-table.js';

export interface GamesOptions {
  /** Milliseconds a player may be away in a game. Alone at the table it is ten times as long: links take time to send. */
  graceMs: number;
  /** Games at once. @default 1_000 */
  maxGames?: number;
}

interface Place {
  table: GameTable;
  seat: Seat;
}

/** All games of this server, who sits where, and for how long a seat is kept for a player who is away. */
export class Games {
  /** Ids of games that changed because time ran out, not because somebody asked. */
  readonly expired = new Subject<string>();
  readonly #options: Required<GamesOptions>;
  readonly #tables = new Map<string, GameTable>();
  readonly #places = new Map<string, Place>();

  constructor(options: GamesOptions) {
    this.#options = { maxGames: 1_000, ...options };
  }

  /** Opens a game and takes its first seat. @throws {GameError} ALREADY_PLAYING, TOO_MANY_GAMES */
  create(clientId: string, name: string): Seated {
    if (this.#places.has(clientId)) throw new GameError('ALREADY_PLAYING');
    if (this.#tables.size >= this.#options.maxGames) throw new GameError('TOO_MANY_GAMES');
    let id = newId();
    while (this.#tables.has(id)) id = newId();
    const table = new GameTable(id);
    this.#tables.set(id, table);
    return this.#seat(clientId, table, table.sit(clientId, name));
  }

  /**
   * Takes the free seat, or with its token the seat held before.
   * @returns the seat, and the connection that lost it to this one
   * @throws {GameError} ALREADY_PLAYING (elsewhere), NO_SUCH_GAME, GAME_FULL
   */
  join(gameId: string, clientId: string, name: string, token?: string): { seated: Seated; replaced: string | null } {
    const place = this.#places.get(clientId);
    if (place?.table.id === gameId) return { seated: place.table.seated(place.seat), replaced: null };
    if (place) throw new GameError('ALREADY_PLAYING');
    const table = this.#tables.get(gameId);
    if (!table) throw new GameError('NO_SUCH_GAME');
    const held = token === undefined ? undefined : table.seatOfToken(token);
    if (held === undefined) return { seated: this.#seat(clientId, table, table.sit(clientId, name)), replaced: null };
    const replaced = table.reclaim(held, clientId);
    if (replaced !== null) this.#places.delete(replaced);
    return { seated: this.#seat(clientId, table, held), replaced };
  }

  gameOf(clientId: string): string | undefined {
    return this.#places.get(clientId)?.table.id;
  }

  isPlayer(gameId: unknown, clientId: string): boolean {
    return gameId !== undefined && this.gameOf(clientId) === gameId;
  }

  /** Undefined once both players have left. */
  state(gameId: string): GameState | undefined {
    return this.#tables.get(gameId)?.state;
  }

  /** @throws {GameError} */
  move(clientId: string, column: number): void {
    const { table, seat } = this.#place(clientId);
    table.move(seat, column);
  }

  /** @throws {GameError} */
  rematch(clientId: string): void {
    const { table, seat } = this.#place(clientId);
    table.rematch(seat);
  }

  /** @throws {GameError} NOT_A_PLAYER */
  leave(clientId: string): void {
    const place = this.#place(clientId);
    this.#places.delete(clientId);
    this.#free(place);
  }

  /** The connection is lost. The seat is kept for a while; whoever isn't back by then has left. */
  away(clientId: string): void {
    const place = this.#places.get(clientId);
    if (!place) return;
    this.#places.delete(clientId);
    const { table, seat } = place;
    const absence = table.away(seat);
    const graceMs = table.hasBegun ? this.#options.graceMs : this.#options.graceMs * 10;
    setTimeout(() => {
      if (table.seatOfAbsence(absence) === undefined) return;
      this.#free(place);
      this.expired.next(table.id);
    }, graceMs).unref();
  }

  #seat(clientId: string, table: GameTable, seat: Seat): Seated {
    this.#places.set(clientId, { table, seat });
    return table.seated(seat);
  }

  #free({ table, seat }: Place): void {
    table.leave(seat);
    if (table.isEmpty) this.#tables.delete(table.id);
  }

  #place(clientId: string): Place {
    const place = this.#places.get(clientId);
    if (!place) throw new GameError('NOT_A_PLAYER');
    return place;
  }
}

/** Without the characters that are taken for others. The id is the invitation, so it must not be guessed. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';

const newId = (): string => Array.from({ length: 8 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
