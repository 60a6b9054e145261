import type { RoomPosition } from '../protocol/message.js';

/** A publication as it is kept. */
export interface LogEntry {
  offset: number;
  /** When it was stored, by the store's clock: milliseconds since 1970. */
  storedAt: number;
  /** The client frame, JSON, without its place. */
  frame: string;
  /** The session that published it, where it doesn't want it back. */
  session: string | undefined;
}

export interface AppendOptions {
  /** Kept with the entry, and announced with it: whoever has this session isn't sent it. */
  session?: string | undefined;
  /** The same key in the same epoch: one entry, however often it is appended. 1–256 characters. */
  key?: string | undefined;
  /** In `last` mode: what isn't newer than the value that is kept changes nothing. */
  version?: number | undefined;
}

export interface Appended extends RoomPosition {
  /** The key, or the version, was there before: nothing was stored, and the place is the earlier one's. */
  isDuplicate: boolean;
}

export interface ReadOptions {
  /** Entries after this offset. */
  since?: number | undefined;
  /** Entries before this offset. */
  before?: number | undefined;
  limit: number;
  /** Of the frames together. */
  maxBytes: number;
  /** The newest first, and those that fit of the newest. @default false */
  reverse?: boolean | undefined;
}

export interface LogRead {
  epoch: string;
  /** The newest offset; 0 before the first. */
  top: number;
  /** The oldest that is kept; `top + 1` when none is. */
  first: number;
  entries: LogEntry[];
  /** Nothing between the asked bounds is missing: neither aged out, nor left out by a limit. */
  isComplete: boolean;
  /** The store's clock when it answered, for the age of what it gave: milliseconds since 1970. */
  now: number;
}

/** What a room keeps. See the options of `rooms.history`. */
export interface Retention {
  mode: 'log' | 'last';
  size: number;
  ttlMs: number;
  maxBytes: number;
  keyTtlMs: number;
  metaTtlMs: number;
}

/**
 * The log of each room with history. Two stores keep it, in memory and in Redis; an application may give its own.
 *
 * What every store promises: a place names one publication for ever. Offsets of an epoch are 1, 2, 3 …. When anything that was
 * acknowledged may be gone, the epoch is another. What is beyond size, bytes or age is never read.
 */
export interface RoomLog {
  /**
   * @throws {LogUnavailableError} nothing was stored @throws {UnknownOutcomeError} it may have been stored: ask again with the
   *   same key @throws {KeyReusedError} @throws {EntryTooLargeError}
   */
  append(room: string, frame: string, options?: AppendOptions): Promise<Appended>;
  /** @throws {LogUnavailableError} */
  read(room: string, options: ReadOptions): Promise<LogRead>;
  /** The newest place of each room, in the order asked. Makes the log of a room that has none. @throws {LogUnavailableError} */
  top(rooms: readonly string[]): Promise<RoomPosition[]>;
  /** Forgets everything: a new epoch begins. @returns where it begins @throws {LogUnavailableError} @throws {UnknownOutcomeError} */
  clear(room: string): Promise<RoomPosition>;
}
