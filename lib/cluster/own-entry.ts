import { type FieldWrites, FieldWriter } from './client-fields.js';
import type { ClientNews } from './client-news.js';
import type { ClientRecord } from './client-record.js';
import type { Digest } from './replica.js';
import type { RegistryStore } from './store-contract.js';

export interface OwnEntryHost {
  readonly store: RegistryStore;
  newNodeId(): string;
  /** The clients of this node, as they are now. */
  ownRecords(): Iterable<ClientRecord>;
  /** This node goes on under a new id: the old one was taken for dead. */
  renamed(nodeId: string): Promise<void>;
  /** Nothing that changed is left to be told: what is written now is the whole. */
  settle(): void;
  /** It is known again, by a new id. The others raised the loss of these clients; its next changes tell of them. */
  returned(records: ClientRecord[]): void;
}

/** News of a client of this node, with its record where its own fields changed. */
export type OwnNews = ClientNews & { readonly now?: ClientRecord | undefined };

/** What this node says of itself: its id, and the clients it has. Said again on each beat, for Redis may lose it. */
export class OwnEntry {
  #nodeId: string;
  #version = 0;
  readonly #writer = new FieldWriter();
  /** Whom the others were told of, each with the number of its fields. */
  #sizes = new Map<string, number>();
  #count = 0;
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
    return { version: this.#version, count: this.#count };
  }

  /** Whether the others were told of this client. */
  hasTold(clientId: string): boolean {
    return this.#sizes.has(clientId);
  }

  /** Resolves when Redis has it. @returns the number of this change, at once */
  change(news: readonly OwnNews[]): { version: number; written: Promise<void> } {
    this.#version++;
    const writes: FieldWrites = new Map();
    for (const one of news) {
      const before = this.#sizes.get(one.clientId) ?? 0;
      const more = this.#writer.change(writes, one, one.now);
      this.#count -= before;
      this.#sizes.delete(one.clientId);
      if (one.isGone) continue;
      const size = one.record ? more : before + more;
      this.#sizes.set(one.clientId, size);
      this.#count += size;
    }
    const written = this.host.store.write(this.#nodeId, this.digest, writes);
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
    this.host.settle();
    const records = [...this.host.ownRecords()];
    this.#sizes = new Map(records.map(({ clientId, rooms }) => [clientId, 1 + rooms.length]));
    const fields = records.flatMap((record) => [...this.#writer.whole(record)]);
    this.#count = fields.length;
    if (this.#isUnwritten) this.#version++; // whoever read it meanwhile reads it again
    this.#isUnwritten = false;
    try {
      this.#isRegistered = await this.host.store.register(this.#nodeId, this.digest, fields);
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
    this.#sizes.clear();
    this.#count = 0;
    this.#isRegistered = false;
    this.#isReturning = true;
    await this.host.renamed(this.#nodeId);
  }
}
