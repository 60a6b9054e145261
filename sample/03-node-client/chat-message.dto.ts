import { IsString } from 'class-validator';

/** The push `chat/message` of sample 01-chat, as far as the bot reads it. */
export class ChatMessage {
  @IsString()
  roomName!: string;

  @IsString()
  clientId!: string;

  @IsString()
  username!: string;

  @IsString()
  text!: string;
}
