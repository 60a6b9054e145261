import type { Clock } from '../clock.js';
import type { ClientNews } from './client-news.js';
import type { ClientRecord } from './client-record.js';
import { type Digest, type LossReason, Replica, type ReplicaView } from './replica.js';
import type { OwnEntry } from './own-entry.js';
import { LEASE_MS } from './registry-store.js';
import type { Steps } from '../steps.js';
import type { Lease, RegistryStore } from './store-contract.js';

/** A live node says something within this time after it was found, in ms. */
const FIRST_WORD_MS = 3_000;

export interface NeighboursParts {
  readonly store: RegistryStore;
  readonly clock: Pick<Clock, 'now'>;
  readonly bus: {
    /** Time since the last delivery or order of a node, in ms. */
    silentMs(nodeId: string): number;
    forgetNode(nodeId: string): void;
  };
  readonly view: ReplicaView;
  readonly steps: Steps;
  /** False: this node keeps no copy of the others, and reads Redis when it is asked. */
  readonly isReplicated: boolean;
  /** This node removed a dead one, and announces the loss of its clients. */
  reaped(nodeId: string, records: ClientRecord[], reason: LossReason): void;
}

/** A change arrives by then, even if what counts it overtook it, in ms. */
const ON_ITS_WAY_MS = 200;
/** How many ended nodes are remembered. */
const MAX_ENDED = 1_000;

/** The other nodes: which there are, their clients, and whether they are alive. */
export class Neighbours {
  readonly #replica: Replica;
  /** When each node was last heard on the bus. Redis may forget a node that is here. */
  readonly #heardAt = new Map<string, number>();
  /** Digests of changes that haven't arrived, by node, and since when. */
  readonly #ahead = new Map<string, { digest: Digest; at: number }>();
  /** The last nodes that left, or whose clients were announced as lost. */
  readonly #ended = new Set<string>();

  constructor(private readonly parts: NeighboursParts) {
    this.#replica = new Replica(parts.view, parts.steps);
  }

