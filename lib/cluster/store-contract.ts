import type { FieldWrites } from './client-fields.js';
import type { Digest, Snapshot } from './replica.js';

/** `kept`: all is there. `incomplete`: the clients aren't what the digest says. `buried`: others took the node for dead. */
export type Renewal = 'kept' | 'incomplete' | 'buried';

/** Of a node: it renews it; it was taken for dead, or left; there is none, be it that it ran out or that it was lost. */
export type Lease = 'alive' | 'dead' | 'none';

/** Where the truth lies: a set of nodes, and per node a lease and a hash of its clients. Redis may lose any of them. */
export interface RegistryStore {
  /** False while nothing can be asked. */
  isReachable(): boolean;
  /** What Redis says to this user, and will say again. */
  refusalIn(error: unknown): Error | undefined;
  /** Writes the whole of a node, in place of whatever there was. False: others took it for dead. */
  register(nodeId: string, digest: Digest, fields: readonly (readonly [string, string])[]): Promise<boolean>;
  /** Changes these fields, all at once. */
  write(nodeId: string, digest: Digest, fields: FieldWrites): Promise<void>;
  /** Renews the lease, writing it anew where it was lost, and looks whether the clients are still there. */
  renew(nodeId: string, digest: Digest): Promise<Renewal>;
  /** Makes the node known. */
  enlist(nodeId: string): Promise<void>;
  /** The leases of all nodes in the set, and of these. */
  leases(knownIds: Iterable<string>): Promise<Map<string, Lease>>;
  read(nodeId: string): Promise<Snapshot>;
  /** Marks a node without a lease as dead. True for exactly one of those who try; for none when it is back. */
  bury(nodeId: string): Promise<boolean>;
  /** Marks a node as dead whose end was raised before, whatever it says of itself. */
  condemn(nodeId: string): Promise<void>;
  /** Removes what a dead node wrote. The mark stays for a while, so that it notices itself. */
  strike(nodeId: string): Promise<void>;
  /** The node goes by itself: nobody need bury it. */
  leave(nodeId: string): Promise<void>;
}
