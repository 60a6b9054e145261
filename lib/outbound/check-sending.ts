import { InvalidMessageError } from '../errors.js';
import { type Audience, MAX_EXCEPT_BYTES, type SendOptions } from '../protocol/delivery.js';
import { isKey } from '../protocol/names.js';

/** What a character takes in JSON, at most: an escape such as `\u0007`. */
const CHARACTER_BYTES = 6;
/** Quotes and a comma. */
const NAME_BYTES = 3;

/**
 * Refuses what other nodes would refuse. Of a text instead of a list, each character would count as a name: a message would
 * reach nobody, or everybody.
 * @throws {InvalidMessageError}
 */
export function checkSending(audience: Audience, { except, conflateKey }: SendOptions): void {
  if (except !== undefined) checkExcept(except);
  if (audience.kind === 'clients') checkList('clientIds', audience.clientIds);
  else if (audience.kind === 'rooms') checkList('roomNames', audience.roomNames);
  else if (audience.kind === 'users') checkList('userIds', audience.userIds);
  if (conflateKey !== undefined && !isKey(conflateKey))
    throw new InvalidMessageError('"conflateKey" must be a string of 1–128 characters.');
}

function checkExcept(except: readonly unknown[]): void {
  checkList('except', except);
  let most = 0;
  for (const clientId of except) most += CHARACTER_BYTES * String(clientId).length + NAME_BYTES;
  if (most > MAX_EXCEPT_BYTES && Buffer.byteLength(JSON.stringify(except)) > MAX_EXCEPT_BYTES)
    throw new InvalidMessageError(
      `"except" has ${except.length} ids, which are more than ${MAX_EXCEPT_BYTES / 1_048_576} MiB. ` +
        'Put the clients that should get the message into a room, and send to the room.',
    );
}

function checkList(name: string, list: unknown): void {
  if (!Array.isArray(list)) throw new InvalidMessageError(`"${name}" must be an array. Write one id as [id].`);
}
