import { isWellFormed } from './text.js';

const ROUTE_NAME = /^[A-Za-z0-9_.-]{1,64}$/;
const ROOM_NAME = /^[A-Za-z0-9:_.@/-]{1,128}$/;

/** Types that belong to the protocol itself and can't be used in `@WsRoute()`. */
export const RESERVED_TYPES: ReadonlySet<string> = new Set(['system', 'error']);

/** True for a legal `type` or `action`. Only strings match. */
export const isRouteName = (value: unknown): value is string => typeof value === 'string' && ROUTE_NAME.test(value);

/** True for a legal room name: 1–128 bytes of `[A-Za-z0-9:_.@/-]`. */
export const isRoomName = (value: unknown): value is string => typeof value === 'string' && ROOM_NAME.test(value);

/** True for a legal user id: a text of whole characters that isn't empty, or a finite number. */
export const isUserId = (value: unknown): value is string | number =>
  typeof value === 'string' ? value !== '' && isWellFormed(value) : Number.isFinite(value);

/** True for a legal request id: a string of 1–64 characters or a safe integer. */
export const isRequestId = (value: unknown): value is string | number =>
  typeof value === 'string' ? value.length >= 1 && value.length <= 64 : Number.isSafeInteger(value);
