import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { WebSocketClientManager } from '@scpxl/nestjs-websocket';
import type { WebSocket } from 'ws';
import { GameError } from './game-error.js';
import { Games } from './games.js';

/** Lets only a player of the game that a message names act in it. */
@Injectable()
export class PlayerGuard implements CanActivate {
  constructor(
    private readonly games: Games,
    private readonly clients: WebSocketClientManager,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const ws = context.switchToWs().getClient<WebSocket>();
    // Guards run before pipes: nothing has checked this data yet.
    const data = context.switchToWs().getData<{ gameId?: unknown } | null | undefined>();
    const clientId = this.clients.getClientId({ ws });
    if (clientId !== undefined && this.games.isPlayer(data?.gameId, clientId)) return true;
    throw new GameError('NOT_A_PLAYER');
  }
}
