import { Logger, Module } from '@nestjs/common';
import { ConnectionError, PxlWebSocketModule } from '@scpxl/nestjs-websocket';
import { ChatBot } from './chat-bot.js';
import { settings } from './settings.js';

const logger = new Logger('Chat');
const { url, roomName, username } = settings;
/** While the chat is away, one line is enough: attempts fail until it is back. */
let isAway = false;

@Module({
  imports: [
    PxlWebSocketModule.forClient({
      name: 'chat',
      url,
      reconnect: { minDelayMs: 200, maxDelayMs: 10_000 },
      events: {
        // After a reconnect the client has joined its rooms again by itself; joining once more changes nothing.
        onConnected: ({ clientId, joinRoom }) => {
          isAway = false;
          logger.log(`Connected to ${url} as ${clientId}.`);
          joinRoom({ roomName, username });
        },
        onDisconnected: ({ code, willReconnect }) =>
          logger.log(`Disconnected (${code})${willReconnect ? ', coming back' : ''}.`),
        onError: ({ error }) => {
          if (error instanceof ConnectionError && isAway) return;
          isAway = error instanceof ConnectionError;
          logger.warn(error.message);
        },
      },
    }),
  ],
  providers: [ChatBot],
})
export class AppModule {}
