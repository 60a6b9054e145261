import type { Interest } from '../cluster/channels.js';
import type { Cluster } from '../cluster/cluster.js';

/**
 * Counts who needs the messages for a room, a user or a room's log: its members here, and whoever is about to become one. The node goes on
 * hearing of them until the last has let go.
 */
export class Followed {
  readonly #holds = new Map<string, number>();

  constructor(
    private readonly bus: Pick<Cluster, 'follow' | 'unfollow'>,
    private readonly failed: (error: unknown, place: string) => void,
  ) {}

  /** @returns once the messages arrive here. Whoever called must call `release()`, whether it resolves or rejects. */
  hold(interest: Interest): Promise<void> {
    const key = keyOf(interest);
    this.#holds.set(key, (this.#holds.get(key) ?? 0) + 1);
    return this.bus.follow(interest);
  }

  /** The same where nobody waits for it. */
  keep(interest: Interest): void {
    this.hold(interest).catch((error: unknown) => this.failed(error, `following a ${interest.kind}`));
  }

  release(interest: Interest): void {
    const key = keyOf(interest);
    const left = (this.#holds.get(key) ?? 0) - 1;
    if (left > 0) this.#holds.set(key, left);
    else if (this.#holds.delete(key)) this.bus.unfollow(interest);
  }
}

const keyOf = ({ kind, name }: Interest): string => `${kind}:${name}`;
