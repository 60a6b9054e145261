import type { Cluster, Redis } from 'ioredis';
import { isInterest } from './channels.js';
import { keySlot } from './key-slot.js';
import { refused } from './publish-queue.js';
import { Corks } from './redis-outlet.js';
import type { Outlet } from './transport.js';

/**
 * Publishes on a Redis Cluster: at the master of the channel's slot, or, for what everybody hears of, at the first one. What a
 * master refuses isn't tried again at another, as ioredis would: what was published meanwhile would overtake it.
 */
export class ClusterOutlet implements Outlet {
  readonly #corks = new Corks();
  #masters = new Map<string, Redis>();

  constructor(private readonly cluster: Cluster) {}

  get isOpen(): boolean {
    return this.cluster.status === 'ready';
  }

  publish(channel: string, payload: string | Buffer): Promise<unknown> {
    const { cluster } = this;
    const isSharded = isInterest(channel);
    // A connection of the application's own may not be in use yet: ioredis connects it, and finds the way.
    if (!this.isOpen) return isSharded ? cluster.spublish(channel, payload) : cluster.publish(channel, payload);
    const master = isSharded ? this.masterOf(channel) : this.#firstMaster();
    if (!master) {
      cluster.refreshSlotsCache();
      return refused('no master of the Redis Cluster serves this channel now');
    }
    this.#corks.cork(master.stream);
    const answer = isSharded ? master.spublish(channel, payload) : master.publish(channel, payload);
    answer.catch(this.#refresh); // the rejection itself goes to the caller
    return answer;
  }

  flush(): void {
    this.#corks.uncork();
  }

  time(): Promise<readonly (string | number)[]> {
    return this.cluster.time();
  }

  /** The connection to the master that serves this channel, if it can be used. */
  masterOf(channel: string): Redis | undefined {
    const key = this.cluster.slots[keySlot(channel)]?.[0];
    return key === undefined ? undefined : this.#usable(key);
  }

  #usable(key: string): Redis | undefined {
    const known = this.#masters.get(key);
    if (known && isUsable(known)) return known;
    this.#masters = new Map(this.cluster.nodes('master').map((node) => [nodeKey(node), node]));
    const found = this.#masters.get(key);
    return found && isUsable(found) ? found : undefined;
  }

  /** Always the same while it is there: what one is told, and then another, changes places. */
  #firstMaster(): Redis | undefined {
    for (const master of this.#masters.values()) if (isUsable(master)) return master;
    this.#masters = new Map(this.cluster.nodes('master').map((node) => [nodeKey(node), node]));
    return [...this.#masters.values()].find(isUsable);
  }

  readonly #refresh = (): void => this.cluster.refreshSlotsCache();
}

/** As the table of slots names it. */
export const nodeKey = ({ options }: Redis): string => `${options.host}:${options.port}`;

/** One that is about to connect keeps what it is told, in its order. */
const isUsable = ({ status }: Redis): boolean => ['ready', 'wait', 'connecting', 'connect'].includes(status);
