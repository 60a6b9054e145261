import { Injectable, Module } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { PxlWebSocketModule, type RoomPosition, WebSocketService, WsRoute } from '@scpxl/nestjs-websocket';

@Injectable()
class Talk {
  constructor(private readonly service: WebSocketService) {}

  /** Once for each key: a text that is sent again after a lost connection is said once. */
  @WsRoute('talk', 'say', { idempotent: true })
  say(@MessageBody('text') text: string): Promise<RoomPosition> {
    return this.service.publishToRoom('talk', { type: 'talk', action: 'said', data: { text } });
  }
}

@Module({
  imports: [
    PxlWebSocketModule.forRoot({
      rooms: { history: [{ match: 'talk', size: 50 }] },
      presence: [{ match: 'talk', graceMs: 2_000 }],
    }),
  ],
  providers: [Talk],
})
export class TalkModule {}
