import { ConnectionError } from '../errors.js';
import type { ClientNews } from './client-news.js';
import type { OwnNews } from './field-writer.js';
import { Neighbours, type NeighboursHost } from './neighbours.js';
import { OwnEntry, type OwnEntryHost } from './own-entry.js';
import type { ClientRecord } from './client-record.js';
import type { Digest } from './replica.js';

/** How often a node renews its entry and reads the others, in ms. */
export const BEAT_MS = 2_000;
/** After an outage, the other nodes have this long to renew their leases before one counts as dead, in ms. */
export const GRACE_MS = 3_000;
/** A change that Redis didn't take is written again after this time, and after twice as long each time it fails, in ms. */
const WRITE_AGAIN_MS = 100;
/** A longer time between two beats means that this node was held up, in ms. */
const MAX_GAP_MS = 1.4 * BEAT_MS;

export interface RegistryHost extends NeighboursHost, OwnEntryHost {
  /** Announces to the other nodes that this one is alive, with its digest. */
  alive(nodeId: string, digest: Digest): void;
  /** Calls `task` once, after `ms`. The returned function cancels it. */
  after(ms: number, task: () => void): () => void;
  failed(error: Error): void;
}

/** Knows which client is on which node: writes this node's entry, copies the others' and buries dead nodes. */
export class Registry {
  readonly #own: OwnEntry;
  readonly #others: Neighbours;
  #graceUntil = 0;
  /** When the last complete beat ended. */
  #soundAt = -Infinity;
  /** One task at a time: a beat and a registration must not mix. */
  #work: Promise<void> = Promise.resolve();
  /** The beat that waits for its turn. One is enough. */
  #next: Promise<void> | undefined;
  #writeNoMore: (() => void) | undefined;
  #isStopped = false;
  #entering: { resolve(): void; reject(error: Error): void } | undefined;

  constructor(
    nodeId: string,
    private readonly host: RegistryHost,
  ) {
    this.#own = new OwnEntry(nodeId, host);
    this.#others = new Neighbours(host);
  }

  get nodeId(): string {
    return this.#own.nodeId;
  }

  /** The other nodes that are known. */
  get others(): string[] {
    return this.#others.nodeIds;
  }

  /**
   * Registers this node and reads the others. A failure is tried again at each beat.
   * @throws {ConnectionError} when Redis denies a permission, or this node stops first
   */
  enter(): Promise<void> {
    this.#isStopped = false;
    return new Promise((resolve, reject) => {
      this.#entering = { resolve, reject };
      this.connected().catch(() => undefined); // reported; the next beat tries again
    });
  }

  /** Rejects an `enter()` that still waits. */
  stop(): void {
    this.#isStopped = true;
    this.#writeNoMore?.();
    this.#writeNoMore = undefined;
    this.#entering?.reject(new ConnectionError('This node was stopped before it could register in Redis.'));
  }

  /** Redis is reachable, again or for the first time: registers this node, then reads the others. */
  connected(): Promise<void> {
    this.#graceUntil = this.host.now() + GRACE_MS;
    this.#own.doubt();
    return this.#enqueue(() => this.#sayAndLook(true));
  }

  /** Renews this node's entry, reads what it missed, buries the dead. */
  beat(): Promise<void> {
    if (!this.host.store.isReachable()) return Promise.resolve();
    return (this.#next ??= this.#enqueue(() => {
      this.#next = undefined;
      return this.#sayAndLook(false);
    }));
  }

  /** Whether the others know this client. */
  hasTold(clientId: string): boolean {
    return this.#own.hasTold(clientId);
  }

  /** Clients of this node changed. @returns the number of this change */
  changed(news: readonly OwnNews[]): number {
    const { version, written } = this.#own.change(news);
    written.catch((error: unknown) => {
      this.host.failed(error as Error);
      this.#writeAgainIn(WRITE_AGAIN_MS);
    });
    return version;
  }

  /** A node announced changes of its clients. */
  heard(nodeId: string, version: number, news: readonly ClientNews[]): void {
    if (nodeId !== this.nodeId) this.#others.heardChanges(nodeId, version, news);
  }

  /** A node says that it is alive, with its digest. */
  heardAlive(nodeId: string, digest: Digest): void {
    if (nodeId !== this.nodeId) this.#others.heardAlive(nodeId, digest);
  }

  /** A node left, or another node buried it. */
  heardOfEnd(nodeId: string): void {
    if (nodeId !== this.nodeId) this.#others.end(nodeId);
  }

  /**
   * Reads the clients of every other node from Redis, and adds those of this one. `missing` names nodes that can't be
   * read. Never takes longer than a command may take.
   */
  async fetch(): Promise<{ records: ClientRecord[]; nodeIds: string[]; missing: string[] }> {
    const { records, nodeIds, missing } = await this.#others.fetch(this.nodeId);
    return { records: [...this.host.ownRecords(), ...records], nodeIds: [this.nodeId, ...nodeIds], missing };
  }

  /** Leaves the cluster, so that nobody waits for the lease to run out. */
  leave(): Promise<void> {
    return this.#enqueue(async () => {
      await this.#own.leave();
      this.#others.clear();
    });
  }

  async #sayAndLook(readsAll: boolean): Promise<void> {
    const before = this.#soundAt;
    this.#soundAt = -Infinity;
    let mayBury = false;
    try {
      this.host.alive(this.nodeId, this.#own.digest);
      await this.#own.assert();
      if (this.#entering) await this.host.store.rehearse(this.nodeId);
      const now = this.host.now();
      // This node was held up. The others may have been, too: they get time to renew their leases.
      if (now - before > MAX_GAP_MS) this.#graceUntil = Math.max(this.#graceUntil, now + GRACE_MS);
      mayBury = now >= this.#graceUntil;
    } finally {
      await this.#others.look(this.#own, { readsAll, mayBury });
    }
    this.#soundAt = this.host.now();
    this.#entering?.resolve();
    this.#entering = undefined;
  }

  /** Until it succeeds, or a beat is sooner. Failures aren't reported again. */
  #writeAgainIn(ms: number): void {
    if (this.#isStopped) return;
    this.#writeNoMore ??= this.host.after(ms, () => {
      this.#writeNoMore = undefined;
      void this.#enqueue(() => this.#own.writeAgain().catch(() => undefined)).then(() => {
        if (this.#own.hasUnwritten) this.#writeAgainIn(Math.min(2 * ms, BEAT_MS));
      });
    });
  }

  /** A failure ends this task only. The next beat tries again. */
  #enqueue(task: () => Promise<void>): Promise<void> {
    const done = this.#work.then(task);
    this.#work = done.catch((error: unknown) => {
      const refusal = this.#entering && this.host.store.refusalIn(error);
      if (refusal) this.#entering?.reject(refusal);
      this.host.failed(error as Error);
    });
    return done;
  }
}
