import { WsException } from '@nestjs/websockets';
import type { MoveRefusal } from './connect-four.js';

export type GameErrorCode =
  | MoveRefusal
  | 'ALREADY_PLAYING'
  | 'NO_SUCH_GAME'
  | 'GAME_FULL'
  | 'TOO_MANY_GAMES'
  | 'NOT_A_PLAYER'
  | 'NO_OPPONENT'
  | 'GAME_RUNNING';

const SENTENCES: Record<GameErrorCode, string> = {
  ALREADY_PLAYING: 'You already play in a game. Leave it first.',
  NO_SUCH_GAME: 'There is no such game any more.',
  GAME_FULL: 'This game already has two players.',
  TOO_MANY_GAMES: 'Too many games are going on. Try again later.',
  NOT_A_PLAYER: "You don't play in this game.",
  NO_OPPONENT: 'Wait for an opponent first.',
  GAME_RUNNING: 'This round is still going on.',
  GAME_OVER: 'This round is over.',
  NOT_YOUR_TURN: "It isn't your turn.",
  ILLEGAL_MOVE: 'No disc fits into this column.',
};

/** What a player is told: the reply is an error frame with this code and sentence. */
export class GameError extends WsException {
  constructor(readonly code: GameErrorCode) {
    super({ code, message: SENTENCES[code] });
  }
}
