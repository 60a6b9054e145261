import type { OutgoingMessage } from '../outbound/outgoing-message.js';
import {
  type Hears,
  isSame,
  NOTHING,
  type PresenceDifference,
  presenceFrame,
  type PresencePush,
} from './presence-frames.js';
import type { PresentUser } from './room-view.js';

export interface Observer {
  hears: Hears;
  userId: string;
  /** The number of users that it was sent last. */
  total: number;
  /** It wasn't told of its own user: its list is older than its join, or than the user. */
  isMissing: boolean;
  /** What it knows of its own user's data. */
  data: unknown;
}

/** A member that begins to hear who is in the room. */
export interface Joiner {
  userId: string;
  hears: Hears;
  /** The user's new presence data. Undefined: none. */
  data: unknown;
  /** The store can't have counted its connection yet. */
  isNew: boolean;
}

/** The user in its own list. @param told as the others know it */
export const itselfOf = ({ userId, data, isNew }: Joiner, told: PresentUser | undefined): PresentUser => ({
  userId,
  data: data === undefined ? (told?.data ?? null) : data,
  connections: Math.max(1, (told?.connections ?? 0) + (isNew ? 1 : 0)),
});

export const hearsWho = ({ hears }: Observer): boolean => hears === true;
/** It only hears how many there are, and was sent another number. */
export const countsOtherwise = (one: Observer, total: number): boolean => one.hears === 'count' && one.total !== total;

/** So many members are told of changes at once when another one joins. With more, that would be too many messages. */
const FEW = 32;

/** The members of a room on this node that hear who is in it. */
export class Observers {
  readonly #all = new Map<string, Observer>();
  /** The clients of each user. */
  readonly #ofUser = new Map<string, Set<string>>();

  constructor(private readonly send: (clientId: string, message: OutgoingMessage) => void) {}

  get areFew(): boolean {
    return this.#all.size <= FEW;
  }

  has(clientId: string): boolean {
    return this.#all.has(clientId);
  }

  hasUser(userId: string): boolean {
    return this.#ofUser.has(userId);
  }

  get(clientId: string): Observer | undefined {
    return this.#all.get(clientId);
  }

  set(clientId: string, observer: Observer): void {
    this.delete(clientId);
    this.#all.set(clientId, observer);
    this.#ofUser.set(observer.userId, (this.#ofUser.get(observer.userId) ?? new Set()).add(clientId));
  }

  delete(clientId: string): void {
    const observer = this.#all.get(clientId);
    if (!observer) return;
    this.#all.delete(clientId);
    const clients = this.#ofUser.get(observer.userId);
    clients?.delete(clientId);
    if (clients?.size === 0) this.#ofUser.delete(observer.userId);
  }

  /** These users are as the store says. Tells their own connections here, where they know something else and the difference doesn't say it. */
  correct(
    userIds: Iterable<string>,
    users: ReadonlyMap<string, PresentUser>,
    push: PresencePush,
    { updated }: PresenceDifference,
  ): void {
    for (const userId of userIds) {
      const user = users.get(userId);
      if (!user) continue;
      for (const clientId of this.#ofUser.get(userId) ?? []) {
        const observer = this.#all.get(clientId) as Observer;
        const isKnown = !hearsWho(observer) || isSame(observer.data, user.data) || updated.includes(user);
        observer.data = user.data;
        if (!isKnown) this.send(clientId, presenceFrame({ ...push, ...NOTHING, updated: [user] }));
      }
    }
  }

  [Symbol.iterator](): IterableIterator<[string, Observer]> {
    return this.#all.entries();
  }

  /**
   * Encodes it once, if anybody gets it, and once more for those who aren't counted yet: they know that they are here.
   * @param isFor called with the total that the observer would get
   */
  tell(
    push: PresencePush,
    isFor: (observer: Observer, total: number) => boolean,
    isCounted: (observer: Observer) => boolean = () => true,
  ): void {
    let message: OutgoingMessage | undefined;
    let withItself: OutgoingMessage | undefined;
    for (const [clientId, observer] of this.#all) {
      const total = isCounted(observer) ? push.total : push.total + 1;
      if (!isFor(observer, total)) continue;
      observer.total = total;
      if (total === push.total) this.send(clientId, (message ??= presenceFrame(push)));
      else this.send(clientId, (withItself ??= presenceFrame({ ...push, total })));
    }
  }
}
