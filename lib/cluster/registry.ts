import { type ClientRecord, type LossReason, Replica, type ReplicaView } from './replica.js';
import type { RegistryStore } from './registry-store.js';

/** How often a node renews its lease and looks at the others', in ms. */
export const BEAT_MS = 2_000;
/** After a (re)connection the others may not have registered anew yet: none is taken for dead that soon, in ms. */
export const GRACE_MS = 3_000;

export interface RegistryHost {
  readonly store: RegistryStore;
  readonly view: ReplicaView;
  /** False: this node keeps no copy of the others, it asks when it wants to know. */
  readonly isReplicated: boolean;
  now(): number;
  newNodeId(): string;
  /** The clients of this node, as they are now. */
  ownRecords(): Iterable<ClientRecord>;
  /** This node goes on under a new id: the old one was taken for dead. */
  renamed(nodeId: string): Promise<void>;
  /** This node removed a dead one: it tells the cluster of its clients, once. */
  reaped(nodeId: string, records: ClientRecord[], reason: LossReason): void;
  nodeGone(nodeId: string): void;
  failed(error: Error): void;
}

/** Who lives where: writes down this node's clients, keeps a copy of the others', and buries nodes that died. */
export class Registry {
  readonly #replica: Replica;
  #nodeId: string;
  #version = 0;
  #graceUntil = 0;
  /** Others may have come back after this node and registered what it didn't read: all are read once more. */
  #isJustBack = false;
  /** Under this id: from then on, no lease means that the others took this node for dead. */
  #isRegistered = false;
  /** It was tried under this id, whether or not it got through: one that did may have been buried since. */
  #isIdUsed = false;
  /** Nodes whose copy was behind at the last beat; behind twice, and a change was missed. */
  #suspects = new Set<string>();
  /** A change couldn't be written: the whole is, at the next beat. */
  #isUnwritten = false;
  /** One thing at a time: a beat and a re-registration must not interleave. */
  #work: Promise<void> = Promise.resolve();

