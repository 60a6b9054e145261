import { Module } from '@nestjs/common';
import { PxlWebSocketModule } from '@scpxl/nestjs-websocket';
import { ChatGateway } from './chat.gateway.js';
import { admit, introduce } from './door.js';
import { history } from './history.js';
import { MessageStore } from './message.store.js';
import { auth, presence } from './people.js';
import { RoomMemberGuard } from './room-member.guard.js';

@Module({
  imports: [
    PxlWebSocketModule.forRoot({
      rooms: { maxPerClient: 30, authorizeJoin: admit, authorizePresence: introduce, history },
      auth,
      presence,
      // A handful of people: nobody has to be spread over seconds when the server restarts.
      drain: { spreadMs: 200, terminateAfterMs: 2_000 },
    }),
  ],
  providers: [ChatGateway, MessageStore, RoomMemberGuard],
})
export class ChatModule {}
