import type { Clock } from '../clock.js';
import type { Interest } from '../cluster/channels.js';
import type { Cluster } from '../cluster/cluster.js';
import { Steps } from '../steps.js';

/**
 * Counts who needs the messages for a room, a user or a room's log: members on this node, and clients about to join.
 * The node receives them until the last one releases it.
 */
export class Followed {
  readonly #holds = new Map<string, number>();

  /** A client may have been the last member of thousands of rooms. */
  readonly release: (interest: Interest) => void;

  constructor(
    private readonly bus: Pick<Cluster, 'follow' | 'unfollow'>,
    clock: Clock,
    private readonly failed: (error: unknown, place: string) => void,
  ) {
    this.release = new Steps(clock, failed).queue('leaving a channel', (interest: Interest) => this.#release(interest));
  }

  /** Resolves when the messages arrive here. Call `release()` later, even if this rejects. */
  hold(interest: Interest): Promise<void> {
    const key = keyOf(interest);
    this.#holds.set(key, (this.#holds.get(key) ?? 0) + 1);
    return this.bus.follow(interest);
  }

  /** Like `hold()`, for callers that don't wait. */
  keep(interest: Interest): void {
    this.hold(interest).catch((error: unknown) => this.failed(error, `following a ${interest.kind}`));
  }

  #release(interest: Interest): void {
    const key = keyOf(interest);
    const left = (this.#holds.get(key) ?? 0) - 1;
    if (left > 0) this.#holds.set(key, left);
    else if (this.#holds.delete(key)) this.bus.unfollow(interest);
  }
}

const keyOf = ({ kind, name }: Interest): string => `${kind}:${name}`;
