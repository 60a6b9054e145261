import { Injectable, UseGuards, UsePipes, ValidationPipe } from '@nestjs/common';
import { MessageBody, type OnGatewayDisconnect } from '@nestjs/websockets';
import {
  ClientId,
  ConnectedClient,
  type Disconnection,
  WebSocketService,
  WsGateway,
  WsRoute,
} from '@scpxl/nestjs-websocket';
import type { WebSocket } from 'ws';
import { RoomDto, SendDto, TypingDto } from './chat.dto.js';
import { type ChatMessage, MessageStore } from './message.store.js';
import { RoomMemberGuard } from './room-member.guard.js';

/**
 * What the page asks for. Joining and leaving rooms, and the list of who is where, are the module's own
 * (`system/joinRoom`, `system/leaveRoom`, `system/clientList`).
 */
@Injectable()
@WsGateway('chat')
@UseGuards(RoomMemberGuard)
@UsePipes(new ValidationPipe({ transform: true, whitelist: true }))
export class ChatGateway implements OnGatewayDisconnect {
  constructor(
    private readonly messages: MessageStore,
    private readonly webSocketService: WebSocketService,
  ) {}

  /** Keeps a message and gives it to everybody in the room, the sender included. The reply is its id and time. */
  @WsRoute('send')
  async send(
    @MessageBody() { roomName, text, key }: SendDto,
    @ConnectedClient() { clientId, username }: ConnectedClient,
  ): Promise<Pick<ChatMessage, 'id' | 'at'>> {
    const { message, isNew } = await this.messages.add({ roomName, clientId, username: String(username), text, key });
    if (isNew) await this.webSocketService.sendToRooms([roomName], { type: 'chat', action: 'message', data: message });
    return { id: message.id, at: message.at };
  }

  /** The last messages of a room, the oldest first. */
  @WsRoute('history')
  history(@MessageBody() { roomName }: RoomDto): Promise<ChatMessage[]> {
    return this.messages.latest(roomName);
  }

  @WsRoute('typing')
  async typing(
    @MessageBody() { roomName, isTyping }: TypingDto,
    @ConnectedClient() { username }: ConnectedClient,
    @ClientId() clientId: string,
  ): Promise<void> {
    const data = { roomName, clientId, username: String(username), isTyping };
    await this.webSocketService.sendToRooms(
      [roomName],
      { type: 'chat', action: 'typing', data },
      { except: [clientId] },
    );
  }

  /** Nest's hook; the module adds who it was. Tells the rooms at once, the list of clients follows a moment later. */
  async handleDisconnect(_ws: WebSocket, _reason?: string, left?: Disconnection): Promise<void> {
    if (!left || left.rooms.length === 0) return;
    const { clientId, client, rooms } = left;
    const data = { clientId, username: String(client['username']) };
    await this.webSocketService.sendToRooms(rooms, { type: 'chat', action: 'left', data });
  }
}
