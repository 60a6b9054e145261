import type { Clock } from '../clock.js';
import { type Lease, LEASE_MS, type RegistryStore, type Renewal } from './registry-store.js';
import type { ClientRecord, Digest, Snapshot } from './replica.js';

interface StoredNode {
  digest: Digest;
  /** As text, as it would lie in Redis. */
  records: Map<string, string>;
  leaseUntil: number;
  isDead: boolean;
}

/** Dead nodes that are remembered: one that comes back later is a new one. */
const MAX_DEAD = 1_000;

/** What several servers of one process write down of their clients. It loses nothing. */
export class MemoryRegistryStore implements RegistryStore {
  readonly #nodes = new Map<string, StoredNode>();

  constructor(private readonly clock: Clock) {}

  isReachable(): boolean {
    return true;
  }

  refusalIn(): undefined {
    return undefined;
  }

  register(nodeId: string, digest: Digest, records: Iterable<ClientRecord>): Promise<boolean> {
    if (this.#leaseOf(nodeId) === 'dead') return Promise.resolve(false);
    const texts = new Map([...records].map((record) => [record.clientId, JSON.stringify(record)]));
    this.#nodes.set(nodeId, { digest, records: texts, leaseUntil: this.clock.now() + LEASE_MS, isDead: false });
    return Promise.resolve(true);
  }

  write(nodeId: string, digest: Digest, clientId: string, record: ClientRecord | undefined): Promise<void> {
    const node = this.#nodes.get(nodeId);
    if (!node || node.isDead) return Promise.resolve();
    node.digest = digest;
    if (record) node.records.set(clientId, JSON.stringify(record));
    else node.records.delete(clientId);
    return Promise.resolve();
  }

  renew(nodeId: string, { version, count }: Digest): Promise<Renewal> {
    const node = this.#nodes.get(nodeId);
    if (!node) return Promise.resolve('incomplete');
    if (node.isDead) return Promise.resolve('buried');
    node.leaseUntil = this.clock.now() + LEASE_MS;
    const isKept = node.digest.version === version && node.digest.count === count && node.records.size === count;
    return Promise.resolve(isKept ? 'kept' : 'incomplete');
  }

  enlist(): Promise<void> {
    return Promise.resolve();
  }

  leases(knownIds: Iterable<string>): Promise<Map<string, Lease>> {
    const living = [...this.#nodes].filter(([, { isDead }]) => !isDead).map(([nodeId]) => nodeId);
    return Promise.resolve(new Map([...living, ...knownIds].map((nodeId) => [nodeId, this.#leaseOf(nodeId)])));
  }

  read(nodeId: string): Promise<Snapshot> {
    const { digest = { version: 0, count: 0 }, records } = this.#nodes.get(nodeId) ?? {};
    const known = [...(records?.values() ?? [])].map((text) => JSON.parse(text) as ClientRecord);
    return Promise.resolve({ digest, records: known, isComplete: records?.size === digest.count });
  }

  bury(nodeId: string): Promise<boolean> {
    const isFirst = this.#leaseOf(nodeId) === 'none';
    if (isFirst) this.#mark(nodeId);
    return Promise.resolve(isFirst);
  }

  strike(nodeId: string): Promise<void> {
    this.#nodes.get(nodeId)?.records.clear();
    return Promise.resolve();
  }

  leave(nodeId: string): Promise<void> {
    this.#mark(nodeId);
    return this.strike(nodeId);
  }

  #mark(nodeId: string): void {
    const { digest = { version: 0, count: 0 }, records = new Map<string, string>() } = this.#nodes.get(nodeId) ?? {};
    this.#nodes.delete(nodeId); // the last to be forgotten
    this.#nodes.set(nodeId, { digest, records, leaseUntil: 0, isDead: true });
    const dead = [...this.#nodes].filter(([, { isDead }]) => isDead);
    if (dead.length > MAX_DEAD) this.#nodes.delete((dead[0] as [string, StoredNode])[0]);
  }

  #leaseOf(nodeId: string): Lease {
    const node = this.#nodes.get(nodeId);
    if (node?.isDead) return 'dead';
    return node && node.leaseUntil > this.clock.now() ? 'alive' : 'none';
  }
}
