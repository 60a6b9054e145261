import { Injectable, Logger, UsePipes, ValidationPipe } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { InjectWebSocketClient, WebSocketClient, WsRoute } from '@scpxl/nestjs-websocket';
import { answerTo } from './answers.js';
import { ChatMessage } from './chat-message.dto.js';

/** A guest of sample 01-chat that answers. What it hears goes through Nest's pipeline, as on a server. */
@Injectable()
@UsePipes(new ValidationPipe({ transform: true, whitelist: true }))
export class ChatBot {
  readonly #logger = new Logger(ChatBot.name);

  constructor(@InjectWebSocketClient('chat') private readonly chat: WebSocketClient) {}

  @WsRoute('chat', 'message', { client: 'chat' })
  async heard(@MessageBody() message: ChatMessage): Promise<void> {
    if (message.clientId === this.chat.clientId) return;
    const text = answerTo(message, { now: () => new Date(), random: Math.random });
    if (text !== undefined) await this.say(message.roomName, text);
  }

  /** An answer that can't be sent, because the chat is gone or refuses it, is not worth more than a line. */
  private async say(roomName: string, text: string): Promise<void> {
    try {
      await this.chat.request('chat', 'send', { roomName, text });
    } catch (error) {
      this.#logger.warn(`An answer was not sent: ${(error as Error).message}`);
    }
  }
}
