import type { Clock } from '../clock.js';
import { ConnectionError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { ClientNews } from './client-news.js';
import type { OwnNews } from './field-writer.js';
import type { Neighbours } from './neighbours.js';
import type { OwnClients } from './own-clients.js';
import type { OwnEntry } from './own-entry.js';
import type { ClientRecord } from './client-record.js';
import type { Digest } from './replica.js';
import type { RegistryStore } from './store-contract.js';

/** How often a node renews its entry and reads the others, in ms. */
export const BEAT_MS = 2_000;
/** After an outage, the other nodes have this long to renew their leases before one counts as dead, in ms. */
export const GRACE_MS = 3_000;
/** A change that Redis didn't take is written again after this time, and after twice as long each time it fails, in ms. */
const WRITE_AGAIN_MS = 100;
/** A longer time between two beats means that this node was held up, in ms. */
const MAX_GAP_MS = 1.4 * BEAT_MS;

export interface RegistryParts {
  readonly store: RegistryStore;
  readonly clock: Clock;
  readonly clients: OwnClients;
  readonly own: OwnEntry;
  readonly others: Neighbours;
  /** Announces to the other nodes that this one is alive, with its digest. */
  alive(nodeId: string, digest: Digest): void;
  failed(error: Error, place?: string): void;
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

  constructor(private readonly parts: RegistryParts) {
    this.#own = parts.own;
    this.#others = parts.others;
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
    this.#graceUntil = this.parts.clock.now() + GRACE_MS;
    return this.#enqueue(() => this.#sayAndLook(true));
  }

  /** Renews this node's entry, reads what it missed, buries the dead. */
  beat(): Promise<void> {
    if (!this.parts.store.isReachable()) return Promise.resolve();
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
      this.parts.failed(error as Error);
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

  /** Puts a client of another node into the view again, as it is known here. */
  showAgain(clientId: string): void {
    this.#others.showAgain(clientId);
  }

  /** A node left, or another node buried it. */
  heardOfEnd(nodeId: string): void {
    if (nodeId !== this.nodeId) this.#others.end(nodeId);
  }

  /** True for a node whose end was announced, even if it lives and doesn't know it yet. */
  hasEnded(nodeId: string): boolean {
    return this.#others.hasEnded(nodeId);
  }

  /**
   * Reads the clients of every other node from Redis, and adds those of this one. `missing` names nodes that can't be
   * read. Never takes longer than a command may take.
   */
  async fetch(): Promise<{ records: ClientRecord[]; nodeIds: string[]; missing: string[] }> {
    const { records, nodeIds, missing } = await this.#others.fetch(this.nodeId);
    return { records: [...this.parts.clients.all(), ...records], nodeIds: [this.nodeId, ...nodeIds], missing };
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
      this.parts.alive(this.nodeId, this.#own.digest);
      await this.#own.assert();
      if (this.#entering) await this.parts.store.rehearse(this.nodeId);
      const now = this.parts.clock.now();
      // This node was held up. The others may have been, too: they get time to renew their leases.
      if (now - before > MAX_GAP_MS) this.#graceUntil = Math.max(this.#graceUntil, now + GRACE_MS);
      mayBury = now >= this.#graceUntil;
    } finally {
      await this.#others.look(this.#own, { readsAll, mayBury });
    }
    this.#soundAt = this.parts.clock.now();
    this.#entering?.resolve();
    this.#entering = undefined;
  }

  /** Until it succeeds, or a beat is sooner. Failures aren't reported again. */
  #writeAgainIn(ms: number): void {
    if (this.#isStopped) return;
    const writeAgain = guarded('the registry', this.parts.failed, () => {
      this.#writeNoMore = undefined;
      void this.#enqueue(() => this.#own.writeAgain().catch(() => undefined)).then(() => {
        if (this.#own.hasUnwritten) this.#writeAgainIn(Math.min(2 * ms, BEAT_MS));
      });
    });
    this.#writeNoMore ??= this.parts.clock.after(ms, writeAgain);
  }

  /** A failure ends this task only. The next beat tries again. */
  #enqueue(task: () => Promise<void>): Promise<void> {
    const done = this.#work.then(task);
    this.#work = done.catch((error: unknown) => {
      const refusal = this.#entering && this.parts.store.refusalIn(error);
      if (refusal) this.#entering?.reject(refusal);
      this.parts.failed(error as Error);
    });
    return done;
  }
}
