import { systemClock } from '../../lib/clock.js';
import type { Bus } from '../../lib/cluster/bus.js';
import { clusterParts } from '../../lib/cluster/cluster-parts.js';
import { systemIds } from '../../lib/cluster/ids.js';
import { MemoryNetwork } from '../../lib/cluster/memory-network.js';
import type { RedisSource } from '../../lib/cluster/redis-source.js';
import type { RegistryStore } from '../../lib/cluster/store-contract.js';
import type { System } from '../../lib/system.js';

export interface TestBus {
  bus: Bus;
  store: RegistryStore | undefined;
}

const named = (nodeId: string): System => ({ clock: systemClock, ids: { ...systemIds, nodeId: () => nodeId } });

/** A bus as a node has it, without the node. */
export function redisBus(redis: RedisSource, prefix: string, nodeId: string, maxBytes?: number): TestBus {
  const delivery = maxBytes === undefined ? {} : { delivery: { maxBusBytes: maxBytes } };
  const { bus, store } = clusterParts({ redis, prefix, ...delivery }, () => undefined, named(nodeId));
  return { bus: bus as Bus, store };
}

/** For several servers of this process: give each the same as its `redis`. */
export const memoryRedis = (): RedisSource => new MemoryNetwork(systemClock) as unknown as RedisSource;

/** @param network without one it is alone */
export function memoryBus(network: MemoryNetwork | undefined, prefix: string, nodeId: string): TestBus {
  const { bus, store } = clusterParts({ redis: network, prefix }, () => undefined, named(nodeId));
  return { bus: bus as Bus, store };
}
