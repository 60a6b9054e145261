import type { Clock } from '../clock.js';
import type { OutgoingMessage } from '../outbound/outgoing-message.js';
import { countsOtherwise, hearsWho, itselfOf, type Joiner, type Observer, Observers } from './observers.js';
import {
  DifferenceFrames,
  isEmpty,
  isSame,
  NOTHING,
  type PresenceDifference,
  presenceFrame,
  type PresencePush,
  type RoomPresence,
} from './presence-frames.js';
import type { PresenceRule } from './presence-options.js';
import { QUIET_MS } from './presence-store.js';
import type { PresentUser, RoomView } from './room-view.js';

export interface RoomAudienceParts {
  room: string;
  rule: PresenceRule;
  view: RoomView;
  clock: Clock;
  send(clientId: string, message: OutgoingMessage): void;
  guard(work: () => void): () => void;
}

/** How often members may get the whole list again when the number of users falls below the limit, in ms: it is a long message. */
const LIST_EVERY_MS = 5_000;

/**
 * The members of a room on this node that hear who is in it. They all know the same: what was pushed last. Changes are
 * collected, and what each push says is the difference between now and then, so that nobody hears anything twice.
 */
export class RoomAudience {
  readonly #observers: Observers;
  /** What the observers know. */
  readonly #told: Map<string, PresentUser>;
  #touched = new Set<string>();
  #epoch: string;
  #version: number;
  #total: number;
  /** The observers only know how many there are. */
  #isCrowded: boolean;
  /** When they got the whole list last. */
  #listedAt = -Infinity;
  #listNumber: number;
  #nobodyLeavesUntil = -Infinity;
  #cancelPush: (() => void) | undefined;
  #pushAt = 0;
  readonly #push: () => void;

  /** The reader of the room has started. */
  constructor(private readonly parts: RoomAudienceParts) {
    const { view, guard, send } = parts;
    this.#observers = new Observers(send);
    this.#told = new Map(view.users);
    this.#listNumber = view.listNumber;
    this.#epoch = view.position?.epoch ?? '';
    this.#version = view.position?.offset ?? 0;
    this.#total = view.total;
    this.#isCrowded = view.isCrowded || view.isListDue;
    this.#push = guard(() => this.#tell());
  }

  has(clientId: string): boolean {
    return this.#observers.has(clientId);
  }

  /** They are told of changes at once when another one joins. */
  get isSmall(): boolean {
    return this.#observers.areFew;
  }

  /** @returns what the others know, and the user itself */
  add(clientId: string, joiner: Joiner): RoomPresence {
    if (this.isSmall && this.#cancelPush) this.#push(); // so that its list has those who joined just before
    const { userId, hears } = joiner;
    const own = this.#told.get(userId);
    // Above the limit it isn't known whether it was counted. The next push has the number.
    const total = this.#isCrowded ? this.#total : this.#told.size + (own ? 0 : 1);
    const itself = itselfOf(joiner, own);
    this.#observers.set(clientId, { hears, userId, total, isMissing: false, data: itself.data });
    const place = { epoch: this.#epoch, version: this.#version, total };
    if (hears === 'count' || this.#isCrowded) return place;
    return { ...place, users: [...this.#told.values()].filter((user) => user.userId !== userId).concat(itself) };
  }

  remove(clientId: string): void {
    this.#observers.delete(clientId);
  }

  /** An observer has another user now. */
  identified(clientId: string, userId: string): void {
    const observer = this.#observers.get(clientId);
    const told = this.#told.get(userId);
    if (observer && observer.userId !== userId)
      this.#observers.set(clientId, { ...observer, userId, isMissing: !told, data: told?.data });
  }

  /** These users may differ from what was told. */
  changed(userIds: Iterable<string>): void {
    for (const userId of userIds) this.#touched.add(userId);
    this.#pushIn(this.parts.rule.coalesceMs);
  }

  /** The store lost something. Until all nodes have written again who they have, members aren't told that users left. */
  lost(): void {
    this.#nobodyLeavesUntil = this.parts.clock.now() + QUIET_MS;
  }

  stop(): void {
    this.#cancelPush?.();
    this.#cancelPush = undefined;
  }

  /** Or sooner, if that is due. */
  #pushIn(ms: number): void {
    const at = this.parts.clock.now() + ms;
    if (this.#cancelPush && this.#pushAt <= at) return;
    this.stop();
    this.#pushAt = at;
    this.#cancelPush = this.parts.clock.after(ms, this.#push);
  }

  #tell(): void {
    this.stop();
    const { view, clock } = this.parts;
    if (view.isListDue) return; // told once it has been read
    const now = clock.now();
    const wasCrowded = this.#isCrowded;
    // The number is wrong until all nodes have written again who they have.
    if (wasCrowded && now < this.#nobodyLeavesUntil) return this.#pushIn(this.#nobodyLeavesUntil - now);
    if (view.isCrowded) return this.#tellTotal();
    if (!wasCrowded) return this.#tellDifference();
    const waitMs = this.#listedAt + LIST_EVERY_MS - now;
    if (waitMs <= 0) return this.#tellAll();
    this.#tellTotal();
    this.#pushIn(waitMs);
  }

  /** Too many to say who they are. */
  #tellTotal(): void {
    const wasCrowded = this.#isCrowded;
    this.#told.clear();
    this.#touched.clear();
    this.#isCrowded = true;
    const count = this.#count(this.parts.view.total);
    // Observers with a list must know that it ends here.
    this.#observers.tell(count, (one) => one.total !== count.total || (!wasCrowded && hearsWho(one)));
  }

  /** They are few again. */
  #tellAll(): void {
    const { view, clock } = this.parts;
    this.#isCrowded = false;
    this.#listedAt = clock.now();
    this.#listNumber = view.listNumber;
    this.#touched.clear();
    for (const [userId, user] of view.users) this.#told.set(userId, user);
    const count = this.#tellCount();
    this.#observers.tell({ ...count, users: [...this.#told.values()] }, hearsWho);
    for (const [, one] of this.#observers) {
      one.isMissing = !this.#told.has(one.userId);
      one.data = this.#told.get(one.userId)?.data;
    }
  }

  #tellDifference(): void {
    const touched = this.#takeTouched();
    const difference = this.#take(touched);
    const count = this.#tellCount();
    if (!isEmpty(difference)) this.#sendDifference(count, difference);
    this.#observers.correct(touched, this.#told, count, difference);
  }

  /** Tells those who only count, where they know another number. */
  #tellCount(): PresencePush {
    const count = this.#count(this.#told.size);
    this.#observers.tell(count, countsOtherwise, (one) => this.#isCounted(one));
    return count;
  }

  /** Whether what is told counts the observer's user. Else the store is slow to take its join. */
  #isCounted({ userId, isMissing }: Observer): boolean {
    return isMissing || this.#told.has(userId);
  }

