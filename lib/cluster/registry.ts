import { ConnectionError } from '../errors.js';
import type { ClientNews } from './client-news.js';
import { Neighbours, type NeighboursHost } from './neighbours.js';
import { OwnEntry, type OwnEntryHost, type OwnNews } from './own-entry.js';
import type { ClientRecord } from './client-record.js';
import type { Digest } from './replica.js';

/** How often a node says what it has and looks at the others, in ms. */
export const BEAT_MS = 2_000;
/** How long the others have to come back before one is taken for dead, after this node couldn't be sure, in ms. */
export const GRACE_MS = 3_000;
/** Between two beats that follow each other without trouble, at most, in ms. */
const MAX_GAP_MS = 1.5 * BEAT_MS;

export interface RegistryHost extends NeighboursHost, OwnEntryHost {
  /** Tells the other nodes that this one lives, and what it has. */
  alive(nodeId: string, digest: Digest): void;
  failed(error: Error): void;
}

/** Who lives where: says what this node has, keeps a copy of what the others have, and buries nodes that died. */
export class Registry {
  readonly #own: OwnEntry;
  readonly #others: Neighbours;
  #graceUntil = 0;
  /** When this node last said all and saw all. */
  #soundAt = -Infinity;
  /** One thing at a time: a beat and a re-registration must not interleave. */
  #work: Promise<void> = Promise.resolve();
  /** A beat that hasn't begun: one is enough. */
  #next: Promise<void> | undefined;
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

  /** The other nodes that are known, this one left out. */
  get others(): string[] {
    return this.#others.nodeIds;
  }

  /**
   * Registers this node and reads all the others; what fails is tried again with each beat.
   * @throws {ConnectionError} when Redis says that its user may not, or when it is stopped before that
   */
  enter(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#entering = { resolve, reject };
      this.connected().catch(() => undefined); // reported, and tried again
    });
  }

  /** Whoever waits to enter waits no longer. */
  stop(): void {
    this.#entering?.reject(new ConnectionError('This node was stopped before it could register in Redis.'));
  }

  /** Connected, or connected again: registers this node, then reads all the others. */
  connected(): Promise<void> {
    this.#graceUntil = this.host.now() + GRACE_MS;
    return this.#enqueue(() => this.#sayAndLook(true));
  }

  /** Says what this node has, reads what it missed, buries the dead. */
  beat(): Promise<void> {
    if (!this.host.store.isReachable()) return Promise.resolve();
    return (this.#next ??= this.#enqueue(() => {
      this.#next = undefined;
      return this.#sayAndLook(false);
    }));
  }

  /** Whether the others were told of this client. */
  hasTold(clientId: string): boolean {
    return this.#own.hasTold(clientId);
  }

  /** Clients of this node changed. @returns the number of this change */
  changed(news: readonly OwnNews[]): number {
    const { version, written } = this.#own.change(news);
    written.catch((error: unknown) => this.host.failed(error as Error)); // the next beat finds it missing
    return version;
  }

  /** A node told of changes of its clients. */
  heard(nodeId: string, version: number, news: readonly ClientNews[]): void {
    if (nodeId !== this.nodeId) this.#others.heardChanges(nodeId, version, news);
  }

  /** A node says that it lives, and what it has. */
  heardAlive(nodeId: string, digest: Digest): void {
    if (nodeId !== this.nodeId) this.#others.heardAlive(nodeId, digest);
  }

  /** A node said goodbye, or another one buried it. */
  heardOfEnd(nodeId: string): void {
    if (nodeId !== this.nodeId) this.#others.end(nodeId);
  }

  /**
   * Asks Redis for the clients of every node; those of this one come from itself. A node that doesn't answer is named.
   * Never waits longer than a command may take.
   */
  async fetch(): Promise<{ records: ClientRecord[]; nodeIds: string[]; missing: string[] }> {
    const { records, nodeIds, missing } = await this.#others.fetch(this.nodeId);
    return { records: [...this.host.ownRecords(), ...records], nodeIds: [this.nodeId, ...nodeIds], missing };
  }

  /** Leaves the cluster: nobody has to wait for the lease to run out. */
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
      const now = this.host.now();
      // Who couldn't renew its own lease, or see the others', knows nothing of theirs: they get the time to renew them.
      if (now - before > MAX_GAP_MS) this.#graceUntil = Math.max(this.#graceUntil, now + GRACE_MS);
      mayBury = now >= this.#graceUntil;
    } finally {
      await this.#others.look(this.#own, { readsAll, mayBury });
    }
    this.#soundAt = this.host.now();
    this.#entering?.resolve();
    this.#entering = undefined;
  }

  /** What fails, fails for this time: the next beat tries again. */
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
