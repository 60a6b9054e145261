import type { Clock } from '../clock.js';
import { LEASE_MS, type RegistryStore } from './registry-store.js';
import type { ClientRecord } from './replica.js';

interface StoredNode {
  version: number;
  /** As text, as it would lie in Redis. */
  records: Map<string, string>;
  leaseUntil: number;
}

/** What several servers of one process write down of their clients. */
export class MemoryRegistryStore implements RegistryStore {
  readonly #nodes = new Map<string, StoredNode>();

  constructor(private readonly clock: Clock) {}

  register(
    nodeId: string,
    version: number,
    records: Iterable<ClientRecord>,
    { isNew }: { isNew: boolean },
  ): Promise<boolean> {
    if (!isNew && !this.#isAlive(nodeId)) return Promise.resolve(false);
    const texts = new Map([...records].map((record) => [record.clientId, JSON.stringify(record)]));
    this.#nodes.set(nodeId, { version, records: texts, leaseUntil: this.clock.now() + LEASE_MS });
    return Promise.resolve(true);
  }

  write(nodeId: string, version: number, clientId: string, record: ClientRecord | undefined): Promise<void> {
    const node = this.#nodes.get(nodeId);
    if (!node) return Promise.resolve();
    node.version = version;
    if (record) node.records.set(clientId, JSON.stringify(record));
    else node.records.delete(clientId);
    return Promise.resolve();
  }

  renew(nodeId: string, version: number): Promise<boolean> {
    const node = this.#nodes.get(nodeId);
    if (!node || !this.#isAlive(nodeId)) return Promise.resolve(false);
    node.version = version;
    node.leaseUntil = this.clock.now() + LEASE_MS;
    return Promise.resolve(true);
  }

  leases(): Promise<Map<string, number | undefined>> {
    const leases = [...this.#nodes].map(
      ([nodeId, { version }]) => [nodeId, this.#isAlive(nodeId) ? version : undefined] as const,
    );
    return Promise.resolve(new Map(leases));
  }

  read(nodeId: string): Promise<{ version: number; records: ClientRecord[] } | undefined> {
    const node = this.#nodes.get(nodeId);
    const records = [...(node?.records.values() ?? [])].map((text) => JSON.parse(text) as ClientRecord);
    return Promise.resolve(node && { version: node.version, records });
  }

  reap(nodeId: string): Promise<boolean> {
    return Promise.resolve(this.#nodes.delete(nodeId));
  }

  #isAlive(nodeId: string): boolean {
    return (this.#nodes.get(nodeId)?.leaseUntil ?? 0) > this.clock.now();
  }
}
