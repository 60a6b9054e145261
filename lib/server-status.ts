import type { Refusals } from './admission/refusals.js';
import type { BusCounters, BusState } from './cluster/bus-receiver.js';
import type { Cluster } from './cluster/cluster.js';
import type { Connections } from './connection/connections.js';
import type { BackpressureCounters, Flusher } from './outbound/flusher.js';
import type { ServerLifecycle } from './server-lifecycle.js';

/**
 * `starting`: until `start()` has finished. `ready`: other nodes can be reached. `down`: they can't, and this node
 * serves its own clients. `draining`: `stop()` was called. `stopped`: all clients are gone.
 */
export type ServerState = BusState | 'draining';

/** The state of this node in the cluster. Scope of every field but `nodeIds`: this node. */
export interface ServerStatus {
  /** What the node is doing now, and whether it reaches the other nodes. */
  state: ServerState;
  /** The id of this node. It changes if the other nodes took this node for dead. */
  nodeId: string;
  /**
   * What can't be reached: `redis`; with a Redis Cluster, the masters (`host:port`) whose rooms, users and nodes get
   * nothing from other nodes, and `broadcasts` for messages to every node. Empty while the state is `ready`.
   */
  away: string[];
  /** Every known node, this one included. */
  nodeIds: string[];
  /** Connections of this node. */
  connections: number;
  /** What was lost or dropped on the bus since the start. */
  counters: Readonly<BusCounters>;
  /** Handshakes that this node refused since the start, by error code. */
  refused: Readonly<Record<string, number>>;
  /** What slow clients of this node didn't get since the start, and how many bytes wait for them now. */
  backpressure: Readonly<BackpressureCounters> & { waitingBytes: number };
}

export interface StatusParts {
  readonly cluster: Cluster;
  readonly connections: Connections;
  readonly flusher: Flusher;
  readonly lifecycle: ServerLifecycle;
  readonly refusals: Refusals;
}

/** The status at this moment. */
export function statusOf({ cluster, connections, flusher, lifecycle, refusals }: StatusParts): ServerStatus {
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
