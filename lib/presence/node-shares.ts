import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { withinMs } from '../deadline.js';
import { BEAT_MS } from './node-signs.js';
import type { PresenceBelief, PresenceStore } from './presence-store.js';
import { RoomShare } from './room-share.js';
import { Steps } from '../steps.js';

/** What says in the store which nodes live. An interface: applications get these types without ioredis, too. */
export interface Signs {
  add(room: string): Promise<void>;
  remove(room: string): Promise<void>;
  /** @returns dead nodes to clear up after */
  beat(): Promise<string[]>;
  roomsOf(nodeId: string): Promise<string[]>;
  /** @returns those that have given no sign */
  unknownOf(nodeIds: readonly string[]): Promise<string[]>;
  suspect(nodeId: string, room: string): Promise<void>;
  forget(nodeId: string): Promise<void>;
  signOff(): Promise<void>;
}

export interface NodeSharesParts {
  nodeId: string;
  store: PresenceStore;
  /** Undefined without other nodes. */
  signs: Signs | undefined;
  clock: Clock;
  graceMsOf(room: string): number;
  failed(error: Error, place: string): void;
}

const PLACE = 'the presence of a room';
/** Rooms that are compared at once. */
const AT_ONCE = 200;
/** Rooms in which a dead node is cleared up after at once: it may have had members in thousands. */
const BURIED_AT_ONCE = 50;
/** Beats after which the store is asked to remember the rooms for longer. */
const KEPT_EVERY = 30;
/** How long the stop waits for what must still be said, in ms. */
const LAST_WORDS_MS = 1_000;

/** The connections of this node in all rooms with presence; clears up after nodes that died. */
export class NodeShares {
  readonly #shares = new Map<string, RoomShare>();
  #number = 0;
  #beats = 0;
  #stopBeating: () => void = () => undefined;
  /** Nodes to clear up after. */
  readonly #dead = new Set<string>();
  #working: Promise<void> | undefined;

  readonly #steps: Steps;

  constructor(private readonly parts: NodeSharesParts) {
    this.#steps = new Steps(parts.clock, parts.failed);
  }

  /** In how many rooms this node has connections. */
  get size(): number {
    return this.#shares.size;
  }

  find(room: string): RoomShare | undefined {
    return this.#shares.get(room);
  }

  /** Creates it if there is none. */
  open(room: string): RoomShare {
    const { store, signs, clock, nodeId, graceMsOf, failed } = this.parts;
    let share = this.#shares.get(room);
    if (share) return share;
    share = new RoomShare({
      room,
      graceMs: graceMsOf(room),
      clock,
      steps: this.#steps,
      opened: async () => signs?.add(room),
      apply: (batch) => store.apply(room, { ...batch, nodeId, number: ++this.#number }),
      failed: (error) => failed(error as Error, PLACE),
    });
    this.#shares.set(room, share);
    return share;
  }

  /** The user was kicked: nobody waits for it. */
  endGraces(userId: string): void {
    for (const share of this.#shares.values()) share.endGraces(userId);
  }

  start(): void {
    const { clock, failed } = this.parts;
    const beat = guarded(PLACE, failed, () => this.beat());
    this.#stopBeating = clock.every(BEAT_MS, beat);
    beat();
  }

  /** A sign of life each time. The rest may take longer, and is done once at a time. */
  async beat(): Promise<void> {
    for (const nodeId of (await this.parts.signs?.beat()) ?? []) this.#dead.add(nodeId);
    this.#working ??= this.#work().finally(() => (this.#working = undefined));
    await this.#working;
  }

  async stop(): Promise<void> {
    this.#stopBeating();
    const { signs } = this.parts;
    for (const share of this.#shares.values()) share.stop();
    const lastWords = Promise.allSettled(Array.from(this.#shares.values(), (share) => share.flush()));
    await withinMs(
      this.parts.clock,
      LAST_WORDS_MS,
      lastWords.then(() => signs?.signOff()).catch(() => undefined),
    ); // its lease ends anyway
    this.#shares.clear();
  }

  /** Checks that the store knows all shares, and writes again what it has lost. */
  async #work(): Promise<void> {
    const keeps = this.#beats++ % KEPT_EVERY === 0;
    const rooms = [...this.#shares];
    for (let at = 0; at < rooms.length; at += AT_ONCE) await this.#compare(rooms.slice(at, at + AT_ONCE), keeps);
    for (const nodeId of this.#dead) {
      this.#dead.delete(nodeId);
      await this.#bury(nodeId);
    }
  }

  async #compare(rooms: readonly (readonly [string, RoomShare])[], keeps: boolean): Promise<void> {
    const { signs, store, nodeId } = this.parts;
    for (const [room, share] of rooms) if (share.isOver) await this.#close(room);
    const beliefs: PresenceBelief[] = [];
    for (const [room, share] of rooms) {
      const { belief } = share;
      if (belief) beliefs.push({ room, ...belief });
      else if (!share.isOver) void share.flush();
    }
    if (beliefs.length === 0) return;
    const { doubtful, nodeIds } = await store.check(nodeId, beliefs, keeps);
    for (const room of doubtful) this.#shares.get(room)?.sayAll();
    if (signs) await this.#suspect(signs, nodeIds, beliefs);
  }

  async #close(room: string): Promise<void> {
    this.#shares.delete(room);
    await this.parts.signs?.remove(room);
  }

  /** Some of these nodes may have died while Redis didn't know who lives. */
  async #suspect(signs: Signs, nodeIds: Iterable<string>, rooms: readonly PresenceBelief[]): Promise<void> {
    const unknown = new Set(await signs.unknownOf([...nodeIds]));
    if (unknown.size === 0) return;
    for (const { room } of rooms)
      for (const nodeId of await this.parts.store.nodesIn(room))
        if (unknown.has(nodeId)) await signs.suspect(nodeId, room);
  }

  /** What is in its grace there stays until that is over: then it is tried again. */
  async #bury(nodeId: string): Promise<void> {
    const { signs, store } = this.parts;
    if (!signs) return;
    const rooms = await signs.roomsOf(nodeId);
    let left = 0;
    for (let at = 0; at < rooms.length; at += BURIED_AT_ONCE) {
      const some = rooms.slice(at, at + BURIED_AT_ONCE);
      for (const { own } of await Promise.all(some.map((room) => store.bury(room, nodeId)))) left += own;
    }
    if (left <= 0) await signs.forget(nodeId);
  }
}
