import type { ClientRecord, Digest } from './replica.js';
import type { RegistryStore } from './registry-store.js';

export interface OwnEntryHost {
  readonly store: RegistryStore;
  newNodeId(): string;
  /** The clients of this node, as they are now. */
  ownRecords(): Iterable<ClientRecord>;
  /** This node goes on under a new id: the old one was taken for dead. */
  renamed(nodeId: string): Promise<void>;
  /** It is known again, by a new id. The others raised the loss of these clients; they are its changes 1 to n. */
  returned(records: ClientRecord[]): void;
}

/** What this node says of itself: its id, and the clients it has. Said again on each beat, for Redis may lose it. */
export class OwnEntry {
  #nodeId: string;
  #version = 0;
  /** Whom the others were told of. */
  #clientIds = new Set<string>();
  #isRegistered = false;
  /** A change wasn't written: what comes after it makes a digest that fits, over clients that don't. */
  #isUnwritten = false;
  /** It was buried, and the others don't know yet that it is back. */
  #isReturning = false;

  constructor(
    nodeId: string,
    private readonly host: OwnEntryHost,
  ) {
    this.#nodeId = nodeId;
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  get digest(): Digest {
    return { version: this.#version, count: this.#clientIds.size };
  }

  /** Resolves when Redis has it. @returns the number of this change, at once */
  change(clientId: string, record: ClientRecord | undefined): { version: number; written: Promise<void> } {
    this.#version++;
    if (record) this.#clientIds.add(clientId);
    else this.#clientIds.delete(clientId);
    const written = this.host.store.write(this.#nodeId, this.digest, clientId, record);
    written.catch(() => (this.#isUnwritten = true));
    return { version: this.#version, written };
  }

  /** Renews the lease, and writes what Redis has lost. Who was taken for dead goes on under a new id. */
  async assert(): Promise<void> {
    const found = this.#isRegistered ? await this.host.store.renew(this.#nodeId, this.digest) : 'incomplete';
    if (found === 'kept' && !this.#isUnwritten) return;
    if (found !== 'buried' && (await this.#register())) return;
    await this.#takeNewId();
    await this.#register();
  }

  /** The set of nodes has lost it. */
  async enlist(): Promise<void> {
    if (this.#isRegistered) await this.host.store.enlist(this.#nodeId);
  }

  async leave(): Promise<void> {
    this.#isRegistered = false;
    await this.host.store.leave(this.#nodeId);
  }

  async #register(): Promise<boolean> {
    const records = [...this.host.ownRecords()];
    this.#clientIds = new Set(records.map(({ clientId }) => clientId));
    if (this.#isReturning) this.#version = Math.max(this.#version, records.length);
    if (this.#isUnwritten) this.#version++; // whoever read it meanwhile reads it again
    this.#isUnwritten = false;
    try {
      this.#isRegistered = await this.host.store.register(this.#nodeId, this.digest, records);
    } catch (error) {
      this.#isUnwritten = true; // or written, and this node doesn't know
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
    this.#isRegistered = false;
    this.#isReturning = true;
    await this.host.renamed(this.#nodeId);
  }
}
