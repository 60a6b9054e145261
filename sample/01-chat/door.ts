import { BadRequestException } from '@nestjs/common';

/** One to 32 characters that can be seen: nothing that hides, turns the text around or breaks the line. */
const NAME = /^[^\p{Cc}\p{Cf}\p{Co}\p{Z}](?:[^\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]{0,30}[^\p{Cc}\p{Cf}\p{Co}\p{Z}])?$/u;
/** Narrower than the module's rule: no "private:" and the like, so that every room of this chat is a public one. */
export const ROOM = /^[a-z0-9][a-z0-9-]{0,31}$/;

/**
 * The module's `rooms.authorizeJoin`. There are no accounts here: a name is what people say of themselves. A bad one is
 * refused rather than changed, so that all see the name that was typed.
 */
export function admit({ roomName, data }: { roomName: string; data: unknown }): boolean {
  const flaws = [
    ...(ROOM.test(roomName) ? [] : ['A room name has 1 to 32 characters of a–z, 0–9 and -.']),
    ...(isName((data as { username?: unknown } | null)?.username) ? [] : [BAD_NAME]),
  ];
  if (flaws.length > 0) throw new BadRequestException(flaws);
  return true;
}

/** The module's `rooms.authorizePresence`: what others see of a person is its name, and nothing else. */
export function introduce({ data }: { data: unknown }): boolean {
  const { name, ...more } = (data ?? {}) as { name?: unknown };
  if (!isName(name)) throw new BadRequestException([BAD_NAME]);
  return Object.keys(more).length === 0;
}

const BAD_NAME = 'A name has 1 to 32 visible characters.';
const isName = (text: unknown): boolean => typeof text === 'string' && NAME.test(text);
