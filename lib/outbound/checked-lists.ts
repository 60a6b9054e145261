import { InvalidMessageError } from '../errors.js';
import type { Audience, SendOptions } from '../protocol/delivery.js';

/**
 * Of a text instead of a list, each character would count as a name: a message would reach nobody, or everybody.
 * @throws {InvalidMessageError}
 */
export function checkLists(audience: Audience, { except }: SendOptions): void {
  if (except !== undefined) checkList('except', except);
  if (audience.kind === 'clients') checkList('clientIds', audience.clientIds);
  else if (audience.kind === 'rooms') checkList('roomNames', audience.roomNames);
  else if (audience.kind === 'users') checkList('userIds', audience.userIds);
}

function checkList(name: string, list: unknown): void {
  if (!Array.isArray(list)) throw new InvalidMessageError(`"${name}" must be an array. Write one id as [id].`);
}
