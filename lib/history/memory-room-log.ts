import type { Announcement } from './announcement.js';
import { digestOf } from '../digest.js';
import { EntryTooLargeError, KeyReusedError } from './log-errors.js';
import {
  bytesOf,
  type Appended,
  type AppendOptions,
  type LogEntry,
  type LogRead,
  type ReadOptions,
  type Retention,
  type RoomLog,
} from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';

export interface MemoryRoomLogParts {
  /** @throws for a room without history */
  retentionOf(room: string): Retention;
  newEpoch(): string;
  /** Called for everything that is stored or deleted, in order. */
  announce(room: string, said: Announcement): void;
  /** A monotonic clock, in ms. */
  now(): number;
  /** The time of day, for the entries. */
  wallMs(): number;
}

interface Kept extends LogEntry {
  bytes: number;
  /** When it was stored, by the monotonic clock. */
  at: number;
}

interface Log {
  epoch: string;
  top: number;
  entries: Kept[];
  bytes: number;
  version: number | undefined;
  /** The places of keys, oldest first. */
  keys: Map<string, { offset: number; digest: string; until: number }>;
  usedAt: number;
}

/** How many keys of a room are remembered. The oldest are forgotten first. */
const MAX_KEYS = 10_000;

/** The log of a process without Redis. It promises the same until the process ends; each start begins new epochs. */
export class MemoryRoomLog implements RoomLog {
  readonly #logs = new Map<string, Log>();

  constructor(private readonly parts: MemoryRoomLogParts) {}

  /** How many rooms it knows. */
  get size(): number {
    return this.#logs.size;
  }

  async append(room: string, frame: string, { key, version, session }: AppendOptions = {}): Promise<Appended> {
    const retention = this.parts.retentionOf(room);
    const bytes = bytesOf(frame, session);
    if (bytes > retention.maxBytes) throw new EntryTooLargeError(bytes, retention.maxBytes);
    const log = this.#use(room);
    const now = this.parts.now();
    const digest = key === undefined ? '' : digestOf(frame);
    const known = key === undefined ? undefined : log.keys.get(key);
    if (known && known.until > now) {
      if (known.digest !== digest) throw new KeyReusedError(key as string);
      return { epoch: log.epoch, offset: known.offset, isDuplicate: true };
    }
    const isLast = retention.mode === 'last';
    if (isLast && version !== undefined && log.version !== undefined && version <= log.version)
      return { epoch: log.epoch, offset: log.top, isDuplicate: true };
    const offset = ++log.top;
    const storedAt = this.parts.wallMs();
    if (isLast) [log.entries, log.bytes] = [[], 0];
    log.entries.push({ offset, storedAt, frame, session, bytes, at: now });
    log.bytes += bytes;
    log.version = version;
    trim(log, retention, now);
    if (key !== undefined) {
      log.keys.delete(key);
      log.keys.set(key, { offset, digest, until: now + retention.keyTtlMs });
      if (log.keys.size > MAX_KEYS) log.keys.delete(log.keys.keys().next().value as string);
    }
    this.parts.announce(room, { kind: 'stored', epoch: log.epoch, offset, storedAt, session, frame });
    return { epoch: log.epoch, offset, isDuplicate: false };
  }

  async read(room: string, { since, before, limit, maxBytes, reverse = false }: ReadOptions): Promise<LogRead> {
    const retention = this.parts.retentionOf(room);
    const log = this.#use(room);
    trim(log, retention, this.parts.now());
    const first = log.entries[0]?.offset ?? log.top + 1;
    const low = retention.mode === 'last' || since === undefined ? first : since + 1;
    const high = before === undefined ? log.top : before - 1;
    const within = log.entries.filter(({ offset }) => offset > (since ?? 0) && offset <= high);
    const taken: LogEntry[] = [];
    let left = maxBytes;
    for (const { offset, storedAt, frame, session, bytes } of reverse ? within.toReversed() : within) {
      if (taken.length >= limit || (taken.length > 0 && bytes > left)) break;
      left -= bytes;
      taken.push({ offset, storedAt, frame, session });
    }
    const isComplete = taken.length === within.length && (low > high || low >= first);
    return { epoch: log.epoch, top: log.top, first, entries: taken, isComplete, now: this.parts.wallMs() };
  }

  async top(rooms: readonly string[]): Promise<RoomPosition[]> {
    return rooms.map((room) => {
      const { epoch, top } = this.#use(room);
      return { epoch, offset: top };
    });
  }

  async clear(room: string): Promise<RoomPosition> {
    this.#logs.delete(room);
    const { epoch } = this.#use(room);
    this.parts.announce(room, { kind: 'cleared', epoch });
    return { epoch, offset: 0 };
  }

  /**
   * Deletes what is too old in all rooms, to free memory: reads leave it out anyway. Its owner calls it now and then.
   */
  sweep(): void {
    for (const [room, log] of this.#logs) {
      if (this.#isForgotten(room, log)) this.#logs.delete(room);
      else trim(log, this.parts.retentionOf(room), this.parts.now());
    }
  }

  #use(room: string): Log {
    const now = this.parts.now();
    const found = this.#logs.get(room);
    const log = found && !this.#isForgotten(room, found) ? found : this.#begin();
    log.usedAt = now;
    this.#logs.set(room, log);
    return log;
  }

  #begin(): Log {
    return {
      epoch: this.parts.newEpoch(),
      top: 0,
      entries: [],
      bytes: 0,
      version: undefined,
      keys: new Map(),
      usedAt: 0,
    };
  }

  #isForgotten(room: string, { usedAt, top }: Log): boolean {
    const { metaTtlMs, emptyTtlMs } = this.parts.retentionOf(room);
    return this.parts.now() - usedAt >= (top === 0 ? emptyTtlMs : metaTtlMs);
  }
}

function trim(log: Log, { size, maxBytes, ttlMs }: Retention, now: number): void {
  let gone = 0;
  for (const { bytes, at } of log.entries) {
    if (log.entries.length - gone <= size && log.bytes <= maxBytes && now - at < ttlMs) break;
    log.bytes -= bytes;
    gone++;
  }
  if (gone > 0) log.entries.splice(0, gone);
  for (const [key, { until }] of log.keys) {
    if (until > now) break;
    log.keys.delete(key);
  }
}
