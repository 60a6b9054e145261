import { isWellFormed } from './text.js';

const ROUTE_NAME = /^[A-Za-z0-9_.-]{1,64}$/;
// Independent of the Unicode version, which differs between browsers and servers. Two of the invisible characters
// belong to words and to emoji (U+200C, U+200D). Braces would choose the slot of a channel in a Redis Cluster.
const ROOM_NAME = /^(?:[^{}\p{Cc}\p{Cs}\p{Cf}\p{Zl}\p{Zp}\p{NChar}]|\p{Join_C}){1,128}$/u;

/** Types that belong to the protocol itself and can't be used in `@WsRoute()`. */
export const RESERVED_TYPES: ReadonlySet<string> = new Set(['system', 'error']);

export const NAME_RULE = 'must be 1–64 characters of A–Z a–z 0–9 _ . -';

/** True for a legal `type` or `action`. Only strings match. */
export const isRouteName = (value: unknown): value is string => typeof value === 'string' && ROUTE_NAME.test(value);

/**
 * True for a legal room name: 1–128 printable characters, no `{` or `}`, no space at its ends. Names are compared as they are,
 * without normalisation.
 */
export const isRoomName = (value: unknown): value is string =>
  typeof value === 'string' && value.trim() === value && ROOM_NAME.test(value);

/** True for a legal user id: a string that isn't empty and has no lone surrogate, or a finite number. */
export const isUserId = (value: unknown): value is string | number =>
  typeof value === 'string' ? value !== '' && isWellFormed(value) : Number.isFinite(value);

/** True for a legal key of a message that may be sent again: a string of 1–128 characters, without a lone surrogate. */
export const isKey = (value: unknown): value is string =>
  typeof value === 'string' && value.length >= 1 && value.length <= 128 && isWellFormed(value);

/** @returns what is wrong with the fields of a message that may be sent again. Ignored, they would protect nobody */
export function flawOfTry({
  key,
  sentMsAgo,
  round,
}: Record<'key' | 'sentMsAgo' | 'round', unknown>): string | undefined {
  if (key !== undefined && !isKey(key)) return '"key" must be a string of 1–128 characters.';
  if (sentMsAgo !== undefined && !(typeof sentMsAgo === 'number' && sentMsAgo >= 0))
    return '"sentMsAgo" must be a number, and not below 0.';
  return round === undefined || typeof round === 'number' ? undefined : '"round" must be a number.';
}

/** True for a legal request id: a string of 1–64 characters or a safe integer. */
export const isRequestId = (value: unknown): value is string | number =>
  typeof value === 'string' ? value.length >= 1 && value.length <= 64 : Number.isSafeInteger(value);
