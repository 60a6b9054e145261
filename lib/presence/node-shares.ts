import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { withinMs } from '../deadline.js';
import { BEAT_MS } from './node-signs.js';
import type { PresenceApplied, PresenceStore } from './presence-store.js';
import { RoomShare } from './room-share.js';

/** What says in the store which nodes live. An interface: applications get these types without ioredis, too. */
export interface Signs {
  add(room: string): Promise<void>;
  remove(room: string): Promise<void>;
  /** @returns dead nodes to clear up after */
  beat(): Promise<string[]>;
  roomsOf(nodeId: string): Promise<string[]>;
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
  /** Users joined or left. Called once in the cluster. */
  changed(room: string, applied: PresenceApplied): void;
  failed(error: Error, place: string): void;
}

const PLACE = 'the presence of a room';
/** Rooms whose beats are under way at the same time. */
const AT_ONCE = 100;
/** How long the stop waits for what must still be said, in ms. */
const LAST_WORDS_MS = 1_000;

/** The connections of this node in all rooms with presence; clears up after nodes that died. */
export class NodeShares {
  readonly #shares = new Map<string, RoomShare>();
  #number = 0;
  #stopBeating: () => void = () => undefined;
  #beating: Promise<void> | undefined;

  constructor(private readonly parts: NodeSharesParts) {}

  /** In how many rooms this node has connections. */
  get size(): number {
    return this.#shares.size;
  }

  find(room: string): RoomShare | undefined {
    return this.#shares.get(room);
  }

  /** Creates it if there is none. */
  open(room: string): RoomShare {
    const { store, signs, clock, nodeId, graceMsOf, changed, failed } = this.parts;
    let share = this.#shares.get(room);
    if (share) return share;
    share = new RoomShare({
      room,
      graceMs: graceMsOf(room),
      clock,
      opened: async () => signs?.add(room),
      apply: (batch) => store.apply(room, { ...batch, nodeId, number: ++this.#number }),
      changed: (applied) => changed(room, applied),
      failed: (error) => failed(error as Error, PLACE),
    });
    this.#shares.set(room, share);
    return share;
  }

  start(): void {
    const { clock, failed } = this.parts;
    const beat = guarded(PLACE, failed, () => this.beat());
    this.#stopBeating = clock.every(BEAT_MS, beat);
    beat();
  }

  /** One at a time. */
  beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => (this.#beating = undefined));
    return this.#beating;
  }

  async stop(): Promise<void> {
    this.#stopBeating();
    const { signs } = this.parts;
    for (const share of this.#shares.values()) share.stop();
    const lastWords = Promise.allSettled(Array.from(this.#shares.values(), (share) => share.flush()));
    await withinMs(
      LAST_WORDS_MS,
      lastWords.then(() => signs?.signOff()).catch(() => undefined),
    ); // its lease ends anyway
    this.#shares.clear();
  }

  async #beat(): Promise<void> {
    const { signs } = this.parts;
    const dead = (await signs?.beat()) ?? [];
    const rooms = [...this.#shares];
    for (let at = 0; at < rooms.length; at += AT_ONCE)
      await Promise.all(rooms.slice(at, at + AT_ONCE).map(([room, share]) => this.#beatIn(room, share)));
    for (const nodeId of dead) await this.#bury(nodeId);
  }

  async #beatIn(room: string, share: RoomShare): Promise<void> {
    const { signs, nodeId } = this.parts;
    if (share.isOver) {
      this.#shares.delete(room);
      return signs?.remove(room);
    }
    const applied = await share.beat();
    for (const other of applied?.nodeIds ?? []) if (other !== nodeId && signs) await signs.suspect(other, room);
  }

  /** What is in its grace there stays until that is over: then it is tried again. */
  async #bury(nodeId: string): Promise<void> {
    const { signs, store, changed } = this.parts;
    if (!signs) return;
    let left = 0;
    for (const room of await signs.roomsOf(nodeId)) {
      const applied = await store.bury(room, nodeId);
      changed(room, applied);
      left += applied.own;
    }
    if (left <= 0) await signs.forget(nodeId);
  }
}
