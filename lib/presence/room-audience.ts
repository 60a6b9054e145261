import type { Clock } from '../clock.js';
import type { OutgoingMessage } from '../outbound/outgoing-message.js';
import {
  type Hears,
  isEmpty,
  type PresenceDifference,
  presenceFrame,
  type PresencePush,
  type RoomPresence,
  without,
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

interface Observer {
  hears: Hears;
  userId: string;
}

/**
 * The members of a room on this node that hear who is in it. They all know the same: what was pushed last. Changes are
 * collected, and what each push says is the difference between now and then, so that nobody hears anything twice.
 */
export class RoomAudience {
  readonly #observers = new Map<string, Observer>();
  /** Those of each user. */
  readonly #ofUser = new Map<string, Set<string>>();
  /** What the observers know. */
  readonly #told: Map<string, PresentUser>;
  readonly #touched = new Set<string>();
  #epoch: string;
  #version: number;
  #total: number;
  /** The observers only know how many there are. */
  #isCrowded: boolean;
  #nobodyLeavesUntil = -Infinity;
  #cancelPush: (() => void) | undefined;
  readonly #push: () => void;

  /** The reader of the room has started. */
  constructor(private readonly parts: RoomAudienceParts) {
    const { view, rule, guard } = parts;
    this.#told = new Map(view.users);
    this.#epoch = view.position?.epoch ?? '';
    this.#version = view.position?.offset ?? 0;
    this.#total = this.#told.size;
    this.#isCrowded = this.#total > rule.maxUsers;
    this.#push = guard(() => this.#tell());
  }

  get size(): number {
    return this.#observers.size;
  }

  has(clientId: string): boolean {
    return this.#observers.has(clientId);
  }

  /** @param data what the user says of itself with this. Undefined if nothing @returns what the others know, and itself */
  add(clientId: string, userId: string, hears: Hears, data: unknown): RoomPresence {
    const isNew = !this.#observers.has(clientId);
    this.remove(clientId);
    this.#enter(clientId, { hears, userId });
    const own = this.#told.get(userId);
    const total = this.#told.size + (own ? 0 : 1);
    const place = { epoch: this.#epoch, version: this.#version, total };
    if (hears === 'count' || this.#isCrowded) return place;
    const connections = (own?.connections ?? 0) + (isNew ? 1 : 0);
    const users = [...this.#told.values()].filter((user) => user.userId !== userId);
    users.push({
      userId,
      data: data === undefined ? (own?.data ?? null) : data,
      connections: Math.max(1, connections),
    });
    return { ...place, users };
  }

  remove(clientId: string): void {
    const observer = this.#observers.get(clientId);
    if (!observer) return;
    this.#observers.delete(clientId);
    const clients = this.#ofUser.get(observer.userId);
    clients?.delete(clientId);
    if (clients?.size === 0) this.#ofUser.delete(observer.userId);
  }

  /** An observer is another user. */
  identified(clientId: string, userId: string): void {
    const observer = this.#observers.get(clientId);
    if (!observer) return;
    this.remove(clientId);
    this.#enter(clientId, { ...observer, userId });
  }

  /** These users may differ from what was told. */
  changed(userIds: Iterable<string>): void {
    for (const userId of userIds) this.#touched.add(userId);
    if (this.#touched.size > 0) this.#pushIn(this.parts.rule.coalesceMs);
  }

  /** The store lost something. Until all nodes have said again who they have, nobody is told of leaves. */
  lost(): void {
    const { clock } = this.parts;
    this.#nobodyLeavesUntil = clock.now() + QUIET_MS;
  }

  stop(): void {
    this.#cancelPush?.();
  }

  #enter(clientId: string, observer: Observer): void {
    this.#observers.set(clientId, observer);
    this.#ofUser.set(observer.userId, (this.#ofUser.get(observer.userId) ?? new Set()).add(clientId));
  }

  #pushIn(ms: number): void {
    this.#cancelPush ??= this.parts.clock.after(ms, this.#push);
  }

  #tell(): void {
    this.#cancelPush = undefined;
    const { room, rule, view } = this.parts;
    const difference = this.#take();
    if (view.position) ({ epoch: this.#epoch, offset: this.#version } = view.position);
    const [totalBefore, wasCrowded] = [this.#total, this.#isCrowded];
    const total = (this.#total = this.#told.size);
    this.#isCrowded = total > rule.maxUsers;
    const head = { roomName: room, epoch: this.#epoch, version: this.#version, total };
    if (this.#observers.size === 0) return;
    const isOtherTotal = total !== totalBefore;
    if (isOtherTotal) this.#send(head, ({ hears }) => hears === 'count' || this.#isCrowded);
    if (this.#isCrowded) return;
    if (wasCrowded) this.#send({ ...head, users: [...this.#told.values()] }, hearsWho);
    else if (!isEmpty(difference)) this.#sendDifference(head, difference);
  }

  /** Brings what is told up to date. @returns what is new in it */
  #take(): PresenceDifference {
    const { view, clock } = this.parts;
    const difference: PresenceDifference = { joined: [], updated: [], left: [] };
    const quietMs = this.#nobodyLeavesUntil - clock.now();
    const waiting: string[] = [];
    for (const userId of this.#touched) {
      const [before, now] = [this.#told.get(userId), view.users.get(userId)];
      if (!now && before && quietMs > 0) {
        waiting.push(userId);
        continue;
      }
      if (now) this.#told.set(userId, now);
      else if (this.#told.delete(userId)) difference.left.push(userId);
      if (now && !before) difference.joined.push(now);
      else if (now && before && !isSame(now.data, before.data)) difference.updated.push(now);
    }
    this.#touched.clear();
    for (const userId of waiting) this.#touched.add(userId);
    if (waiting.length > 0) this.#pushIn(quietMs);
    return difference;
  }

  #sendDifference(head: PresencePush, difference: PresenceDifference): void {
    const own = new Map<string, OutgoingMessage | undefined>();
    for (const userId of [...difference.joined.map((user) => user.userId), ...difference.left]) {
      if (!this.#ofUser.has(userId)) continue;
      const rest = without(userId, difference);
      own.set(userId, isEmpty(rest) ? undefined : presenceFrame({ ...head, ...rest }));
    }
    const message = presenceFrame({ ...head, ...difference });
    for (const [clientId, { hears, userId }] of this.#observers) {
      const due = own.has(userId) ? own.get(userId) : message;
      if (hears === true && due) this.parts.send(clientId, due);
    }
  }

  #send(push: PresencePush, isFor: (observer: Observer) => boolean): void {
    let message: OutgoingMessage | undefined;
    for (const [clientId, observer] of this.#observers)
      if (isFor(observer)) this.parts.send(clientId, (message ??= presenceFrame(push)));
  }
}

const hearsWho = ({ hears }: Observer): boolean => hears === true;

const isSame = (one: unknown, other: unknown): boolean =>
  one === other || JSON.stringify(one) === JSON.stringify(other);
