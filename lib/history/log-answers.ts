import { InvalidOptionsError } from '../errors.js';
import type { LogRead } from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';

/** It goes through announcements and clients as it is. */
const EPOCH = /^\S{1,64}$/;

/**
 * A database may return its numbers as texts. Nobody would see it before clients miss messages.
 * @throws {InvalidOptionsError} for what is no place
 */
export function checkPlace<T extends RoomPosition>(place: T, method: string): T {
  const { epoch, offset } = Object(place) as Partial<RoomPosition>;
  if (typeof epoch === 'string' && EPOCH.test(epoch) && isOffset(offset)) return place;
  throw new InvalidOptionsError([
    `${method}() of "rooms.log" returned no place. It must be { epoch, offset }: a text of 1–64 characters without spaces, and a ` +
      'whole number',
  ]);
}

/** @throws {InvalidOptionsError} for what can't be the answer to `read()` */
export function checkRead(read: LogRead): LogRead {
  const { epoch, top, first, entries, now } = Object(read) as Partial<LogRead>;
  checkPlace({ epoch, offset: top } as RoomPosition, 'read');
  if (isOffset(first) && Number.isFinite(now) && Array.isArray(entries) && entries.every(isEntry)) return read;
  throw new InvalidOptionsError([
    'read() of "rooms.log" returned something other than { epoch, top, first, entries, isComplete, now }, with numbers for places ' +
      'and times',
  ]);
}

const isOffset = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

const isEntry = ({ offset, storedAt, frame }: LogRead['entries'][number]): boolean =>
  isOffset(offset) && Number.isFinite(storedAt) && typeof frame === 'string';
