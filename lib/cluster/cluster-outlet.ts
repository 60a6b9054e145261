import type { Cluster, Redis } from 'ioredis';
import { isInterest } from './channels.js';
import { keySlot } from './key-slot.js';
import { refused } from './publish-queue.js';
import { Corks } from './redis-outlet.js';
import type { Outlet } from './transport.js';

/**
 * Publishes on a Redis Cluster: to the master of the channel's slot, or to the first master if every node subscribes. A
 * refused publication isn't sent to another master, as ioredis would: it would arrive after later ones.
 */
export class ClusterOutlet implements Outlet {
  readonly hasOneOrder = false;
  readonly #corks = new Corks();
  #masters = new Map<string, Redis>();

  constructor(private readonly cluster: Cluster) {}

  get isOpen(): boolean {
    return this.cluster.status === 'ready';
  }

  publish(channel: string, payload: string | Buffer): Promise<unknown> {
    const { cluster } = this;
    const isSharded = isInterest(channel);
    // A connection of the application may not be open yet. ioredis opens it.
    if (!this.isOpen) return isSharded ? cluster.spublish(channel, payload) : cluster.publish(channel, payload);
    const master = isSharded ? this.masterOf(channel) : this.#firstMaster();
    if (!master) {
      cluster.refreshSlotsCache();
      return refused('no master of the Redis Cluster serves this channel now');
    }
    this.#corks.cork(master.stream);
    const answer = isSharded ? master.spublish(channel, payload) : master.publish(channel, payload);
    answer.catch(this.#refresh); // the caller gets the rejection
    return answer;
  }

  flush(): void {
    this.#corks.uncork();
  }

  time(): Promise<readonly (string | number)[]> {
    return this.cluster.time();
  }

  /** The open connection to the master of this channel's slot. */
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

  /** The same one as long as it is there: messages on two connections could change places. */
  #firstMaster(): Redis | undefined {
    for (const master of this.#masters.values()) if (isUsable(master)) return master;
    this.#masters = new Map(this.cluster.nodes('master').map((node) => [nodeKey(node), node]));
    return [...this.#masters.values()].find(isUsable);
  }

  readonly #refresh = (): void => this.cluster.refreshSlotsCache();
}

/** The key of a master, as ioredis writes it in its table of slots. */
export const nodeKey = ({ options }: Redis): string => `${options.host}:${options.port}`;

/** A connection that is still connecting queues what it gets, in order. */
const isUsable = ({ status }: Redis): boolean => ['ready', 'wait', 'connecting', 'connect'].includes(status);
