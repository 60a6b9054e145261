import type { Clock } from '../clock.js';
import { type Failed, guarded } from '../guarded.js';
import type { Announcement } from '../history/announcement.js';
import type { HistoryRule } from '../history/history-rule.js';
import type { LogEntry, LogRead } from '../history/room-log.js';
import { RoomReaders, type RoomReceiver } from '../history/room-readers.js';
import type { ResetReason } from '../history/room-reader.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import type { RoomPosition } from '../protocol/message.js';
import type { Joiner } from './observers.js';
import type { RoomPresence } from './presence-frames.js';
import type { PresenceRule, PresenceRules } from './presence-options.js';
import type { PresenceSize, PresenceStore } from './presence-store.js';
import { RoomAudience } from './room-audience.js';
import { RoomView } from './room-view.js';
import { Steps } from '../steps.js';

export interface RoomViewsParts {
  rules: PresenceRules;
  store: Pick<PresenceStore, 'read' | 'top'>;
  clock: Clock;
  local: Pick<LocalDelivery, 'toClient'>;
  /** Resolves when the room's announcements arrive here. The returned function ends that. */
  follow(room: string, heard: (said: Announcement) => void): Promise<() => void>;
  /** The store has lost the room. */
  lost(room: string): void;
  failed: Failed;
}

/** Readers keep no earlier entries: a member that comes back gets the whole list. */
const FOLLOWING: HistoryRule = {
  mode: 'log',
  size: 1,
  ttlMs: 1,
  maxBytes: 1,
  recoverMax: 1,
  recoverMaxBytes: 1,
  keyTtlMs: 1,
  metaTtlMs: 1,
  emptyTtlMs: 1,
  checkMs: 15_000,
  ack: 'stored',
  onRestart: 'reset',
};

/** Follows the rooms whose members on this node want to know who is in them. Other rooms cost nothing. */
export class RoomViews implements RoomReceiver {
  readonly #views = new Map<string, RoomView>();
  readonly #audiences = new Map<string, RoomAudience>();
  readonly #readers: RoomReaders;
  readonly #forget: (gone: readonly [clientId: string, room: string]) => void;

  constructor(private readonly parts: RoomViewsParts) {
    const { clock, follow, failed } = parts;
    const steps = new Steps(clock, failed);
    this.#forget = steps.queue('the presence of a room', ([clientId, room]) => this.remove(clientId, room));
    this.#readers = new RoomReaders({
      log: {
        top: async ([room = '']): Promise<RoomPosition[]> => [await this.#viewOf(room).top()],
        read: (room): Promise<LogRead> => this.#read(room),
      },
      clock,
      follow,
      failed: (error) => failed(error, 'the presence of a room'),
    });
  }

  /** How many rooms are followed. */
  get size(): number {
    return this.#readers.size;
  }

  start(): void {
    this.#readers.start(this);
  }

  stop(): void {
    this.#readers.stop();
    for (const audience of this.#audiences.values()) audience.stop();
    this.#audiences.clear();
    this.#views.clear();
  }

  /** Resolves when this node knows who is in the room, and gets the changes. Call `release()` later. */
  async hold(room: string): Promise<void> {
    await this.#readers.hold(room, FOLLOWING).start();
  }

  /**
   * The room must be held. Resolves when this node has heard of what was stored up to there. Does nothing where many listen: they
   * aren't told of it before the next push anyway.
   */
  async heard(room: string, stored: () => Promise<RoomPosition | undefined>): Promise<void> {
    if (this.#audiences.get(room)?.isSmall === false) return;
    const place = await stored();
    if (place) await this.#viewOf(room).reached(place);
  }

  release(room: string): void {
    this.#readers.release(room);
  }

  /** The room must be held. */
  add(clientId: string, room: string, joiner: Joiner): RoomPresence {
    const audience = this.#audiences.get(room) ?? this.#open(room);
    if (!audience.has(clientId)) this.#readers.hold(room, FOLLOWING);
    return audience.add(clientId, joiner);
  }

  remove(clientId: string, room: string): void {
    const audience = this.#audiences.get(room);
    if (!audience?.has(clientId)) return;
    audience.remove(clientId);
    this.release(room);
  }

  /** The client is gone, perhaps from thousands of rooms: nothing reaches it any more. */
  forget(clientId: string, room: string): void {
    if (this.#audiences.get(room)?.has(clientId)) this.#forget([clientId, room]);
  }

  /** An observer has another user now. */
  identified(clientId: string, room: string, userId: string): void {
    this.#audiences.get(room)?.identified(clientId, userId);
  }

  /** The bus was away. */
  catchUp(): void {
    this.#readers.catchUp();
  }

  deliver(room: string, epoch: string, entry: LogEntry): void {
    const view = this.#viewOf(room);
    const touched = view.apply({ epoch, offset: entry.offset }, entry); // also while nobody listens
    this.#audiences.get(room)?.changed(touched);
    if (view.isListDue) this.#readers.find(room)?.repair();
  }

  reset(room: string, { epoch }: RoomPosition, reason: ResetReason): void {
    const view = this.#viewOf(room);
    const audience = this.#audiences.get(room);
    const isOther = view.position?.epoch !== epoch;
    view.replace();
    if (isOther && reason === 'restart') {
      audience?.lost();
      this.parts.lost(room);
    }
    audience?.changed([]);
  }

  ended(room: string): void {
    this.#audiences.get(room)?.stop();
    this.#audiences.delete(room);
    this.#views.delete(room);
  }

  async #read(room: string): Promise<LogRead> {
    const view = this.#viewOf(room);
    const read = await view.read();
    view.fill();
    this.#audiences.get(room)?.changed([]);
    return read;
  }

  #viewOf(room: string): RoomView {
    const view = this.#views.get(room) ?? new RoomView(this.parts.store, room, this.#mostIn(room));
    this.#views.set(room, view);
    return view;
  }

  /** More isn't told. */
  #mostIn(room: string): PresenceSize {
    const { maxUsers, maxBytes } = this.parts.rules.of(room) as PresenceRule;
    return { users: maxUsers, bytes: maxBytes };
  }

  #open(room: string): RoomAudience {
    const { clock, local, rules, failed } = this.parts;
    const audience = new RoomAudience({
      room,
      rule: rules.of(room) as PresenceRule,
      view: this.#viewOf(room),
      clock,
      send: (clientId, message) => local.toClient(clientId, message),
      guard: (work) => guarded('the presence of a room', failed, work),
    });
    this.#audiences.set(room, audience);
    return audience;
  }
}
