import { Injectable, UseGuards, UsePipes, ValidationPipe } from '@nestjs/common';
import { ConnectedSocket, MessageBody, type OnGatewayDisconnect, type OnGatewayInit } from '@nestjs/websockets';
import {
  ClientId,
  type Disconnection,
  WebSocketServer,
  WebSocketService,
  WsGateway,
  WsRoute,
} from '@scpxl/nestjs-websocket';
import type { WebSocket } from 'ws';
import { CreateGame, JoinGame, Move } from './game.dto.js';
import type { Seated } from './game-table.js';
import { Games } from './games.js';
import { PlayerGuard } from './player.guard.js';

/** The players of one game share one room, which only the server lets in to. */
export const GAME_ROOMS = 'game:';

/** Every change is pushed to both players as `game/state`; replies only say what is for the asker alone. */
@Injectable()
@WsGateway('game')
@UsePipes(new ValidationPipe({ transform: true, whitelist: true, stopAtFirstError: true }))
export class GameGateway implements OnGatewayInit, OnGatewayDisconnect {
  constructor(
    private readonly games: Games,
    private readonly server: WebSocketServer,
    private readonly messages: WebSocketService,
  ) {}

  afterInit(): void {
    this.games.expired.subscribe((gameId) => void this.pushState(gameId));
  }

  @WsRoute('create')
  async create(
    @MessageBody() { name }: CreateGame,
    @ConnectedSocket() ws: WebSocket,
    @ClientId() clientId: string,
  ): Promise<Seated> {
    return this.enter(ws, this.games.create(clientId, name));
  }

  @WsRoute('join')
  async join(
    @MessageBody() { gameId, name, token }: JoinGame,
    @ConnectedSocket() ws: WebSocket,
    @ClientId() clientId: string,
  ): Promise<Seated> {
    const { seated, replaced } = this.games.join(gameId, clientId, name, token);
    if (replaced !== null) this.leaveRoom(replaced, gameId);
    return this.enter(ws, seated);
  }

  @WsRoute('move')
  @UseGuards(PlayerGuard)
  async move(@MessageBody() { column }: Move, @ClientId() clientId: string): Promise<void> {
    this.games.move(clientId, column);
    await this.pushState(this.games.gameOf(clientId));
  }

  @WsRoute('rematch')
  @UseGuards(PlayerGuard)
  async rematch(@ClientId() clientId: string): Promise<void> {
    this.games.rematch(clientId);
    await this.pushState(this.games.gameOf(clientId));
  }

  @WsRoute('leave')
  @UseGuards(PlayerGuard)
  async leave(@ClientId() clientId: string): Promise<void> {
    const gameId = this.games.gameOf(clientId) as string;
    this.games.leave(clientId);
    this.leaveRoom(clientId, gameId);
    await this.pushState(gameId);
  }

  /** Nest's hook; the third parameter is this module's own and says who it was. */
  async handleDisconnect(_ws: WebSocket, _reason?: string, left?: Disconnection): Promise<void> {
    if (!left) return;
    const gameId = this.games.gameOf(left.clientId);
    this.games.away(left.clientId);
    await this.pushState(gameId);
  }

  private async enter(ws: WebSocket, seated: Seated): Promise<Seated> {
    await this.server.joinRoom({ ws, roomName: GAME_ROOMS + seated.gameId });
    await this.pushState(seated.gameId);
    return seated;
  }

  private leaveRoom(clientId: string, gameId: string): void {
    this.server.roomManager.removeClientFromRoom({ clientId, roomName: GAME_ROOMS + gameId });
  }

  private async pushState(gameId: string | undefined): Promise<void> {
    const data = gameId === undefined ? undefined : this.games.state(gameId);
    if (data) await this.messages.sendToRooms([GAME_ROOMS + gameId], { type: 'game', action: 'state', data });
  }
}
