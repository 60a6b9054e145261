import type { Clock } from '../clock.js';
import type { RoomPosition } from '../protocol/message.js';
import type { Steps } from '../steps.js';
import type { PresenceApplied, PresenceBatch, PresenceBelief, PresenceChange } from './presence-store.js';

export interface RoomShareParts {
  room: string;
  graceMs: number;
  clock: Clock;
  /** Many rooms may have something to say in one turn: whoever was in them has lost its connection. */
  steps: Pick<Steps, 'inTurn'>;
  /** Before the first change. */
  opened(): Promise<unknown>;
  apply(batch: Omit<PresenceBatch, 'nodeId' | 'number'>): Promise<PresenceApplied>;
  failed(error: unknown): void;
}

/** Changes in one batch: it holds up Redis for a few ms. Only a whole share has as many as it has connections. */
const MAX_SAID = 500;

/** One connection of this node in the room. */
interface Entry {
  userId: string;
  data: string | undefined;
  dataAt: number;
  /** When its grace ends, by the clock of this process. */
  graceEnd: number | undefined;
  /** The store may have heard of it. */
  isSaid: boolean;
  cancelGrace: (() => void) | undefined;
}

/**
 * The connections of this node in one room, and how they get into the store: one batch at a time, in which each connection has
 * only its newest state. What couldn't be stored is said again with the next beat.
 */
export class RoomShare {
  readonly #entries = new Map<string, Entry>();
  /** The connection of each user that is in its grace: the one that ended last, which outlasts those before. */
  readonly #inGrace = new Map<string, string>();
  /** What the store doesn't know yet, by client. */
  #unsaid = new Map<string, PresenceChange>();
  /** What the store answered last. */
  #place: RoomPosition | undefined;
  /** Those who wait for what is said, and for how many batches. */
  #waiting: { batches: number; done: () => void }[] = [];
  #isApplying = false;
  /** How many connections the store has. After a loss, those that left stay there for a while. */
  #own = 0;
  #isWholeDue = false;
  #isOpened = false;
  #flushing: Promise<void> | undefined;
  #hasFailed = false;

  constructor(private readonly parts: RoomShareParts) {}

  /** Nothing of it is or may be in the store. */
  get isOver(): boolean {
    return this.#entries.size + this.#unsaid.size + this.#own === 0 && !this.#flushing && !this.#isWholeDue;
  }

