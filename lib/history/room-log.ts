import type { RoomPosition } from '../protocol/message.js';

/** A message in a log. */
export interface LogEntry {
  offset: number;
  /** In ms since 1970, by the store's clock. */
  storedAt: number;
  /** The client's frame as JSON, without its place. */
  frame: string;
  /** The session that published it, if that session doesn't want it back. */
  session: string | undefined;
}

export interface AppendOptions {
  /** Stored and announced with the entry. The client with this session doesn't get it. */
  session?: string | undefined;
  /** One entry for each key in an epoch, however often it is appended. 1–256 characters. */
  key?: string | undefined;
  /** In `last` mode, a version that isn't newer than the kept one changes nothing. */
  version?: number | undefined;
}

export interface Appended extends RoomPosition {
  /** The key or version was there before. Nothing was stored; the place is that of the earlier entry. */
  isDuplicate: boolean;
}

export interface ReadOptions {
  /** Entries after this offset. */
  since?: number | undefined;
  /** Entries before this offset. */
  before?: number | undefined;
  limit: number;
  /** At most this many bytes of frames. */
  maxBytes: number;
  /** Newest first. @default false */
  reverse?: boolean | undefined;
}

export interface LogRead {
  /** Another one than before: the store has lost messages, or the history was cleared. */
  epoch: string;
  /** The newest offset; 0 for an empty epoch. */
  top: number;
  /** The oldest that is kept; `top + 1` if there is none. */
  first: number;
  /** What was asked for, the oldest first. */
  entries: LogEntry[];
  /** True if nothing is missing between the bounds because of its age or a limit. */
  isComplete: boolean;
  /** The store's clock when it answered, in ms since 1970: it tells the age of the entries. */
  now: number;
}

/** How much of a room is kept. See the options of `rooms.history`. */
export interface Retention {
  mode: 'log' | 'last';
  size: number;
  ttlMs: number;
  maxBytes: number;
  keyTtlMs: number;
  metaTtlMs: number;
  /** How long a room without any message is remembered. Each client that may join can create one. */
  emptyTtlMs: number;
}

/**
 * The log of each room with history. There are two stores, in memory and in Redis; an application may bring its own.
 * Every store promises: A place names one message for ever. The offsets of an epoch are 1, 2, 3 …. If an acknowledged
 * message may be lost, a new epoch begins. Messages beyond the limits of size, bytes or age are never read.
 */
export interface RoomLog {
  /**
   * @throws {LogUnavailableError} nothing was stored
   * @throws {UnknownOutcomeError} it may have been stored: append it again with the same key
   * @throws {KeyReusedError} @throws {EntryTooLargeError}
   */
  append(room: string, frame: string, options?: AppendOptions): Promise<Appended>;
  /** @throws {LogUnavailableError} */
  read(room: string, options: ReadOptions): Promise<LogRead>;
  /**
   * The newest place of each room, in the given order. Creates a log for a room without one.
   * @throws {LogUnavailableError}
   */
  top(rooms: readonly string[]): Promise<RoomPosition[]>;
  /**
   * Deletes all messages and begins a new epoch.
   * @returns its first place
   * @throws {LogUnavailableError} @throws {UnknownOutcomeError}
   */
  clear(room: string): Promise<RoomPosition>;
}

/** What a message counts in the limits of a room. */
export const bytesOf = (frame: string, session: string | undefined): number =>
  Buffer.byteLength(frame) + (session?.length ?? 0);

/** Whether these are the messages right after `offset`, none left out. Somebody may have deleted one from the middle. */
export const areNext = (entries: readonly LogEntry[], offset: number): boolean =>
  entries.every((entry, at) => entry.offset === offset + 1 + at);
