import type { FieldWrites } from './client-fields.js';
import type { Digest, Snapshot } from './replica.js';

/**
 * `kept`: all is there. `incomplete`: the clients don't match the digest. `lost`: there are none. `buried`: others took the
 * node for dead.
 */
export type Renewal = 'kept' | 'incomplete' | 'lost' | 'buried';

/** `alive`: the node renews it. `dead`: the node was taken for dead, or left. `none`: it ran out or was lost. */
export type Lease = 'alive' | 'dead' | 'none';

/** Stores the registry: a set of nodes, and for each a lease and a hash of its clients. Redis may lose any of them. */
export interface RegistryStore {
  /** False while Redis can't be reached. */
  isReachable(): boolean;
  /** A denied permission: asking again doesn't help. */
  refusalIn(error: unknown): Error | undefined;
  /** Writes a node's whole entry in place of the old one. False if others took the node for dead. */
  register(nodeId: string, digest: Digest, fields: FieldWrites): Promise<boolean>;
  /** Runs each command that is needed later, without an effect, so that a denied permission is noticed at the start. */
  rehearse(nodeId: string): Promise<void>;
  /** Changes these fields in one step. To no effect if the entry isn't there: `renew()` says so. */
  write(nodeId: string, digest: Digest, fields: FieldWrites): Promise<void>;
  /** Renews the lease, writes it again if it was lost, and checks that the clients are still there. */
  renew(nodeId: string, digest: Digest): Promise<Renewal>;
  /** Adds a node to the set of nodes. */
  enlist(nodeId: string): Promise<void>;
  /** Called at each beat: without nodes, the set of nodes ends by itself. */
  keepList(): Promise<void>;
  /** The leases of all nodes in the set, and of `knownIds`. */
  leases(knownIds: Iterable<string>): Promise<Map<string, Lease>>;
  read(nodeId: string): Promise<Snapshot>;
  /** Marks a node without a lease as dead. True for exactly one of those who try, and for none if the node is back. */
  bury(nodeId: string): Promise<boolean>;
  /** Marks a node as dead, even with a lease: its end was announced before. */
  condemn(nodeId: string): Promise<void>;
  /** Removes a dead node's entry. The mark stays for a while, so that the node notices it. */
  strike(nodeId: string): Promise<void>;
  /** Removes a node that leaves, so that nobody has to bury it. */
  leave(nodeId: string): Promise<void>;
}
