import { NotSerializableError } from '../errors.js';
import { encode } from '../json-value.js';
import { NoJsonFormError } from '../protocol/json-form.js';
import { isRoomName, isUserId } from '../protocol/names.js';
import { isWellFormed } from '../protocol/text.js';
import type { WebSocketUser } from '../protocol/message.js';
import type { ClientRecord } from './client-record.js';

/** Deeper than any value that enters here, and far from where writing JSON runs out of stack. */
const MAX_BUS_DEPTH = 1_000;
/** A node that makes 100,000 changes a second gets there in 89 years; above it no number is one more than another. */
const MAX_VERSION = 2 ** 48;

type Fields = Record<string, unknown>;

/** What came over the bus, or lies in Redis, and is none of ours. It is counted and dropped. */
export class JunkError extends Error {
  override readonly name = 'JunkError';
}

/**
 * The one entry for JSON from Redis: all that is read afterwards is no deeper than can be written again.
 * @returns undefined for what isn't JSON, is nested deeper than `MAX_BUS_DEPTH` or has a key `__proto__`
 */
export function readJson(payload: Buffer | string): unknown {
  try {
    const value: unknown = JSON.parse(payload.toString());
    return isHarmless(value, MAX_BUS_DEPTH) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** An event of our own: `[name, message]`. */
export function readEvent(payload: Buffer): { name: string; message: unknown } | undefined {
  const value = readJson(payload);
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [name, message] = value as unknown[];
  return isText(name) ? { name, message } : undefined;
}

/**
 * Checks an event's content before anything is raised, and whoever listens: other nodes would drop it.
 * @throws {NotSerializableError}
 */
export function checkEvent(message: unknown): void {
  encode(message, 'data');
  if (!isHarmless(message, MAX_BUS_DEPTH - 1))
    throw new NotSerializableError(
      new NoJsonFormError(
        'data',
        `is nested in ${MAX_BUS_DEPTH} levels or has a key "__proto__": no node would take it.`,
      ),
    );
}

export const writeEvent = (name: string, message: string): string => `[${JSON.stringify(name)},${message}]`;

/** The number of a node's change; NaN for what can't be one. */
export function readVersion(value: unknown): number {
  const version = typeof value === 'string' ? Number(value) : value;
  return Number.isSafeInteger(version) && (version as number) >= 0 && (version as number) < MAX_VERSION
    ? (version as number)
    : Number.NaN;
}

/**
 * What a node says of a client.
 * @param clientId the key that the record stands under: one that names another client is no record of it
 * @returns undefined for anything that isn't a whole record
 */
export function readRecord(value: unknown, clientId: string): ClientRecord | undefined {
  if (!isObject(value) || value['clientId'] !== clientId || !isText(clientId)) return undefined;
  const { user = null, metadata = {}, rooms, lastActivity = 0 } = value;
  if (!Array.isArray(rooms) || !isObject(metadata) || !Number.isFinite(lastActivity)) return undefined;
  if (user !== null && !isUser(user)) return undefined;
  // A newer node may allow names that this one doesn't: the client is there all the same.
  return { clientId, user, metadata, rooms: rooms.filter(isRoomName), lastActivity: lastActivity as number };
}

export const readUser = (value: unknown): WebSocketUser | undefined => (isUser(value) ? value : undefined);

export const isText = (value: unknown): value is string => typeof value === 'string' && isWellFormed(value);

export const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isUser = (value: unknown): value is WebSocketUser =>
  isObject(value) && isUserId(value['userId']) && isObject(value['payload'] ?? {});

function isHarmless(value: unknown, depthLeft: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depthLeft === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isHarmless(item, depthLeft - 1));
  for (const key in value) {
    if (key === '__proto__' || !isHarmless((value as Fields)[key], depthLeft - 1)) return false;
  }
  return true;
}
