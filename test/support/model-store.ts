import { LEASE_MS } from '../../lib/cluster/registry-store.js';
import type { ClientRecord } from '../../lib/cluster/replica.js';

interface StoredClients {
  version: number;
  records: Map<string, ClientRecord>;
  /** A hash that never goes by itself is a leak, once its node is dead. */
  hasExpiry: boolean;
}

/** What the Redis of the simulation holds; every method is one command, atomic as there. */
export class ModelRedis {
  readonly nodes = new Set<string>();
  readonly leases = new Map<string, { version: number; until: number }>();
  readonly clients = new Map<string, StoredClients>();

  constructor(private readonly now: () => number) {}

  /** @returns whether the node has a lease now; one that isn't new gets none where it had none */
  replace(nodeId: string, version: number, records: ClientRecord[], isNew: boolean): boolean {
    this.clients.set(nodeId, {
      version,
      records: new Map(records.map((record) => [record.clientId, structuredClone(record)])),
      hasExpiry: true,
    });
    if (!isNew && this.leaseOf(nodeId) === undefined) return false;
    this.leases.set(nodeId, { version, until: this.now() + LEASE_MS });
    return true;
  }

  write(nodeId: string, version: number, clientId: string, record: ClientRecord | undefined): void {
    let stored = this.clients.get(nodeId);
    if (!stored) this.clients.set(nodeId, (stored = { version, records: new Map(), hasExpiry: true }));
    stored.version = version;
    if (record) stored.records.set(clientId, structuredClone(record));
    else stored.records.delete(clientId);
  }

  renew(nodeId: string, version: number): boolean {
    const stored = this.clients.get(nodeId);
    if (stored) stored.hasExpiry = true;
    if (this.leaseOf(nodeId) === undefined) return false;
    this.leases.set(nodeId, { version, until: this.now() + LEASE_MS });
    return true;
  }

  leaseOf(nodeId: string): number | undefined {
    const lease = this.leases.get(nodeId);
    return lease && lease.until > this.now() ? lease.version : undefined;
  }

  read(nodeId: string): { version: number; records: ClientRecord[] } | undefined {
    const stored = this.clients.get(nodeId);
    return stored && { version: stored.version, records: structuredClone([...stored.records.values()]) };
  }

  remove(nodeId: string): void {
    this.clients.delete(nodeId);
    this.leases.delete(nodeId);
  }

  wipe(): void {
    this.nodes.clear();
    this.leases.clear();
    this.clients.clear();
  }
}
