import { NotSerializableError } from '../errors.js';
import { encode } from '../json-value.js';
import { isRoomName, isUserId } from '../protocol/names.js';
import { isWellFormed } from '../protocol/text.js';
import type { WebSocketUser } from '../protocol/message.js';
import type { ClientRecord } from './client-record.js';

/** Nothing that enters here is nested this deep, and `JSON.stringify()` has enough stack for it. */
const MAX_BUS_DEPTH = 1_000;
/**
 * A node that makes 100,000 changes a second needs 89 years to get there. Far larger numbers can't be counted up by
 * one.
 */
const MAX_VERSION = 2 ** 48;

type Fields = Record<string, unknown>;

/** Input from the bus or from Redis that isn't ours. It is counted and dropped. */
export class JunkError extends Error {
  override readonly name = 'JunkError';
}

/**
 * Reads JSON from Redis. All of it goes through here, so whatever is read can be written again.
 * @returns undefined for anything that isn't JSON, is nested deeper than `MAX_BUS_DEPTH` or has a key `__proto__`
 */
export function readJson(payload: Buffer | string): unknown {
  try {
    const text = payload.toString();
    const value: unknown = JSON.parse(text);
    return isPlain(text) || isHarmless(value, MAX_BUS_DEPTH) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Reads JSON of another program. An integer that JavaScript would round becomes a text, so that it keeps its value. */
export function readPlainJson(payload: Buffer): unknown {
  const text = payload.toString();
  const value = readJson(text);
  // Only of JSON: in a text without an end, the search would begin again at each quote.
  return value !== undefined && /\d{16}/.test(text) ? readJson(text.replace(TEXT_OR_NUMBER, exactly)) : value;
}

const TEXT_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

function exactly(token: string): string {
  if (!/^-?\d{16,}$/.test(token)) return token;
  const number = Number(token);
  const isExact = Number.isSafeInteger(number) || (Number.isFinite(number) && BigInt(number) === BigInt(token));
  return isExact ? token : `"${token}"`;
}

/** An event of our own. Its publisher's number, if it has one, shows what is missing. */
export interface NumberedEvent {
  readonly name: string;
  readonly message: unknown;
  readonly mark: EventMark | undefined;
}

/** The first id of the node or emitter that raised it, and its number on the channel. */
export interface EventMark {
  readonly origin: string;
  readonly sequence: number;
}

/** Reads an event of our own: `[name, message]` or `[name, message, origin, sequence]`. */
export function readEvent(payload: Buffer): NumberedEvent | undefined {
  const value = readJson(payload);
  if (!Array.isArray(value)) return undefined;
  const [name, message, origin, sequence] = value as unknown[];
  if (!isText(name)) return undefined;
  if (value.length === 2) return { name, message, mark: undefined };
  if (value.length !== 4 || !isText(origin) || !Number.isSafeInteger(sequence)) return undefined;
  return { name, message, mark: { origin, sequence: sequence as number } };
}

/** The end of a numbered event. No other event ends with a number in its outer list. */
const MARK = /,"([^"]*)",\d+\]$/;
const MARK_BYTES = 300;

/** Who raised a numbered event, read without the rest of it. Undefined for other events. */
export const originOf = (payload: Buffer): string | undefined =>
  MARK.exec(payload.toString('latin1', Math.max(0, payload.length - MARK_BYTES)))?.[1];

/**
 * Checks an event's content before it is raised: other nodes would drop it, so this node doesn't raise it, either.
 * @throws {NotSerializableError}
 */
export function checkEvent(message: unknown): void {
  encode(message, 'data');
  if (!isHarmless(message, MAX_BUS_DEPTH - 1)) throw unreadable();
}

/** Writes JSON that `readJson()` takes. @throws {NotSerializableError} and whatever `JSON.stringify()` throws */
export function writeReadable(value: unknown): string {
  const text = JSON.stringify(value);
  if (!isPlain(text) && !isHarmless(JSON.parse(text), MAX_BUS_DEPTH)) throw unreadable();
  return text;
}

const unreadable = (): NotSerializableError =>
  new NotSerializableError(
    'data',
    `is nested in ${MAX_BUS_DEPTH} levels or has a key "__proto__": every node would refuse it.`,
  );

/** @param message JSON */
export function writeEvent(name: string, message: string, mark?: EventMark): string {
  const end = mark ? `,${JSON.stringify(mark.origin)},${mark.sequence}` : '';
  return `[${JSON.stringify(name)},${message}${end}]`;
}

/** Reads the number of a node's change. @returns NaN for anything that can't be one */
export function readVersion(value: unknown): number {
  const version = typeof value === 'string' ? Number(value) : value;
  return Number.isSafeInteger(version) && (version as number) >= 0 && (version as number) < MAX_VERSION
    ? (version as number)
    : Number.NaN;
}

/**
 * Reads what a node writes about a client.
 * @param clientId the key of the record; a record that names another client is invalid
 * @returns undefined for anything that isn't a whole record
 */
export function readRecord(value: unknown, clientId: string): ClientRecord | undefined {
  if (!isObject(value) || value['clientId'] !== clientId || !isText(clientId)) return undefined;
  const { user = null, metadata = {}, rooms, lastActivity = 0 } = value;
  if (!Array.isArray(rooms) || !isObject(metadata) || !Number.isFinite(lastActivity)) return undefined;
  if (user !== null && !isUser(user)) return undefined;
  // A newer node may allow other room names. Its client is kept, without those rooms.
  return { clientId, user, metadata, rooms: rooms.filter(isRoomName), lastActivity: lastActivity as number };
}

export const readUser = (value: unknown): WebSocketUser | undefined => (isUser(value) ? value : undefined);

export const isText = (value: unknown): value is string => typeof value === 'string' && isWellFormed(value);

export const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isUser = (value: unknown): value is WebSocketUser =>
  isObject(value) && isUserId(value['userId']) && isObject(value['payload'] ?? {});

/** True for most texts: too short to be nested too deeply, and without any such key, also in escapes. */
const isPlain = (text: string): boolean =>
  text.length < 2 * MAX_BUS_DEPTH && !text.includes('\\') && !text.includes('__proto__');

function isHarmless(value: unknown, depthLeft: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depthLeft === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isHarmless(item, depthLeft - 1));
  for (const key in value) {
    if (key === '__proto__' || !isHarmless((value as Fields)[key], depthLeft - 1)) return false;
  }
  return true;
}
