import { Injectable, UseGuards, UsePipes, ValidationPipe } from '@nestjs/common';
import { MessageBody, type OnGatewayDisconnect } from '@nestjs/websockets';
import {
  ClientId,
  ConnectedClient,
  type Disconnection,
  type RoomPosition,
  WebSocketRoomManager,
  WebSocketService,
  WsGateway,
  WsRoute,
} from '@scpxl/nestjs-websocket';
import type { WebSocket } from 'ws';
import { RoomDto, SendDto, TypingDto } from './chat.dto.js';
import { type ChatMessage, MessageStore } from './message.store.js';
import { RoomMemberGuard } from './room-member.guard.js';

/**
 * What the page asks for. Joining and leaving rooms, what was missed, and the list of who is where, are the module's own
 * (`system/joinRoom`, `system/leaveRoom`, `system/clientList`).
 */
@Injectable()
@WsGateway('chat')
@UsePipes(new ValidationPipe({ transform: true, whitelist: true }))
export class ChatGateway implements OnGatewayDisconnect {
  constructor(
    private readonly messages: MessageStore,
    private readonly rooms: WebSocketRoomManager,
    private readonly webSocketService: WebSocketService,
  ) {}

  /** Keeps a message and gives it to everybody in the room, the sender included. The reply is its id and time. */
  @UseGuards(RoomMemberGuard)
  @WsRoute('send')
  async send(
    @MessageBody() { roomName, text, key }: SendDto,
    @ConnectedClient() { clientId, username }: ConnectedClient,
  ): Promise<Pick<ChatMessage, 'id' | 'at'>> {
    const message = await this.messages.add({ roomName, clientId, username: String(username), text, key });
    await this.publish(message);
    return { id: message.id, at: message.at };
  }

  /** What a page shows before it joins the room. The place is read first: what is published meanwhile comes after the join. */
  @WsRoute('load')
  async load(@MessageBody() { roomName }: RoomDto): Promise<{ position: RoomPosition; messages: ChatMessage[] }> {
    const position = await this.webSocketService.position(roomName);
    return { position, messages: await this.messages.latest(roomName) };
  }

  @UseGuards(RoomMemberGuard)
  @WsRoute('typing')
  async typing(
    @MessageBody() { roomName, isTyping }: TypingDto,
    @ConnectedClient() { username }: ConnectedClient,
    @ClientId() clientId: string,
  ): Promise<void> {
    const data = { roomName, clientId, username: String(username), isTyping };
    await this.tell([roomName], 'typing', data, clientId);
  }

  /** Nest's hook; the module adds who it was. Tells the rooms at once, the list of clients follows a moment later. */
  async handleDisconnect(_ws: WebSocket, _reason?: string, left?: Disconnection): Promise<void> {
    if (!left || left.rooms.length === 0) return;
    const { clientId, client, rooms } = left;
    await this.tell(rooms, 'left', { clientId, username: String(client['username']) }, clientId);
  }

  /** The same message is published once, however often it is asked for: a sender whose reply got lost asks again. */
  private async publish(message: ChatMessage): Promise<void> {
    const key = String(message.id);
    await this.webSocketService.publishToRoom(
      message.roomName,
      { type: 'chat', action: 'message', data: message },
      { key },
    );
  }

  /** For those who are there now. What goes to a room is kept, and nobody wants to know later who was typing. */
  private async tell(rooms: string[], action: string, data: object, except: string): Promise<void> {
    const members = new Set(rooms.flatMap((roomName) => this.rooms.getRoomClients({ roomName })));
    members.delete(except);
    await this.webSocketService.sendToClients([...members], { type: 'chat', action, data });
  }
}
