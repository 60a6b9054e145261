import { type CanActivate, type ExecutionContext, ForbiddenException, Injectable } from '@nestjs/common';
import { WebSocketClientManager, WebSocketRoomManager } from '@scpxl/nestjs-websocket';
import type { WebSocket } from 'ws';

/** Lets only members of the room pass that the message names. */
@Injectable()
export class RoomMemberGuard implements CanActivate {
  constructor(
    private readonly clients: WebSocketClientManager,
    private readonly rooms: WebSocketRoomManager,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const clientId = this.clients.getClientId({ ws: context.switchToWs().getClient<WebSocket>() });
    // Guards run before pipes: nothing is known of the data yet.
    const { roomName } = (context.switchToWs().getData<unknown>() ?? {}) as { roomName?: unknown };
    const isMember =
      clientId !== undefined && typeof roomName === 'string' && this.rooms.isClientInRoom({ clientId, roomName });
    if (!isMember) throw new ForbiddenException('You are not in this room. Join it first.');
    return true;
  }
}
