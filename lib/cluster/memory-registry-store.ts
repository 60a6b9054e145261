import type { Clock } from '../clock.js';
import { type FieldWrites, readFields } from './client-fields.js';
import { LEASE_MS } from './registry-store.js';
import type { Lease, RegistryStore, Renewal } from './store-contract.js';
import type { Digest, Snapshot } from './replica.js';

interface StoredNode {
  digest: Digest;
  /** The same fields as in Redis. */
  fields: Map<string, string>;
  leaseUntil: number;
  isDead: boolean;
}

/** How many dead nodes are remembered. One of them that comes back needs a new id. */
const MAX_DEAD = 1_000;

/** The registry of several servers of one process. It loses nothing. */
export class MemoryRegistryStore implements RegistryStore {
  readonly #nodes = new Map<string, StoredNode>();

  constructor(private readonly clock: Clock) {}

  isReachable(): boolean {
    return true;
  }

  refusalIn(): undefined {
    return undefined;
  }

  register(nodeId: string, digest: Digest, fields: FieldWrites): Promise<boolean> {
    if (this.#leaseOf(nodeId) === 'dead') return Promise.resolve(false);
    const leaseUntil = this.clock.now() + LEASE_MS;
    this.#nodes.set(nodeId, { digest, fields: written(fields), leaseUntil, isDead: false });
    return Promise.resolve(true);
  }

  rehearse(): Promise<void> {
    return Promise.resolve();
  }

  write(nodeId: string, digest: Digest, writes: FieldWrites): Promise<void> {
    const node = this.#nodes.get(nodeId);
    if (!node || node.isDead) return Promise.resolve();
    node.digest = digest;
    for (const [field, text] of writes) {
      if (text === undefined) node.fields.delete(field);
      else node.fields.set(field, text);
    }
    return Promise.resolve();
  }

  renew(nodeId: string, { version, count }: Digest): Promise<Renewal> {
    const node = this.#nodes.get(nodeId);
    if (!node) return Promise.resolve('lost');
    if (node.isDead) return Promise.resolve('buried');
    node.leaseUntil = this.clock.now() + LEASE_MS;
    const isKept = node.digest.version === version && node.digest.count === count && node.fields.size === count;
    return Promise.resolve(isKept ? 'kept' : 'incomplete');
  }

  enlist(): Promise<void> {
    return Promise.resolve();
  }

  keepList(): Promise<void> {
    return Promise.resolve();
  }

  leases(knownIds: Iterable<string>): Promise<Map<string, Lease>> {
    const living = [...this.#nodes].filter(([, { isDead }]) => !isDead).map(([nodeId]) => nodeId);
    return Promise.resolve(new Map([...living, ...knownIds].map((nodeId) => [nodeId, this.#leaseOf(nodeId)])));
  }

  read(nodeId: string): Promise<Snapshot> {
    const { digest = { version: 0, count: 0 }, fields = new Map<string, string>() } = this.#nodes.get(nodeId) ?? {};
    const records = readFields(nodeId, fields);
    return Promise.resolve({ digest, records, isComplete: fields.size === digest.count && this.#nodes.has(nodeId) });
  }

  bury(nodeId: string): Promise<boolean> {
    const isFirst = this.#leaseOf(nodeId) === 'none';
    if (isFirst) this.#mark(nodeId);
    return Promise.resolve(isFirst);
  }

  condemn(nodeId: string): Promise<void> {
    this.#mark(nodeId);
    return Promise.resolve();
  }

  strike(nodeId: string): Promise<void> {
    this.#nodes.get(nodeId)?.fields.clear();
    return Promise.resolve();
  }

  leave(nodeId: string): Promise<void> {
    this.#mark(nodeId);
    return this.strike(nodeId);
  }

  #mark(nodeId: string): void {
    const { digest = { version: 0, count: 0 }, fields = new Map<string, string>() } = this.#nodes.get(nodeId) ?? {};
    this.#nodes.delete(nodeId); // moves it to the end: the oldest are forgotten first
    this.#nodes.set(nodeId, { digest, fields, leaseUntil: 0, isDead: true });
    const dead = [...this.#nodes].filter(([, { isDead }]) => isDead);
    if (dead.length > MAX_DEAD) this.#nodes.delete((dead[0] as [string, StoredNode])[0]);
  }

  #leaseOf(nodeId: string): Lease {
    const node = this.#nodes.get(nodeId);
    if (node?.isDead) return 'dead';
    return node && node.leaseUntil > this.clock.now() ? 'alive' : 'none';
  }
}

function written(writes: FieldWrites): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [field, text] of writes) if (text !== undefined) fields.set(field, text);
  return fields;
}
