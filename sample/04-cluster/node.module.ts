import type { IncomingMessage } from 'node:http';
import { Module } from '@nestjs/common';
import { PxlWebSocketModule } from '@scpxl/nestjs-websocket';
import { ChatGateway } from '../01-chat/chat.gateway.js';
import { admit, introduce } from '../01-chat/door.js';
import { MessageStore } from '../01-chat/message.store.js';
import { RoomMemberGuard } from '../01-chat/room-member.guard.js';
import { history } from '../01-chat/history.js';
import { auth, presence } from '../01-chat/people.js';
import { NodeGateway } from './node.gateway.js';
import { RedisMessageStore } from './redis-message.store.js';
import { settings } from './settings.js';

const { redisUrl, prefix } = settings;

/** The chat of sample 01, with `redis`: that is all it takes to be one of many. */
@Module({
  imports: [
    PxlWebSocketModule.forRoot({
      redis: redisUrl,
      prefix,
      rooms: { maxPerClient: 30, authorizeJoin: admit, authorizePresence: introduce, history },
      auth,
      presence,
      origins: isFromThisHost,
      // Long enough to watch them go one after the other.
      drain: { spreadMs: 1_000, terminateAfterMs: 2_500 },
    }),
  ],
  providers: [
    ChatGateway,
    RoomMemberGuard,
    NodeGateway,
    { provide: MessageStore, useFactory: () => new RedisMessageStore(redisUrl, prefix) },
  ],
})
export class NodeModule {}

/** The page of this sample has a port of its own, and its guests come from there. */
function isFromThisHost(origin: string, { headers }: IncomingMessage): boolean {
  return URL.canParse(origin) && new URL(origin).hostname === new URL(`http://${headers.host}`).hostname;
}
