import { bytesOf, type LogEntry, type Retention } from './room-log.js';

/** How many messages of a room are kept in memory. */
const MAX_ENTRIES = 64;
const MAX_BYTES = 262_144;
/** The same in bytes, for all rooms of a process. */
const MAX_PROCESS_BYTES = 67_108_864;

/** Counts the bytes of all rings of a process. */
export class RingBudget {
  bytes = 0;

  constructor(readonly maxBytes: number = MAX_PROCESS_BYTES) {}
}

interface Kept {
  entry: LogEntry;
  /** As the room's log counts them: it may keep less than this process could. */
  bytes: number;
  /** When it was stored, by the clock of this process. */
  at: number;
}

/**
 * The newest messages of one room, without gaps. A client that missed no more than these needs no read from the store.
 */
export class Ring {
  readonly #entries: Kept[] = [];
  /** In memory. */
  #bytes = 0;
  #bytesOfLog = 0;

  constructor(
    private readonly retention: Pick<Retention, 'mode' | 'size' | 'maxBytes' | 'ttlMs'>,
    private readonly budget: RingBudget,
  ) {}

  /** @param entry must follow the newest; in `last` mode, entries between them may be missing */
  push(entry: LogEntry, at: number): void {
    const bytes = bytesOf(entry.frame, entry.session);
    this.#entries.push({ entry, bytes, at });
    this.#bytesOfLog += bytes;
    this.#count(sizeOf(entry));
    while (this.#entries.length > 0 && this.#isFull()) this.#drop();
  }

  /** Drops what the log no longer keeps. */
  age(now: number): void {
    while (this.#entries[0] && now - this.#entries[0].at >= this.retention.ttlMs) this.#drop();
  }

  /** The messages after `offset`. Undefined if some of them aren't here any more. @param top the newest place */
  after(offset: number, top: number): LogEntry[] | undefined {
    if (offset >= top) return [];
    const first = this.#entries[0]?.entry.offset ?? Infinity;
    return offset + 1 < first ? undefined : this.#entries.slice(offset + 1 - first).map(({ entry }) => entry);
  }

  clear(): void {
    this.#count(-this.#bytes);
    this.#bytesOfLog = 0;
    this.#entries.length = 0;
  }

  #isFull(): boolean {
    const { mode, size, maxBytes } = this.retention;
    return (
      this.#entries.length > (mode === 'last' ? 1 : Math.min(MAX_ENTRIES, size)) ||
      this.#bytes > MAX_BYTES ||
      this.#bytesOfLog > maxBytes ||
      this.budget.bytes > this.budget.maxBytes
    );
  }

  #drop(): void {
    const { entry, bytes } = this.#entries.shift() as Kept;
    this.#bytesOfLog -= bytes;
    this.#count(-sizeOf(entry));
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.budget.bytes += bytes;
  }
}

/** Strings take up to two bytes a character in memory. */
const sizeOf = ({ frame }: LogEntry): number => 2 * frame.length + 100;