  #count(total: number): PresencePush {
    const { room, view } = this.parts;
    if (view.position) ({ epoch: this.#epoch, offset: this.#version } = view.position);
    this.#total = total;
    return { roomName: room, epoch: this.#epoch, version: this.#version, total };
  }

  /** The users that may differ from what is told. */
  #takeTouched(): ReadonlySet<string> {
    const { view } = this.parts;
    const touched = this.#touched;
    this.#touched = new Set();
    if (view.listNumber === this.#listNumber) return touched;
    this.#listNumber = view.listNumber;
    for (const userId of [...this.#told.keys(), ...view.users.keys()]) touched.add(userId);
    return touched;
  }

  /** Brings what is told of these users up to date. @returns what is new in it */
  #take(touched: Iterable<string>): PresenceDifference {
    const { view, clock } = this.parts;
    const difference: PresenceDifference = { joined: [], updated: [], left: [] };
    const quietMs = this.#nobodyLeavesUntil - clock.now();
    for (const userId of touched) {
      const [before, now] = [this.#told.get(userId), view.users.get(userId)];
      if (!now && before && quietMs > 0) {
        this.#touched.add(userId);
        continue;
      }
      if (now) this.#told.set(userId, now);
      else if (this.#told.delete(userId)) difference.left.push(userId);
      if (now && !before) difference.joined.push(now);
      else if (now && before && !isSame(now.data, before.data)) difference.updated.push(now);
    }
    if (this.#touched.size > 0) this.#pushIn(quietMs);
    return difference;
  }

  #sendDifference(head: PresencePush, difference: PresenceDifference): void {
    const frames = new DifferenceFrames(head, difference);
    const own = new Map<string, OutgoingMessage | undefined>();
    const ownOf = (userId: string): OutgoingMessage | undefined => {
      if (!own.has(userId)) own.set(userId, frames.of(this.#told.has(userId) ? head.total : head.total + 1, userId));
      return own.get(userId);
    };
    let message: OutgoingMessage | undefined;
    let withItself: OutgoingMessage | undefined;
    for (const [clientId, observer] of this.#observers) {
      const { hears, userId, total: before } = observer;
      if (hears !== true) continue;
      const total = this.#isCounted(observer) ? head.total : head.total + 1;
      observer.total = total;
      const isOwn = frames.names(userId);
      const knowsItself = isOwn && !observer.isMissing;
      if (isOwn && !knowsItself) Object.assign(observer, { isMissing: false, data: this.#told.get(userId)?.data });
      let due = knowsItself ? ownOf(userId) : undefined;
      if (!knowsItself && total === head.total) due = message ??= frames.of(total);
      else if (!knowsItself) due = withItself ??= frames.of(total);
      else if (!due && before !== total) due = presenceFrame({ ...head, ...NOTHING, total });
      if (due) this.parts.send(clientId, due);
    }
  }
}
