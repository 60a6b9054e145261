import type { BusCounters, BusState } from './cluster/bus-receiver.js';
import type { BackpressureCounters } from './outbound/flusher.js';
import type { ServerParts } from './compose-server.js';

/**
 * `starting`: until `start()` has finished. `ready`: other nodes are reached. `down`: they aren't, this node's own clients are
 * served. `draining`: from the call of `stop()`, before the first client is told to go. `stopped`: they are gone.
 */
export type ServerState = BusState | 'draining';

/** How this node stands in the cluster. */
export interface ServerStatus {
  state: ServerState;
  nodeId: string;
  /**
   * What can't be reached: `redis`, or of a Redis Cluster the masters (`host:port`), whose rooms, users and nodes get nothing from
   * elsewhere, and `broadcasts`, which is what all nodes hear. Empty while the state is `ready`.
   */
  away: string[];
  /** Every node that is known, this one included. */
  nodeIds: string[];
  /** Connections of this node. */
  connections: number;
  /** What was lost or passed over on the bus since the start. */
  counters: Readonly<BusCounters>;
  /** Handshakes that this node refused since the start, by the code of the refusal. */
  refused: Readonly<Record<string, number>>;
  /** What slow clients of this node didn't get since the start, and how many bytes wait for them now. */
  backpressure: Readonly<BackpressureCounters> & { waitingBytes: number };
}

/** As it is now. */
export function statusOf({ cluster, connections, flusher, lifecycle, refusals }: ServerParts): ServerStatus {
  const { state, away, nodeId, nodeIds, counters } = cluster;
  return {
    state: lifecycle.isStopping ? 'draining' : state,
    away,
    nodeId,
    nodeIds,
    connections: connections.open.size,
    refused: refusals.counters,
    counters,
    backpressure: { ...flusher.counters, waitingBytes: flusher.waitingBytes },
  };
}
