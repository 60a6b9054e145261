import { type FieldWrites, readFields } from '../../lib/cluster/client-fields.js';
import { LEASE_MS } from '../../lib/cluster/registry-store.js';
import type { Lease, Renewal } from '../../lib/cluster/store-contract.js';
import type { Digest, Snapshot } from '../../lib/cluster/replica.js';

interface StoredClients {
  digest: Digest | undefined;
  fields: Map<string, string>;
  /** A hash that never goes by itself is a leak, once its node is dead. */
  readonly hasExpiry: boolean;
}

const DEAD_MS = 60_000;

/** What the Redis of the simulation holds; every method is one command or transaction, atomic as there. */
export class ModelRedis {
  readonly nodes = new Set<string>();
  readonly leases = new Map<string, { isDead: boolean; until: number }>();
  readonly clients = new Map<string, StoredClients>();
  /** Out of memory, and told to evict nothing. */
  refusesWrites = false;

  constructor(private readonly now: () => number) {}

  /** @returns false for a node that was taken for dead */
  replace(nodeId: string, digest: Digest, writes: FieldWrites): boolean {
    this.#checkMemory();
    this.clients.set(nodeId, { digest, fields: new Map(), hasExpiry: true });
    this.write(nodeId, digest, writes);
    if (this.leaseOf(nodeId) === 'none') return this.setLease(nodeId, false);
    return this.#extendLease(nodeId) === 'alive';
  }

  enlist(nodeId: string): void {
    this.#checkMemory();
    this.nodes.add(nodeId);
  }

  write(nodeId: string, digest: Digest, writes: FieldWrites): void {
    this.#checkMemory();
    const stored = this.clients.get(nodeId);
    if (!stored) return;
    stored.digest = digest;
    for (const [field, text] of writes) {
      if (text === undefined) stored.fields.delete(field);
      else stored.fields.set(field, text);
    }
  }

  renew(nodeId: string, { version, count }: Digest): { lease: Lease; renewal: Renewal } {
    const lease = this.#extendLease(nodeId);
    const stored = this.clients.get(nodeId);
    const isKept = stored?.digest?.version === version && stored.digest.count === count && stored.fields.size === count;
    return { lease, renewal: lease === 'dead' ? 'buried' : isKept ? 'kept' : stored ? 'incomplete' : 'lost' };
  }

  /** Where there is none. @returns whether there was none */
  setLease(nodeId: string, isDead: boolean): boolean {
    this.#checkMemory();
    if (this.leaseOf(nodeId) !== 'none') return false;
    this.leases.set(nodeId, { isDead, until: this.now() + (isDead ? DEAD_MS : LEASE_MS) });
    return true;
  }

  leaseOf(nodeId: string): Lease {
    const lease = this.leases.get(nodeId);
    if (!lease || lease.until <= this.now()) return 'none';
    return lease.isDead ? 'dead' : 'alive';
  }

  read(nodeId: string): Snapshot {
    const { digest, fields = new Map<string, string>() } = this.clients.get(nodeId) ?? {};
    return {
      digest: digest ?? { version: 0, count: 0 },
      records: readFields(nodeId, fields),
      isComplete: digest?.count === fields.size,
    };
  }

  markDead(nodeId: string): void {
    this.#checkMemory();
    this.leases.set(nodeId, { isDead: true, until: this.now() + DEAD_MS });
  }

  wipe(): void {
    this.nodes.clear();
    this.leases.clear();
    this.clients.clear();
  }

  /** One key is gone: evicted, or with a shard that came back empty. @returns the node whose lease or mark it was */
  lose(pick: number): string | undefined {
    const keys = [...this.leases.keys(), ...this.clients.keys()];
    const at = pick % (keys.length + 1);
    const key = keys[at];
    const isLease = at < this.leases.size;
    if (key === undefined) this.nodes.clear();
    else (isLease ? this.leases : this.clients).delete(key);
    return isLease ? key : undefined;
  }

  /** Somebody writes into a hash what its node never said. */
  forge(pick: number): void {
    const stored = [...this.clients.values()][pick % Math.max(1, this.clients.size)];
    if (!stored) return;
    if (pick % 3 === 0) stored.digest = undefined;
    else if (pick % 3 === 1) stored.digest = { version: 2 ** 47, count: stored.fields.size };
    else for (const field of [...stored.fields.keys()].slice(0, 1)) stored.fields.delete(field);
  }

  #extendLease(nodeId: string): Lease {
    const found = this.leaseOf(nodeId);
    if (found === 'alive') this.leases.set(nodeId, { isDead: false, until: this.now() + LEASE_MS });
    return found;
  }

  #checkMemory(): void {
    if (this.refusesWrites) throw new Error("OOM command not allowed when used memory > 'maxmemory'.");
  }
}
