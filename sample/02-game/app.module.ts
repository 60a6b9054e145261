import { Module } from '@nestjs/common';
import { PxlWebSocketModule } from '@scpxl/nestjs-websocket';
import { GAME_ROOMS, GameGateway } from './game.gateway.js';
import { Games } from './games.js';
import { PlayerGuard } from './player.guard.js';

@Module({
  imports: [
    PxlWebSocketModule.forRoot({
      path: '/ws',
      // Nobody gets into a game by asking for its room: the gateway lets players in.
      rooms: { protectedPrefixes: ['private:', 'user:', 'system:', GAME_ROOMS] },
      clientList: false,
    }),
  ],
  providers: [
    GameGateway,
    PlayerGuard,
    { provide: Games, useFactory: () => new Games({ graceMs: Number(process.env['GAME_GRACE_MS'] ?? 60_000) }) },
  ],
})
export class AppModule {}
