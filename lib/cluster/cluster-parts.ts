import type { Clock } from '../clock.js';
import { systemClock } from '../clock.js';
import { Bus } from './bus.js';
import { type Ids, systemIds } from './ids.js';
import { MemoryNetwork, MemoryTransport } from './memory-network.js';
import type { RedisSource } from './redis-source.js';
import { isClusterSource } from './redis-connections.js';
import { RedisClusterTransport } from './redis-cluster-transport.js';
import { RedisTransport } from './redis-transport.js';
import { RedisRegistryStore } from './registry-store.js';
import { Steps } from './steps.js';
import type { RegistryStore } from './store-contract.js';

/** The bus and the registry's store of a node: for one process, for a memory network or for Redis. */
export interface ClusterParts {
  bus: Pick<Bus, keyof Bus>;
  /** Undefined where there are no other nodes. */
  store: RegistryStore | undefined;
  clock: Clock;
  ids: Ids;
}

export interface ClusterPartsOptions {
  redis: RedisSource | MemoryNetwork | undefined;
  prefix: string;
  /** Most bytes that may wait for Redis. */
  delivery?: { maxBusBytes?: number };
}

export function clusterParts({ redis, prefix, delivery }: ClusterPartsOptions, nodeId: string): ClusterParts {
  const common = { clock: systemClock, ids: systemIds };
  const options = { prefix, nodeId, maxBytes: delivery?.maxBusBytes, ...common };
  if (redis === undefined) {
    return { bus: new Bus(new MemoryTransport(systemClock), options), store: undefined, ...common };
  }
  if (redis instanceof MemoryNetwork) return { bus: new Bus(redis.join(), options), store: redis.store, ...common };
  const transport = isClusterSource(redis)
    ? new RedisClusterTransport(redis, systemClock)
    : new RedisTransport(redis, systemClock);
  const bus = new Bus(transport, options);
  const junk = (): void => void bus.counters.junk++;
  const store = new RedisRegistryStore(() => transport.connection, prefix, new Steps(systemClock, junk), junk);
  return { bus, store, ...common };
}
