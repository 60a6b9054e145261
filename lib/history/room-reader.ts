import type { Clock } from '../clock.js';
import { errorOf } from '../protocol/thrown.js';
import type { Announcement } from './announcement.js';
import { Backlog } from './backlog.js';
import type { HistoryRule } from './history-rule.js';
import { Ring, type RingBudget } from './ring.js';
import type { LogEntry, LogRead, RoomLog } from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import { QuietWatch } from './quiet-watch.js';
import { StoredTimes } from './stored-times.js';

/** Why members of a room must start again. */
export type ResetReason = 'restart' | 'cleared' | 'hole';

export interface RoomReaderParts {
  room: string;
  log: Pick<RoomLog, 'top' | 'read'>;
  rule: HistoryRule;
  clock: Clock;
  budget: RingBudget;
  /** Resolves when the room's announcements arrive here. The returned function ends that. */
  follow(room: string, heard: (said: Announcement) => void): Promise<() => void>;
  /** The next message, for every member on this node. */
  deliver(epoch: string, entry: LogEntry): void;
  /** Members must load the room's data again. They continue from `position`. */
  reset(position: RoomPosition, reason: ResetReason): void;
  failed(error: Error, place: string): void;
}

/** How long a message waits for those before it, in ms. Then they are read. */
const HOLE_MS = 50;
const READ = { limit: 500, maxBytes: 1_048_576 };
const [RETRY_MS, LAST_RETRY_MS] = [[250, 500, 1_000], 2_000];

/** `at`: when it was stored, by the clock of this process. */
type Held = { entry: LogEntry; at: number };

/**
 * Follows the log of one room for all its members on this node. They get each message once and in order, whatever the
 * bus loses, repeats or reorders. A gap is read from the log once for all. If that fails, members are reset.
 */
export class RoomReader {
  readonly #ring: Ring;
  readonly #times = new StoredTimes();
  readonly #watch: QuietWatch;
  /** Messages that arrived before the ones they follow. */
  readonly #held = new Backlog<Held>();
  /** Announcements from before the position was known, or of an unknown epoch. */
  readonly #early = new Backlog<Announcement>();
  #position: RoomPosition | undefined;
  #starting: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #isSyncStale = false;
  /** Somebody has deleted all messages since the last read. */
  #wasCleared = false;
  #isStopped = false;
  #unfollow: () => void = () => undefined;
  #cancelHole: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;

  constructor(private readonly parts: RoomReaderParts) {
    this.#ring = new Ring(parts.rule, parts.budget);
    this.#watch = new QuietWatch(parts.clock, parts.rule.checkMs, () => this.#check());
  }

  /** The last place that was delivered. Undefined before the start. */
  get position(): RoomPosition | undefined {
    return this.#position;
  }

  /** The messages after `offset`, if they are in memory. */
  since(offset: number): LogEntry[] | undefined {
    this.#ring.age(this.parts.clock.now());
    return this.#ring.after(offset, this.#position?.offset ?? 0);
  }

