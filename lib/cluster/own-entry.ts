import type { FieldWrites } from './client-fields.js';
import { FieldWriter, type OwnNews } from './field-writer.js';
import type { NodeIdentity } from './node-identity.js';
import type { OwnClients } from './own-clients.js';
import type { Digest } from './replica.js';
import type { RegistryStore } from './store-contract.js';

export interface OwnEntryParts {
  readonly store: RegistryStore;
  readonly node: NodeIdentity;
  readonly clients: OwnClients;
  readonly bus: { renameTo(nodeId: string): Promise<void> };
  /** Publishes all changes that wait, so that what is written now is complete. */
  settle(): void;
  /** What Redis had of this node was wrong: a node that read it meanwhile reads it again. */
  corrected(version: number): void;
  /**
   * This node is registered again, under a new id. The others announced the loss of its clients: they are to be announced
   * again.
   */
  returned(): void;
}

/** Of more clients the whole entry is written again. */
const MAX_UNWRITTEN = 1_000;

/** This node's entry in the registry: its id and its clients. Each beat checks it, because Redis may lose it. */
export class OwnEntry {
  #version = 0;
  /** The clients that the others know, or knew before they took this node for dead. */
  #writer: FieldWriter;
  #isRegistered = false;
  /** Clients with changes that Redis didn't take, and the fields of those changes. */
  #unwritten = new Set<string>();
  #unwrittenFields = new Set<string>();
  /** A later change was written: the digest fits, though the clients don't. */
  #isPatchy = false;
  /** Nobody knows what Redis has: the whole entry is to be written. */
  #isUncertain = false;

  constructor(private readonly parts: OwnEntryParts) {
    this.#writer = new FieldWriter(this.nodeId);
  }

  get nodeId(): string {
    return this.parts.node.id;
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
    const written = this.parts.store.write(this.nodeId, this.digest, writes);
    written.then(
      () => (this.#isPatchy ||= this.#unwritten.size > 0),
      () => this.#notWritten(news, writes),
    );
    return { version: this.#version, written };
  }

  /** Renews the lease, and writes again what Redis lost. If this node was taken for dead, it gets a new id. */
  async assert(): Promise<void> {
    const found = this.#isRegistered ? await this.parts.store.renew(this.nodeId, this.digest) : 'lost';
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
    this.parts.settle();
    const [clientIds, fields] = [this.#unwritten, this.#unwrittenFields];
    const writes: FieldWrites = new Map([...fields].map((field) => [field, undefined]));
    for (const clientId of clientIds) {
      const record = this.hasTold(clientId) ? this.parts.clients.of(clientId) : undefined;
      if (record) this.#writer.whole(writes, record);
    }
    this.#unwritten = new Set();
    this.#unwrittenFields = new Set();
    const isCorrection = this.#isPatchy;
    this.#isPatchy = false;
    if (isCorrection) this.#version++;
    const written = this.parts.store.write(this.nodeId, this.digest, writes);
    if (isCorrection) this.parts.corrected(this.#version);
    try {
      await written;
    } catch (error) {
      for (const clientId of clientIds) this.#unwritten.add(clientId);
      for (const field of writes.keys()) this.#unwrittenFields.add(field);
      throw error;
    }
  }

  /** @param isListed false if the set of nodes lost this one */
  async keepListed(isListed: boolean): Promise<void> {
    if (isListed) await this.parts.store.keepList();
    else if (this.#isRegistered) await this.parts.store.enlist(this.nodeId);
  }

  async leave(): Promise<void> {
    this.#isRegistered = false;
    await this.parts.store.leave(this.nodeId);
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
    this.parts.settle();
    const fields: FieldWrites = new Map();
    this.#writer = new FieldWriter(this.nodeId);
    for (const record of this.parts.clients.all()) this.#writer.whole(fields, record);
    const isCorrection = this.hasUnwritten;
    this.#isUncertain = false;
    this.#forgetUnwritten();
    if (isCorrection) this.#version++;
    const registered = this.parts.store.register(this.nodeId, this.digest, fields);
    if (isCorrection) this.parts.corrected(this.#version);
    try {
      this.#isRegistered = await registered;
    } catch (error) {
      this.#isUncertain = true; // it may have been written: this node can't know
      throw error;
    }
    if (this.#isRegistered && this.parts.node.isReturning) this.parts.returned();
    return this.#isRegistered;
  }

  async #takeNewId(): Promise<void> {
    await this.parts.store.leave(this.nodeId);
    this.parts.node.takeNewId();
    this.#version = 0;
    this.#forgetUnwritten();
    this.#isRegistered = false;
    await this.parts.bus.renameTo(this.nodeId);
  }
}
