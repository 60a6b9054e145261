import { Transform } from 'class-transformer';
import { IsInt, IsOptional, IsString, Length, Matches, Max, Min } from 'class-validator';
import { COLUMNS } from './connect-four.js';

/** Nothing that breaks the line or turns the text around it. */
const NAME = /^[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+$/u;
const RULE = { message: 'A name has 1 to 24 characters on one line.' };

export class CreateGame {
  /** As the opponent sees it; spaces around it don't count. */
  @Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? value.trim() : value))
  @IsString(RULE)
  @Length(1, 24, RULE)
  @Matches(NAME, RULE)
  name!: string;
}

export class JoinGame extends CreateGame {
  @Matches(/^[a-z0-9]{1,16}$/, { message: 'This link leads to no game.' })
  gameId!: string;

  /** From an earlier `create` or `join`: gives the same seat back. */
  @IsOptional()
  @IsString()
  @Length(1, 64)
  token?: string;
}

export class Move {
  /** Counted from the left, from 0. */
  @IsInt()
  @Min(0)
  @Max(COLUMNS - 1)
  column!: number;
}
