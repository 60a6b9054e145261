import type { Clock } from '../clock.js';
import type { PresenceApplied, PresenceBatch, PresenceChange } from './presence-store.js';

export interface RoomShareParts {
  room: string;
  graceMs: number;
  clock: Clock;
  /** Before the first change. */
  opened(): Promise<unknown>;
  apply(batch: Omit<PresenceBatch, 'nodeId' | 'number'>): Promise<PresenceApplied>;
  /** Users joined or left in the whole cluster. */
  changed(applied: PresenceApplied): void;
  failed(error: unknown): void;
}

/** One connection of this node in the room. */
interface Entry {
  userId: string;
  data: string | undefined;
  dataAt: number;
  /** When its grace ends, by the clock of this process. */
  graceEnd: number | undefined;
  cancelGrace: (() => void) | undefined;
}

/**
 * The connections of this node in one room, and how they get into the store: one batch at a time, in which each connection has
 * only its newest state. What couldn't be stored is said again with the next beat.
 */
export class RoomShare {
  readonly #entries = new Map<string, Entry>();
  /** What the store doesn't know yet, by client. */
  #unsaid = new Map<string, PresenceChange>();
  #epoch: string | undefined;
  #isWholeDue = false;
  #isOpened = false;
  #flushing: Promise<void> | undefined;
  #hasFailed = false;

  constructor(private readonly parts: RoomShareParts) {}

  /** Nothing of it is or may be in the store. */
  get isOver(): boolean {
    return this.#entries.size === 0 && this.#unsaid.size === 0 && !this.#flushing && !this.#isWholeDue;
  }

  /** The connection is in the room, as this user. Does nothing if that is known. */
  enter(clientId: string, userId: string): void {
    const known = this.#entries.get(clientId);
    if (known?.userId === userId && known.graceEnd === undefined) return;
    known?.cancelGrace?.();
    const entry = { userId, data: known?.data, dataAt: 0, graceEnd: undefined, cancelGrace: undefined };
    this.#entries.set(clientId, entry);
    this.#say('in', clientId, entry);
  }

  /** @param data JSON @returns false if the connection isn't in the room */
  update(clientId: string, data: string): boolean {
    const entry = this.#entries.get(clientId);
    if (!entry) return false;
    entry.data = data;
    this.#say('in', clientId, entry);
    return true;
  }

  /** The connection left, and isn't expected back. */
  leave(clientId: string): void {
    const entry = this.#entries.get(clientId);
    if (!entry) return;
    entry.cancelGrace?.();
    this.#entries.delete(clientId);
    this.#say('out', clientId, entry);
  }

  /** The connection ended. Its user may be back on any node before anybody misses it. */
  lose(clientId: string): void {
    const { clock, graceMs } = this.parts;
    const entry = this.#entries.get(clientId);
    if (!entry || entry.graceEnd !== undefined) return;
    if (graceMs === 0) return this.leave(clientId);
    entry.graceEnd = clock.now() + graceMs;
    entry.cancelGrace = clock.after(graceMs, () => this.leave(clientId));
    this.#say('kept', clientId, entry);
  }

  /** Sees to it that the store knows all of it: another may have lost it. */
  async beat(): Promise<PresenceApplied | undefined> {
    if (this.#unsaid.size > 0 || this.#isWholeDue || this.#flushing) {
      await this.flush();
      return undefined;
    }
    const applied = await this.#apply(false, []);
    if (applied.own !== this.#entries.size && this.#unsaid.size === 0 && !this.#flushing) this.sayAll();
    return applied;
  }

  /** Says again what the store should know. */
  sayAll(): void {
    this.#isWholeDue = true;
    void this.flush();
  }

  /** Resolves when everything of before is said, or can't be. */
  async flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => (this.#flushing = undefined));
    await this.#flushing;
  }

  /** This node stops. Whoever is in the grace stays there, for another node. */
  stop(): void {
    for (const { cancelGrace } of this.#entries.values()) cancelGrace?.();
  }

  #say(kind: PresenceChange['kind'], clientId: string, { userId, data, dataAt }: Entry): void {
    const unsaid = this.#unsaid.get(clientId);
    // What is new stays new until it is said.
    const isNew = kind === 'kept' && unsaid?.kind === 'in';
    this.#unsaid.set(clientId, { kind: isNew ? 'in' : kind, clientId, userId, data, dataAt, awayMs: 0 });
    void this.flush();
  }

  async #flush(): Promise<void> {
    await Promise.resolve(); // what happens in one turn is said at once
    while (this.#unsaid.size > 0 || this.#isWholeDue) {
      const unsaid = this.#unsaid;
      const isWhole = this.#isWholeDue;
      this.#unsaid = new Map();
      this.#isWholeDue = false;
      const changes = isWhole ? this.#all(unsaid) : [...unsaid.values()];
      try {
        if (!this.#isOpened) await this.parts.opened();
        this.#isOpened = true;
        await this.#apply(isWhole, this.#timed(changes));
        this.#hasFailed = false;
      } catch (error) {
        this.#isWholeDue ||= isWhole;
        this.#putBack(unsaid);
        if (!this.#hasFailed) this.parts.failed(error);
        this.#hasFailed = true;
        return;
      }
    }
  }

  async #apply(isWhole: boolean, changes: PresenceChange[]): Promise<PresenceApplied> {
    const epoch = this.#epoch;
    const applied = await this.parts.apply({ epoch, isWhole, changes });
    if (epoch !== undefined && applied.epoch !== epoch && !isWhole) this.#isWholeDue = true;
    this.#epoch = applied.epoch;
    for (const { kind, clientId, data } of changes) {
      const entry = this.#entries.get(clientId);
      if (kind === 'in' && entry && entry.data === data) entry.dataAt = applied.now;
    }
    this.parts.changed(applied);
    if (this.#isWholeDue) void this.flush();
    return applied;
  }

  #all(unsaid: ReadonlyMap<string, PresenceChange>): PresenceChange[] {
    return Array.from(this.#entries, ([clientId, { userId, data, dataAt }]) => {
      const kind = unsaid.get(clientId)?.kind === 'in' ? 'in' : 'kept';
      return { kind, clientId, userId, data, dataAt, awayMs: 0 };
    });
  }

  #timed(changes: PresenceChange[]): PresenceChange[] {
    const now = this.parts.clock.now();
    for (const change of changes) {
      const graceEnd = this.#entries.get(change.clientId)?.graceEnd;
      change.awayMs = graceEnd === undefined ? 0 : Math.max(1, graceEnd - now);
    }
    return changes;
  }

  /** What was to be said, unless something newer is. */
  #putBack(unsaid: ReadonlyMap<string, PresenceChange>): void {
    for (const [clientId, change] of unsaid) {
      const newer = this.#unsaid.get(clientId);
      if (!newer) this.#unsaid.set(clientId, change);
      else if (newer.kind === 'kept' && change.kind === 'in') newer.kind = 'in';
    }
  }
}