  /** The connection is in the room, as this user. Does nothing if that is known. */
  enter(clientId: string, userId: string): void {
    const known = this.#entries.get(clientId);
    if (known?.userId === userId && known.graceEnd === undefined) return;
    if (known) this.#endGrace(clientId, known);
    const [data, isSaid] = [known?.data, known?.isSaid ?? false];
    const entry = { userId, data, dataAt: 0, graceEnd: undefined, isSaid, cancelGrace: undefined };
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

  /** Whether the store can't know the connection yet. */
  isUnsaid(clientId: string): boolean {
    return this.#entries.get(clientId)?.isSaid === false;
  }

  /** The connection left, and isn't expected back. */
  leave(clientId: string): void {
    const entry = this.#entries.get(clientId);
    if (!entry) return;
    this.#endGrace(clientId, entry);
    this.#entries.delete(clientId);
    if (entry.isSaid || this.#unsaid.get(clientId)?.kind === 'again') this.#say('out', clientId, entry);
    else this.#unsaid.delete(clientId);
  }

  /** The connection ended. Its user may be back on any node before anybody misses it. */
  lose(clientId: string): void {
    const { clock, graceMs } = this.parts;
    const entry = this.#entries.get(clientId);
    if (!entry || entry.graceEnd !== undefined) return;
    if (graceMs === 0) return this.leave(clientId);
    this.endGraces(entry.userId);
    this.#inGrace.set(entry.userId, clientId);
    entry.graceEnd = clock.now() + graceMs;
    entry.cancelGrace = clock.after(graceMs, () => this.leave(clientId));
    this.#say('kept', clientId, entry);
  }

  /** The kick of a user also ends the grace of its connections. */
  endGraces(userId: string): void {
    const clientId = this.#inGrace.get(userId);
    if (clientId !== undefined) this.leave(clientId);
  }

  /** What the store should have. Undefined while something is unsaid. */
  get belief(): Omit<PresenceBelief, 'room'> | undefined {
    if (this.#unsaid.size > 0 || this.#isWholeDue || this.#flushing || !this.#place) return undefined;
    return { epoch: this.#place.epoch, own: this.#entries.size };
  }

  /** Says again what the store should know. */
  sayAll(): void {
    this.#isWholeDue = true;
    void this.flush();
  }

  /** Resolves when everything of before is said, or can't be. */
  async flush(): Promise<void> {
    this.#flushing ??= this.parts.steps.inTurn(() => this.#flush());
    await this.#flushing;
  }

  /**
   * Resolves when the store knows what was said before, or can't know it now. What is said meanwhile isn't waited for.
   * @returns the place from which on it is announced
   */
  async said(): Promise<RoomPosition | undefined> {
    const batches = (this.#isApplying ? 1 : 0) + Math.ceil(this.#unsaid.size / MAX_SAID);
    if (this.#flushing && batches > 0) await new Promise<void>((done) => this.#waiting.push({ batches, done }));
    return this.#place;
  }

  /** This node stops. Connections in their grace stay in the store: another node removes them. */
  stop(): void {
    for (const { cancelGrace } of this.#entries.values()) cancelGrace?.();
  }

  #endGrace(clientId: string, { userId, cancelGrace }: Entry): void {
    cancelGrace?.();
    if (this.#inGrace.get(userId) === clientId) this.#inGrace.delete(userId);
  }

  #say(kind: PresenceChange['kind'], clientId: string, { userId, data, dataAt }: Entry): void {
    const unsaid = this.#unsaid.get(clientId);
    const sum = sumOf(unsaid?.kind, kind);
    this.#unsaid.set(clientId, { kind: sum, clientId, userId, data, dataAt, awayMs: 0 });
    // A store that is away needn't be asked each time with all of it: the next beat does.
    if (!this.#hasFailed || !this.#isWholeDue) void this.flush();
  }

  async #flush(): Promise<void> {
    try {
      while (this.#unsaid.size > 0 || this.#isWholeDue) {
        const isWhole = this.#isWholeDue;
        const unsaid = isWhole ? this.#unsaid : new Map([...this.#unsaid].slice(0, MAX_SAID));
        if (isWhole) this.#unsaid = new Map();
        else for (const clientId of unsaid.keys()) this.#unsaid.delete(clientId);
        this.#isWholeDue = false;
        const changes = isWhole ? this.#all(unsaid) : [...unsaid.values()];
        this.#isApplying = true;
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
        this.#isApplying = false;
        this.#tellWaiting(1);
      }
    } finally {
      this.#isApplying = false;
      this.#flushing = undefined; // in this moment, or what is said in the next one would wait for the next beat
      this.#tellWaiting(Infinity);
    }
  }

  #tellWaiting(batches: number): void {
    for (const one of this.#waiting) if ((one.batches -= batches) <= 0) one.done();
    this.#waiting = this.#waiting.filter((one) => one.batches > 0);
  }

  async #apply(isWhole: boolean, changes: PresenceChange[]): Promise<void> {
    const epoch = this.#place?.epoch;
    const applied = await this.parts.apply({ epoch, isWhole, changes });
    if (epoch !== undefined && applied.epoch !== epoch && !isWhole) this.#isWholeDue = true;
    this.#place = { epoch: applied.epoch, offset: applied.version };
    this.#own = applied.own;
    for (const { kind, clientId, data } of changes) {
      const entry = this.#entries.get(clientId);
      if (isNews(kind) && entry && entry.data === data) entry.dataAt = applied.now;
    }
  }

  #all(unsaid: ReadonlyMap<string, PresenceChange>): PresenceChange[] {
    const changes = Array.from(this.#entries, ([clientId, { userId, data, dataAt }]): PresenceChange => {
      const kind = sumOf(unsaid.get(clientId)?.kind, 'kept');
      return { kind, clientId, userId, data, dataAt, awayMs: 0 };
    });
    // If the store has lost them, it couldn't tell anybody that they left.
    for (const change of unsaid.values()) if (change.kind === 'out') changes.push(change);
    return changes;
  }

  #timed(changes: PresenceChange[]): PresenceChange[] {
    const now = this.parts.clock.now();
    for (const change of changes) {
      const entry = this.#entries.get(change.clientId);
      change.awayMs = entry?.graceEnd === undefined ? 0 : Math.max(1, entry.graceEnd - now);
      if (entry) entry.isSaid = true;
    }
    return changes;
  }

  /** What was to be said, unless something newer is. */
  #putBack(unsaid: ReadonlyMap<string, PresenceChange>): void {
    for (const [clientId, change] of unsaid) {
      const newer = this.#unsaid.get(clientId);
      // While the store is away, these would grow without end. Writing the whole share takes them out, too.
      if (!newer && change.kind === 'out' && change.dataAt === 0) this.#isWholeDue = true;
      else if (!newer) this.#unsaid.set(clientId, change);
      else newer.kind = sumOf(change.kind, newer.kind);
    }
  }
}

const isNews = (kind: PresenceChange['kind']): boolean => kind === 'in' || kind === 'again';

/** What two changes of a connection, one after the other, are together. */
function sumOf(first: PresenceChange['kind'] | undefined, then: PresenceChange['kind']): PresenceChange['kind'] {
  if (then === 'out' || then === 'again' || first === undefined || first === 'kept') return then;
  return first === 'in' ? 'in' : 'again';
}
