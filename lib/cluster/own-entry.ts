import type { FieldWrites } from './client-fields.js';
import type { ClientRecord } from './client-record.js';
import { FieldWriter, type OwnNews } from './field-writer.js';
import { LEASE_MS } from './registry-store.js';
import type { Digest } from './replica.js';
import type { RegistryStore, Renewal } from './store-contract.js';

export interface OwnEntryHost {
  readonly store: RegistryStore;
  now(): number;
  newNodeId(): string;
  /** The clients of this node now. */
  ownRecords(): Iterable<ClientRecord>;
  ownRecord(clientId: string): ClientRecord | undefined;
  /** This node got a new id: others took the old one for dead. */
  renamed(nodeId: string): Promise<void>;
  /** Publishes all changes that wait, so that what is written now is complete. */
  settle(): void;
  /**
   * This node is registered again, under a new id. The others announced the loss of these clients; its next changes
   * announce them again.
   */
  returned(records: ClientRecord[]): void;
}

/** Of more clients the whole entry is written again. */
const MAX_UNWRITTEN = 1_000;

/** This node's entry in the registry: its id and its clients. Each beat checks it, because Redis may lose it. */
export class OwnEntry {
  #nodeId: string;
  #version = 0;
  /** The clients that the others know. */
  #writer: FieldWriter;
  #isRegistered = false;
  /** When the lease was last renewed. Until it ends, nobody takes this node for dead. */
  #renewedAt = -Infinity;
  /** Clients with changes that Redis didn't take, and the fields of those changes. */
  #unwritten = new Set<string>();
  #unwrittenFields = new Set<string>();
  /** A later change was written: the digest fits, though the clients don't. */
  #isPatchy = false;
  /** Nobody knows what Redis has: the whole entry is to be written. */
  #isUncertain = false;
  /** The others took this node for dead, and don't know yet that it is back. */
  #isReturning = false;

  constructor(
    nodeId: string,
    private readonly host: OwnEntryHost,
  ) {
    this.#nodeId = nodeId;
    this.#writer = new FieldWriter(nodeId);
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  get digest(): Digest {
    return { version: this.#version, count: this.#writer.count };
  }

  /** Whether the others know this client. */
  hasTold(clientId: string): boolean {
    return this.#writer.has(clientId);
  }

  /** Writes a change. `written` resolves when Redis has it; the number is known at once. */
  change(news: readonly OwnNews[]): { version: number; written: Promise<void> } {
    this.#version++;
    const writes: FieldWrites = new Map();
    for (const one of news) this.#writer.change(writes, one);
    const written = this.#write(writes);
    written.then(
      () => (this.#isPatchy ||= this.#unwritten.size > 0),
      () => this.#notWritten(news, writes),
    );
    return { version: this.#version, written };
  }

  /** Renews the lease, and writes again what Redis lost. If this node was taken for dead, it gets a new id. */
  async assert(): Promise<void> {
    const found = this.#isRegistered ? await this.#renew() : 'lost';
    if (found === 'kept' && !this.hasUnwritten) return;
    const isThere = found === 'kept' || found === 'incomplete';
    // The next beat finds out whether more is missing than what wasn't written.
    if (isThere && !this.#isUncertain && this.hasUnwritten) return this.writeAgain();
    if (found !== 'buried' && (await this.#register())) return;
    await this.#takeNewId();
    await this.#register();
  }

  get hasUnwritten(): boolean {
    return this.#isUncertain || this.#unwritten.size > 0;
  }

  /** Writes what Redis didn't take, as it is now. */
  async writeAgain(): Promise<void> {
    if (!this.#isRegistered || this.#unwritten.size === 0) return;
    this.host.settle();
    const [clientIds, fields] = [this.#unwritten, this.#unwrittenFields];
    const writes: FieldWrites = new Map([...fields].map((field) => [field, undefined]));
    for (const clientId of clientIds) {
      const record = this.hasTold(clientId) ? this.host.ownRecord(clientId) : undefined;
      if (record) this.#writer.whole(writes, record);
    }
    this.#unwritten = new Set();
    this.#unwrittenFields = new Set();
    if (this.#isPatchy) this.#version++; // a node that read the entry meanwhile reads it again
    this.#isPatchy = false;
    try {
      await this.#write(writes);
    } catch (error) {
      for (const clientId of clientIds) this.#unwritten.add(clientId);
      for (const field of writes.keys()) this.#unwrittenFields.add(field);
      throw error;
    }
  }

  /** Adds this node to the set of nodes, which lost it. */
  async enlist(): Promise<void> {
    if (this.#isRegistered) await this.host.store.enlist(this.#nodeId);
  }

  async leave(): Promise<void> {
    this.#isRegistered = false;
    await this.host.store.leave(this.#nodeId);
  }

  /** Redis may have lost anything. */
  doubt(): void {
    this.#renewedAt = -Infinity;
  }

  /** While the lease runs, the next beat limits how long the hash stays. Otherwise, the write must do that. */
  #write(writes: FieldWrites): Promise<void> {
    const isLeased = this.host.now() - this.#renewedAt < LEASE_MS;
    return this.host.store.write(this.#nodeId, this.digest, writes, isLeased);
  }

  async #renew(): Promise<Renewal> {
    const now = this.host.now();
    const found = await this.host.store.renew(this.#nodeId, this.digest);
    if (found !== 'buried') this.#renewedAt = now;
    return found;
  }

  #notWritten(news: readonly OwnNews[], writes: FieldWrites): void {
    for (const { clientId } of news) this.#unwritten.add(clientId);
    for (const field of writes.keys()) this.#unwrittenFields.add(field);
    if (this.#unwritten.size <= MAX_UNWRITTEN) return;
    this.#isUncertain = true;
    this.#forgetUnwritten();
  }

  #forgetUnwritten(): void {
    this.#unwritten.clear();
    this.#unwrittenFields.clear();
    this.#isPatchy = false;
  }

  async #register(): Promise<boolean> {
    this.host.settle();
    const records = [...this.host.ownRecords()];
    const fields: FieldWrites = new Map();
    this.#writer = new FieldWriter(this.#nodeId);
    for (const record of records) this.#writer.whole(fields, record);
    if (this.hasUnwritten) this.#version++; // a node that read the entry meanwhile reads it again
    this.#isUncertain = false;
    this.#forgetUnwritten();
    const now = this.host.now();
    try {
      this.#isRegistered = await this.host.store.register(this.#nodeId, this.digest, fields);
      if (this.#isRegistered) this.#renewedAt = now;
    } catch (error) {
      this.#isUncertain = true; // it may have been written: this node can't know
      throw error;
    }
    if (this.#isRegistered && this.#isReturning) {
      this.#isReturning = false;
      this.host.returned(records);
    }
    return this.#isRegistered;
  }

  async #takeNewId(): Promise<void> {
    await this.host.store.leave(this.#nodeId);
    this.#nodeId = this.host.newNodeId();
    this.#version = 0;
    this.#writer = new FieldWriter(this.#nodeId);
    this.#renewedAt = -Infinity;
    this.#forgetUnwritten();
    this.#isRegistered = false;
    this.#isReturning = true;
    await this.host.renamed(this.#nodeId);
  }
}