  /** Resolves when the position is known. May be called again after it rejected. @throws {LogUnavailableError} */
  start(): Promise<void> {
    if (this.#position) return Promise.resolve();
    this.#starting ??= this.#start().finally(() => (this.#starting = undefined));
    return this.#starting;
  }

  /** Like `start()`, but tries again until it succeeds. */
  begin(attempt = 0): void {
    const again = (): void => (this.#position ? this.repair() : this.begin(attempt + 1)); // a repair may wait for it
    this.start().catch((error: unknown) => this.#later(attempt, error, again));
  }

  stop(): void {
    this.#isStopped = true;
    this.#position = undefined;
    this.#unfollow();
    this.#watch.stop();
    this.#cancelHole?.();
    this.#cancelRetry?.();
    this.#ring.clear();
    this.#held.clear();
    this.#early.clear();
  }

  /** Delivers what is newer. Resolves after a read that began later than this call. @throws {LogUnavailableError} */
  sync(): Promise<void> {
    this.#isSyncStale = true;
    this.#syncing ??= this.#sync().finally(() => (this.#syncing = undefined));
    return this.#syncing;
  }

  /** Like `sync()`, but tries again until it succeeds. */
  repair(attempt = 0): void {
    if (this.#cancelRetry && attempt === 0) return;
    this.sync().catch((error: unknown) => this.#later(attempt, error, () => this.repair(attempt + 1)));
  }

  /** Takes what another read found: it may be newer than what the bus brought. */
  accept({ entries, now }: Pick<LogRead, 'entries' | 'now'>): void {
    for (const entry of entries) this.#take(entry, this.parts.clock.now() - Math.max(0, now - entry.storedAt));
  }

  #later(attempt: number, error: unknown, again: () => void): void {
    if (this.#isStopped) return;
    if (attempt === 0) this.parts.failed(errorOf(error), 'the history of a room');
    this.#cancelRetry ??= this.parts.clock.after(RETRY_MS[attempt] ?? LAST_RETRY_MS, () => {
      this.#cancelRetry = undefined;
      again();
    });
  }

  async #start(): Promise<void> {
    const { room, log, follow } = this.parts;
    const unfollow = await follow(room, (said) => this.#heard(said));
    try {
      if (this.#isStopped) return unfollow();
      this.#watch.begin();
      const [top] = await log.top([room]);
      if (this.#isStopped) return unfollow();
      this.#unfollow = unfollow;
      this.#position = top as RoomPosition;
    } catch (error) {
      unfollow();
      this.#watch.stop();
      this.#early.clear();
      throw error;
    }
    this.#hearEarly();
  }

  #heard(said: Announcement): void {
    if (this.#isStopped) return;
    if (said.epoch === this.#position?.epoch) return said.kind === 'stored' ? this.#take(said) : undefined;
    if (this.#position && said.kind === 'cleared') {
      this.#wasCleared = true;
      return this.repair();
    }
    // Its epoch is new or old. Reading the log shows which.
    this.#early.put(this.#early.size, said, said.kind === 'stored' ? said.frame.length : 0);
    if (this.#position) this.repair();
  }

  #hearEarly(): void {
    const { epoch } = this.#position as RoomPosition;
    for (const said of this.#early.takeAll()) if (said.epoch === epoch || said.kind === 'cleared') this.#heard(said);
  }

  #take(said: LogEntry, at = this.#times.at(said.storedAt, this.parts.clock.now())): void {
    const { offset, storedAt, frame, session } = said;
    const position = this.#position;
    if (!position || offset <= position.offset) return;
    const held = { entry: { offset, storedAt, frame, session }, at };
    // In `last` mode a value makes those before it worthless: nobody misses them.
    if (offset > position.offset + 1 && this.parts.rule.mode === 'log') {
      this.#held.put(offset, held, frame.length);
      this.#cancelHole ??= this.parts.clock.after(HOLE_MS, () => {
        this.#cancelHole = undefined;
        this.repair();
      });
      return;
    }
    this.#held.take(offset);
    for (let next: Held | undefined = held; next; next = this.#held.take(position.offset + 1)) {
      position.offset = next.entry.offset;
      this.#watch.isKnownUntil(next.at);
      this.#ring.push(next.entry, next.at);
      this.parts.deliver(position.epoch, next.entry);
    }
    if (this.#held.size > 0) return;
    this.#cancelHole?.();
    this.#cancelHole = undefined;
  }

  /** One read at a time, and one more if it was asked for meanwhile. */
  async #sync(): Promise<void> {
    while (this.#isSyncStale && this.#position && !this.#isStopped) {
      this.#isSyncStale = false;
      const read = await this.parts.log.read(this.parts.room, { ...READ, since: this.#position.offset });
      if (this.#isStopped || !this.#position) return;
      this.#compare(read);
    }
    // What was announced before the last read is of a dead epoch.
    this.#early.clear();
    this.#wasCleared = false;
  }

  #compare({ epoch, top, isComplete, ...read }: LogRead): void {
    const position = this.#position as RoomPosition;
    if (epoch !== position.epoch)
      return this.#beginAnew({ epoch, offset: top }, this.#wasCleared ? 'cleared' : 'restart');
    // The bus may have brought newer messages while the log was read.
    if (top <= position.offset) return;
    const before = position.offset;
    this.accept(read);
    if (this.parts.rule.mode === 'last') position.offset = Math.max(position.offset, top); // it may have aged out
    if (position.offset >= top) return;
    if (isComplete || position.offset === before) this.#beginAnew({ epoch, offset: top }, 'hole');
    else this.#isSyncStale = true;
  }

  #beginAnew(position: RoomPosition, reason: ResetReason): void {
    const held = this.#held.takeAll();
    const isSame = position.epoch === this.#position?.epoch;
    this.#position = { ...position };
    this.#ring.clear();
    this.#cancelHole?.();
    this.#cancelHole = undefined;
    this.parts.reset({ ...position }, reason);
    if (isSame) for (const { entry, at } of held) this.#take(entry, at); // perhaps newer
    this.#hearEarly();
  }

  /** The bus brought nothing for a while. The log says whether anything is missing. */
  #check(): void {
    this.#compareTop().catch((error: unknown) => this.parts.failed(errorOf(error), 'a room’s position'));
  }

  async #compareTop(): Promise<void> {
    const { room, log, follow } = this.parts;
    const before = this.#position?.offset;
    const [top] = await log.top([room]);
    const position = this.#position;
    if (!top || !position || this.#isStopped) return;
    if (top.epoch === position.epoch && top.offset <= position.offset) return;
    this.repair();
    if (position.offset !== before) return; // the bus was only slow
    // Messages are missing: a slot may have moved, and the subscription with it.
    const unfollow = await follow(room, (said) => this.#heard(said));
    if (this.#isStopped) return unfollow();
    this.#unfollow();
    this.#unfollow = unfollow;
  }
}
