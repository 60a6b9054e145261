import type { PresentUser } from '../protocol/message.js';
import type { ClientRoom } from './client-room.js';

/** Who is in a room. */
export interface PresenceState {
  /** In the order in which they came. Empty if the server sends only the number. */
  readonly users: readonly PresentUser[];
  /** The number of users. */
  readonly total: number;
  /** True without a connection: the users are those that were known before. */
  readonly isStale: boolean;
  /** The id of this client's own user. Undefined before the first join. */
  readonly ownId: string | undefined;
}

const NOBODY: PresenceState = { users: [], total: 0, isStale: true, ownId: undefined };

export const nobody = (): PresenceState => NOBODY;

const factsOf = ({ users, total, isStale, ownId }: PresenceState): unknown[] => [total, isStale, ownId, ...users];

/** Who is in one room, as a value that stays the same until something changes. */
class PresenceStore {
  #state = NOBODY;
  readonly #followers = new Set<() => void>();
  #stop: (() => void) | undefined;

  constructor(private readonly room: ClientRoom) {}

  readonly get = (): PresenceState => {
    if (!this.#stop) this.#look();
    return this.#state;
  };

  readonly subscribe = (changed: () => void): (() => void) => {
    this.#followers.add(changed);
    this.#stop ??= this.#follow();
    return () => {
      this.#followers.delete(changed);
      if (this.#followers.size > 0) return;
      this.#stop?.();
      this.#stop = undefined;
    };
  };

  /** One push may tell of thousands of users. It is looked at once, whatever the number of its events and of the components. */
  #follow(): () => void {
    const { room } = this;
    let isDue = false;
    const changed = (): void => {
      if (isDue) return;
      isDue = true;
      queueMicrotask(() => {
        isDue = false;
        this.#look();
        for (const follower of this.#followers) follower();
      });
    };
    const events = ['joined', 'updated', 'left', 'synced'] as const;
    const offs = [...events.map((event) => room.presence.on(event, changed)), room.on('state', changed)];
    this.#look();
    return () => {
      for (const off of offs) off();
    };
  }

  #look(): void {
    const { presence } = this.room;
    const { total, isStale, ownId } = presence;
    const now = { users: [...presence.values()], total, isStale, ownId };
    const [facts, before] = [factsOf(now), factsOf(this.#state)];
    if (facts.length !== before.length || facts.some((fact, at) => fact !== before[at])) this.#state = now;
  }
}

const stores = new WeakMap<ClientRoom, PresenceStore>();

export function presenceStoreOf(room: ClientRoom): PresenceStore {
  const store = stores.get(room) ?? new PresenceStore(room);
  stores.set(room, store);
  return store;
}
