import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { type Claim, type Ending, type KeyRule, type ReplyStore, tooManyKeys } from './reply-store.js';

export interface MemoryReplyStoreParts {
  clock: Pick<Clock, 'now' | 'every'>;
  maxKeys: number;
  maxBytes: number;
  maxPerUser: number;
  /** Called at most once a second, with the number of keys that were forgotten before their time, as there are too many. */
  forgot(keys: number): void;
  failed(error: unknown, place: string): void;
}

interface Entry {
  readonly key: string;
  readonly token: string;
  readonly owner: string;
  state: 'running' | 'kept' | 'doubt';
  reply: string;
  until: number;
  list: List;
  earlier: Entry | undefined;
  later: Entry | undefined;
}

/** Entries, the oldest first. */
interface List {
  first: Entry | undefined;
  last: Entry | undefined;
}

/**
 * The keys of one window. Linked lists: to find the oldest entry of a `Map`, the engine steps over all entries that were
 * deleted before it.
 */
interface Window {
  readonly ms: number;
  readonly running: List;
  readonly ended: List;
}

/** What a key takes beside its text and its reply. */
const ENTRY_BYTES = 200;
const SWEEP_MS = 30_000;
const TELL_MS = 1_000;
const MINE: Claim = { state: 'mine' };
const DOUBT: Claim = { state: 'doubt' };

/** The keys of one process. It answers at once. */
export class MemoryReplyStore implements ReplyStore {
  readonly #entries = new Map<string, Entry>();
  /** By `windowMs`. There are few: each route has one. */
  readonly #windows = new Map<number, Window>();
  /** How many keys each owner has. */
  readonly #ofOwner = new Map<string, number>();
  /** All keys that were claimed since then, and whose window isn't over, are here. */
  #completeSince: number;
  #bytes = 0;
  #forgotten = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #stopSweeping: (() => void) | undefined;

  constructor(private readonly parts: MemoryReplyStoreParts) {
    this.#completeSince = parts.clock.now();
  }

  get size(): number {
    return this.#entries.size;
  }

  claim(key: string, token: string, { windowMs, rerun }: KeyRule, owner: string, sentMsAgo?: number): Claim {
    const now = this.parts.clock.now();
    const known = this.#entries.get(key);
    const isOver = !known || known.until <= now;
    if (!isOver) {
      if (known.state === 'kept') return { state: 'kept', reply: known.reply };
      if (known.state === 'doubt' && !rerun) return DOUBT;
      if (known.state === 'running')
        return known.token === token ? MINE : { state: 'running', forMs: known.until - now };
    }
    // It may have been handled by the process before this one, or be forgotten.
    if (isOver && sentMsAgo !== undefined && !rerun)
      if (sentMsAgo >= windowMs || now - sentMsAgo < this.#completeSince) return DOUBT;
    if (known) this.#delete(known);
    this.#count(owner, windowMs);
    const list = this.#window(windowMs).running;
    const until = now + windowMs;
    const entry: Entry = {
      key,
      token,
      owner,
      state: 'running',
      reply: '',
      until,
      list,
      earlier: undefined,
      later: undefined,
    };
    this.#entries.set(key, entry);
    append(entry);
    this.#bytes += bytesOf(entry);
    this.#makeRoom(now);
    return MINE;
  }

  end(key: string, token: string, ending: Ending, { windowMs }: KeyRule): void {
    const entry = this.#entries.get(key);
    if (entry?.token !== token || entry.state !== 'running') return;
    if (ending.state === 'free') return this.#delete(entry);
    const now = this.parts.clock.now();
    this.#bytes -= bytesOf(entry);
    if (ending.state === 'kept') entry.reply = ending.reply;
    this.#bytes += bytesOf(entry);
    this.#moveToEnded(entry, ending.state, now + windowMs, windowMs);
    this.#makeRoom(now);
  }

  async start(): Promise<void> {
    this.#stopSweeping ??= this.parts.clock.every(
      SWEEP_MS,
      guarded('old keys', this.parts.failed, () => this.sweep()),
    );
  }