  constructor(
    nodeId: string,
    private readonly host: RegistryHost,
  ) {
    this.#nodeId = nodeId;
    this.#replica = new Replica(host.view);
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  /** The other nodes that are known, this one left out. */
  get others(): string[] {
    return this.#replica.nodeIds;
  }

  /** Connected, or connected again: registers this node, then reads all the others. */
  connected(): Promise<void> {
    this.#graceUntil = this.host.now() + GRACE_MS;
    this.#isJustBack = true;
    return this.#enqueue(async () => {
      await this.#register();
      await this.#readOthers(true);
    });
  }

  /** Renews the lease, repairs what was missed, buries the dead. */
  beat(): Promise<void> {
    return this.#enqueue(async () => {
      const { store } = this.host;
      if (this.#isRegistered && !(await store.renew(this.#nodeId, this.#version))) await this.#takeNewId();
      if (!this.#isRegistered || this.#isUnwritten) await this.#register();
      const readsAll = this.#isJustBack && this.host.now() >= this.#graceUntil;
      if (readsAll) this.#isJustBack = false;
      await this.#readOthers(readsAll);
    });
  }

  /** A client of this node is new, changed or (undefined) gone. @returns the number of this change */
  changed(clientId: string, record: ClientRecord | undefined): number {
    const version = ++this.#version;
    this.host.store.write(this.#nodeId, version, clientId, record).catch((error: unknown) => {
      this.#isUnwritten = true;
      this.host.failed(error as Error);
    });
    return version;
  }

  /** A node told of a change of one of its clients. */
  heard(nodeId: string, version: number, clientId: string, record: ClientRecord | undefined): void {
    if (nodeId !== this.#nodeId && this.host.isReplicated) this.#replica.apply(nodeId, version, clientId, record);
  }

  /** A node said goodbye, or another one buried it. */
  heardOfEnd(nodeId: string): void {
    if (nodeId === this.#nodeId) return;
    this.#forget(nodeId);
  }

  /**
   * Asks Redis for the clients of every node; those of this one come from itself. A node that doesn't answer is named.
   * Never waits longer than a command may take.
   */
  async fetch(): Promise<{ records: ClientRecord[]; nodeIds: string[]; missing: string[] }> {
    const records = [...this.host.ownRecords()];
    const nodeIds = [this.#nodeId];
    const missing: string[] = [];
    const leases = await this.host.store.leases();
    leases.delete(this.#nodeId);
    const answers = [...leases].map(async ([nodeId, version]) => {
      const snapshot = version === undefined ? undefined : await this.host.store.read(nodeId).catch(() => undefined);
      if (snapshot) records.push(...snapshot.records);
      (snapshot ? nodeIds : missing).push(nodeId);
    });
    await Promise.all(answers);
    return { records, nodeIds, missing };
  }

  /** Leaves the cluster: nobody has to wait for the lease to run out. */
  leave(): Promise<void> {
    return this.#enqueue(async () => {
      await this.host.store.reap(this.#nodeId);
      this.#replica.clear();
    });
  }

  async #register(): Promise<void> {
    this.#isUnwritten = false;
    try {
      if (this.#isIdUsed && !this.#isRegistered) await this.#takeNewId();
      while (!(await this.#tryToRegister())) await this.#takeNewId();
      this.#isRegistered = true;
    } catch (error) {
      this.#isUnwritten = true;
      throw error;
    }
  }

  #tryToRegister(): Promise<boolean> {
    this.#isIdUsed = true;
    const isNew = !this.#isRegistered;
    return this.host.store.register(this.#nodeId, ++this.#version, this.host.ownRecords(), { isNew });
  }

  async #takeNewId(): Promise<void> {
    await this.host.store.reap(this.#nodeId); // if nobody did it yet, nobody need tell of clients that are still here
    this.#nodeId = this.host.newNodeId();
    this.#version = 0;
    this.#isRegistered = this.#isIdUsed = false;
    await this.host.renamed(this.#nodeId);
  }

  async #readOthers(readsAll: boolean): Promise<void> {
    const known = this.#replica.nodeIds; // before: a node heard of meanwhile may have come too late for the leases
    const leases = await this.host.store.leases();
    leases.delete(this.#nodeId);
    if (!this.#isTooSoon()) for (const nodeId of known) if (!leases.has(nodeId)) this.#forget(nodeId);
    const suspects = new Set<string>();
    for (const [nodeId, version] of leases) {
      if (version === undefined) await this.#bury(nodeId);
      else if (!this.host.isReplicated) continue;
      else if (readsAll || !this.#replica.has(nodeId)) await this.#read(nodeId);
      else if (this.#replica.isCurrent(nodeId, version)) continue;
      else if (this.#suspects.has(nodeId)) await this.#read(nodeId);
      else suspects.add(nodeId); // a change may be on its way
    }
    this.#suspects = suspects;
  }

  async #read(nodeId: string): Promise<void> {
    const snapshot = await this.host.store.read(nodeId);
    if (snapshot) this.#replica.replace(nodeId, snapshot.version, snapshot.records);
  }

  async #bury(nodeId: string): Promise<void> {
    if (this.#isTooSoon()) return;
    const lost = await this.host.store.read(nodeId);
    if (await this.host.store.reap(nodeId)) this.host.reaped(nodeId, lost?.records ?? [], 'node-lost');
    this.#forget(nodeId);
  }

  #isTooSoon(): boolean {
    return this.host.now() < this.#graceUntil;
  }

  #forget(nodeId: string): void {
    this.#replica.drop(nodeId);
    this.host.nodeGone(nodeId);
  }

  /** What fails, fails for this time: the next beat tries again. */
  #enqueue(task: () => Promise<void>): Promise<void> {
    const done = this.#work.then(task);
    this.#work = done.catch((error: unknown) => this.host.failed(error as Error));
    return done;
  }
}
