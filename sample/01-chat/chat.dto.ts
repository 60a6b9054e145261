import { Transform } from 'class-transformer';
import { IsBoolean, IsOptional, IsString, Length, Matches } from 'class-validator';
import { ROOM } from './door.js';

export class RoomDto {
  @Matches(ROOM, { message: 'A room name has 1 to 32 characters of a–z, 0–9 and -.' })
  roomName!: string;
}

export class SendDto extends RoomDto {
  @Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? value.trim() : value))
  @IsString({ message: 'A message is text.' })
  @Length(1, 1_000, { message: 'A message has 1 to 1,000 characters.' })
  text!: string;

  /** Chosen by the sender: sending the same key again, because the reply got lost, stores nothing twice. */
  @IsOptional()
  @Matches(/^[\w-]{8,64}$/, { message: 'A key has 8 to 64 letters, digits, - and _.' })
  key?: string;
}

export class TypingDto extends RoomDto {
  @IsBoolean()
  isTyping!: boolean;
}