  async stop(): Promise<void> {
    this.#stopSweeping?.();
    this.#stopSweeping = undefined;
    for (const { ms, running } of this.#windows.values())
      while (running.first) this.#moveToEnded(running.first, 'doubt', running.first.until, ms);
  }

  /** Forgets what is too old, to free memory. */
  sweep(): void {
    const now = this.parts.clock.now();
    for (const { running, ended } of this.#windows.values())
      for (const list of [running, ended]) while (list.first && list.first.until <= now) this.#delete(list.first);
    this.#tell(now);
  }

  /** The oldest that has ended goes. What runs stays: the number of running handlers has its own bound. */
  #makeRoom(now: number): void {
    const { maxKeys, maxBytes } = this.parts;
    if (this.#entries.size <= maxKeys && this.#bytes <= maxBytes) return;
    for (;;) {
      const oldest = this.#oldestEnded();
      if (!oldest) break;
      this.#delete(oldest);
      if (oldest.until > now) {
        this.#forgotten++;
        this.#completeSince = now;
      }
      if (this.#entries.size <= maxKeys && this.#bytes <= maxBytes) break;
    }
    this.#tell(now);
  }

  #oldestEnded(): Entry | undefined {
    let oldest: Entry | undefined;
    let endedAt = Number.POSITIVE_INFINITY;
    for (const { ms, ended } of this.#windows.values()) {
      if (!ended.first || ended.first.until - ms >= endedAt) continue;
      oldest = ended.first;
      endedAt = oldest.until - ms;
    }
    return oldest;
  }

  #tell(now: number): void {
    if (this.#forgotten === 0 || now - this.#toldAt < TELL_MS) return;
    this.#toldAt = now;
    this.parts.forgot(this.#forgotten);
    this.#forgotten = 0;
  }

  #window(ms: number): Window {
    let window = this.#windows.get(ms);
    if (!window) {
      window = { ms, running: emptyList(), ended: emptyList() };
      this.#windows.set(ms, window);
    }
    return window;
  }

  #moveToEnded(entry: Entry, state: 'kept' | 'doubt', until: number, windowMs: number): void {
    remove(entry);
    entry.state = state;
    entry.until = until;
    entry.list = this.#window(windowMs).ended;
    append(entry);
  }

  /** @throws {PeerError} RATE_LIMITED */
  #count(owner: string, windowMs: number): void {
    const { maxPerUser } = this.parts;
    if ((this.#ofOwner.get(owner) ?? 0) >= maxPerUser) {
      this.sweep();
      if ((this.#ofOwner.get(owner) ?? 0) >= maxPerUser) throw tooManyKeys(maxPerUser, windowMs);
    }
    this.#ofOwner.set(owner, (this.#ofOwner.get(owner) ?? 0) + 1);
  }

  #delete(entry: Entry): void {
    const left = (this.#ofOwner.get(entry.owner) ?? 0) - 1;
    if (left > 0) this.#ofOwner.set(entry.owner, left);
    else this.#ofOwner.delete(entry.owner);
    this.#entries.delete(entry.key);
    this.#bytes -= bytesOf(entry);
    remove(entry);
  }
}

const emptyList = (): List => ({ first: undefined, last: undefined });

const bytesOf = ({ key, reply }: Entry): number => key.length + reply.length + ENTRY_BYTES;

function append(entry: Entry): void {
  const { list } = entry;
  entry.earlier = list.last;
  entry.later = undefined;
  if (list.last) list.last.later = entry;
  else list.first = entry;
  list.last = entry;
}

function remove({ list, earlier, later }: Entry): void {
  if (earlier) earlier.later = later;
  else list.first = later;
  if (later) later.earlier = earlier;
  else list.last = earlier;
}
