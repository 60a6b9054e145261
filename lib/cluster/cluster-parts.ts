import type { Clock } from '../clock.js';
import { Bus } from './bus.js';
import type { System } from '../system.js';
import type { Ids } from './ids.js';
import { MemoryNetwork, MemoryTransport } from './memory-network.js';
import { NodeIdentity } from './node-identity.js';
import type { RedisSource } from './redis-source.js';
import { isClusterSource } from './redis-connections.js';
import { RedisClusterTransport } from './redis-cluster-transport.js';
import { RedisTransport } from './redis-transport.js';
import { RedisRegistryStore } from './registry-store.js';
import { Steps } from '../steps.js';
import type { RegistryStore } from './store-contract.js';

/** The bus and the registry's store of a node: for one process, for a memory network or for Redis. */
export interface ClusterParts {
  bus: Pick<Bus, keyof Bus>;
  /** Undefined where there are no other nodes. */
  store: RegistryStore | undefined;
  clock: Clock;
  ids: Ids;
  node: NodeIdentity;
}

export interface ClusterPartsOptions {
  redis: RedisSource | MemoryNetwork | undefined;
  prefix: string;
  /** Most bytes that may wait for Redis. */
  delivery?: { maxBusBytes?: number };
}

export function clusterParts(
  { redis, prefix, delivery }: ClusterPartsOptions,
  /** Reports errors that no caller can catch. */
  failed: (error: Error) => void,
  system: System,
): ClusterParts {
  const { clock, ids } = system;
  const node = new NodeIdentity(ids);
  const common = { clock, ids, node };
  const options = { prefix, nodeId: node.id, maxBytes: delivery?.maxBusBytes, clock, ids };
  if (redis === undefined) {
    return { bus: new Bus(new MemoryTransport(clock), options), store: undefined, ...common };
  }
  if (redis instanceof MemoryNetwork) return { bus: new Bus(redis.join(), options), store: redis.store, ...common };
  const transport = isClusterSource(redis)
    ? new RedisClusterTransport(redis, system)
    : new RedisTransport(redis, system);
  const bus = new Bus(transport, options);
  const junk = (): void => void bus.counters.junk++;
  const steps = new Steps(clock, junk);
  const store = new RedisRegistryStore(() => transport.connection, prefix, steps, failed, junk);
  return { bus, store, ...common };
}