  get nodeIds(): string[] {
    return [...new Set([...this.#replica.nodeIds, ...this.#heardAt.keys()])];
  }

  /** A node announced changes of its clients. */
  heardChanges(nodeId: string, version: number, news: readonly ClientNews[]): void {
    this.#heard(nodeId);
    if (this.parts.isReplicated) this.#replica.apply(nodeId, version, news);
  }

  /**
   * A node says that it is alive, and how many clients it has. If others announced its end, it was away for longer than
   * Redis remembers that. Then it is marked as dead again, so that it gets a new id and announces its clients again.
   */
  heardAlive(nodeId: string, digest: Digest): void {
    if (this.#ended.has(nodeId)) void this.parts.store.condemn(nodeId).catch(() => undefined); // it says so again in 2 s
    this.#heard(nodeId);
    const isAhead = digest.version > this.#replica.versionOf(nodeId);
    if (!isAhead || !this.#heardAt.has(nodeId)) this.#replica.compare(nodeId, digest);
    else if (!this.#isAhead(nodeId)) this.#ahead.set(nodeId, { digest, at: this.parts.clock.now() });
  }

  showAgain(clientId: string): void {
    this.#replica.showAgain(clientId);
  }

  /** The end of a node was announced. */
  end(nodeId: string): void {
    this.#ended.delete(nodeId); // moves it to the end: the oldest are forgotten first
    this.#ended.add(nodeId);
    if (this.#ended.size > MAX_ENDED) for (const oldest of [...this.#ended].slice(0, 1)) this.#ended.delete(oldest);
    this.forget(nodeId);
  }

  /** True for one of the last nodes whose end was announced. */
  hasEnded(nodeId: string): boolean {
    return this.#ended.has(nodeId);
  }

  forget(nodeId: string): void {
    this.#heardAt.delete(nodeId);
    this.#ahead.delete(nodeId);
    void this.#replica.drop(nodeId);
    this.parts.bus.forgetNode(nodeId);
  }

  clear(): void {
    this.#heardAt.clear();
    this.#ahead.clear();
    this.#replica.clear();
  }

  /**
   * Reads which nodes there are, and the clients of those that are new or incomplete.
   * @param how.readsAll reads every node again, because changes may have been missed
   * @param how.mayBury false while this node can't tell which nodes are dead
   */
  async look(own: OwnEntry, { readsAll, mayBury }: { readsAll: boolean; mayBury: boolean }): Promise<void> {
    const copied = this.#replica.nodeIds; // read first: the leases don't contain a node that appears from here on
    const leases = await this.parts.store.leases(this.#heardAt.keys());
    await own.keepListed(leases.delete(own.nodeId));
    if (mayBury) for (const nodeId of copied) if (!leases.has(nodeId)) this.forget(nodeId);
    for (const [nodeId, lease] of leases) await this.#lookAt(nodeId, lease, readsAll, mayBury);
  }

  /** Reads the clients of all other nodes from Redis. `missing` names those that can't be read completely. */
  async fetch(ownId: string): Promise<{ records: ClientRecord[]; nodeIds: string[]; missing: string[] }> {
    const found = { records: [] as ClientRecord[], nodeIds: [] as string[], missing: [] as string[] };
    const leases = await this.parts.store.leases(this.nodeIds); // Redis may have forgotten one that is known here
    leases.delete(ownId);
    const answers = [...leases].map(async ([nodeId, lease]) => {
      if (lease === 'dead') return;
      const snapshot = lease === 'alive' ? await this.parts.store.read(nodeId).catch(() => undefined) : undefined;
      (snapshot?.isComplete ? found.nodeIds : found.missing).push(nodeId);
      if (snapshot?.isComplete) for (const record of snapshot.records) found.records.push(record);
    });
    await Promise.all(answers);
    return found;
  }

  async #lookAt(nodeId: string, lease: Lease, readsAll: boolean, mayBury: boolean): Promise<void> {
    if (!this.#heardAt.has(nodeId)) this.#heardAt.set(nodeId, this.parts.clock.now() - LEASE_MS + FIRST_WORD_MS);
    switch (lease) {
      case 'alive':
        this.#judge(nodeId);
        if (this.parts.isReplicated && (readsAll || this.#replica.isIncomplete(nodeId))) await this.#read(nodeId);
        return;
      case 'dead':
        await this.parts.store.strike(nodeId); // the node that buried it may not have come this far
        return this.end(nodeId);
      case 'none':
        if (readsAll) this.#replica.doubt(nodeId); // it is read once it is there again
        if (mayBury && this.#isSilent(nodeId)) await this.#bury(nodeId);
    }
  }

  /** A live node whose hash is lost or incomplete writes it again by itself. */
  async #read(nodeId: string): Promise<void> {
    this.#replica.expect(nodeId);
    await this.#replica.replace(nodeId, await this.parts.store.read(nodeId));
  }

  async #bury(nodeId: string): Promise<void> {
    const { store } = this.parts;
    const { records, isComplete } = await store.read(nodeId);
    if (!(await store.bury(nodeId))) return; // it is back, or another node was first
    this.parts.reaped(nodeId, isComplete ? records : this.#withKnown(nodeId, records), 'node-lost');
    this.end(nodeId);
    await store.strike(nodeId);
  }

  /** Redis lost some of its clients. */
  #withKnown(nodeId: string, records: readonly ClientRecord[]): ClientRecord[] {
    const known = this.#replica.recordsOf(nodeId) ?? [];
    return [...new Map([...known, ...records].map((record) => [record.clientId, record])).values()];
  }

  /** It has announced changes that haven't arrived. */
  #isAhead(nodeId: string): boolean {
    return (this.#ahead.get(nodeId)?.digest.version ?? 0) > this.#replica.versionOf(nodeId);
  }

  /** Changes that haven't arrived in time are missing. */
  #judge(nodeId: string): void {
    const ahead = this.#ahead.get(nodeId);
    if (!ahead) return;
    const isLate = this.#isAhead(nodeId);
    if (isLate && this.parts.clock.now() - ahead.at < ON_ITS_WAY_MS) return;
    this.#ahead.delete(nodeId);
    if (isLate) this.#replica.compare(nodeId, ahead.digest);
  }

  #heard(nodeId: string): void {
    if (this.#heardAt.has(nodeId)) this.#heardAt.set(nodeId, this.parts.clock.now());
  }

  #isSilent(nodeId: string): boolean {
    const { clock, bus } = this.parts;
    return Math.min(clock.now() - (this.#heardAt.get(nodeId) ?? -Infinity), bus.silentMs(nodeId)) >= LEASE_MS;
  }
}
