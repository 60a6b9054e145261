import type { WebSocketUser } from '../protocol/message.js';

/** What every node knows of a client, as it lies in Redis and crosses the bus. */
export interface ClientRecord {
  clientId: string;
  user: WebSocketUser | null;
  metadata: Record<string, unknown>;
  rooms: string[];
  lastActivity: number;
}

/** Why a client is gone, where it didn't leave by itself. */
export type LossReason = 'node-lost';

/** Told what changed among the clients of other nodes. */
export interface ReplicaView {
  put(record: ClientRecord): void;
  remove(clientId: string): void;
}

interface NodeState {
  /** The last change seen; its own changes are numbered by each node from 1. */
  version: number;
  /** A change was skipped: to be read anew. */
  isIncomplete: boolean;
  records: Map<string, ClientRecord>;
}

/**
 * This node's copy of what the other nodes say of their clients. Pure: changes, snapshots and losses come in, and what
 * they mean for the view goes out. Changes carry the whole record, so that the last one wins whatever came before.
 */
export class Replica {
  readonly #nodes = new Map<string, NodeState>();

  constructor(private readonly view: ReplicaView) {}

  get nodeIds(): string[] {
    return [...this.#nodes.keys()];
  }

  has(nodeId: string): boolean {
    return this.#nodes.has(nodeId);
  }

  clientIdsOf(nodeId: string): string[] {
    return [...(this.#nodes.get(nodeId)?.records.keys() ?? [])];
  }

  /** True when a node says that it is at `version` and this copy is, too, with nothing skipped. */
  isCurrent(nodeId: string, version: number): boolean {
    const node = this.#nodes.get(nodeId);
    return node !== undefined && !node.isIncomplete && node.version >= version;
  }

  /** One change of one client; `record` undefined: it is gone. What is older than what is known is passed over. */
  apply(nodeId: string, version: number, clientId: string, record: ClientRecord | undefined): void {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId);
    if (version <= node.version) return;
    if (version > node.version + 1) node.isIncomplete = true;
    node.version = version;
    this.#set(node, clientId, record);
  }

  /** Everything a node says of its clients, as of `version`. */
  replace(nodeId: string, version: number, records: Iterable<ClientRecord>): void {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId);
    if (version < node.version) return; // read before the changes that came meanwhile
    const fresh = new Map([...records].map((record) => [record.clientId, record]));
    for (const clientId of node.records.keys()) if (!fresh.has(clientId)) this.#set(node, clientId, undefined);
    for (const [clientId, record] of fresh) this.#set(node, clientId, record);
    node.version = version;
    node.isIncomplete = false;
  }

  /** The node is gone, and all its clients with it. */
  drop(nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (!node) return;
    this.#nodes.delete(nodeId);
    for (const clientId of node.records.keys()) this.#remove(clientId);
  }

  clear(): void {
    for (const nodeId of this.nodeIds) this.drop(nodeId);
  }

  #add(nodeId: string): NodeState {
    const node = { version: 0, isIncomplete: false, records: new Map<string, ClientRecord>() };
    this.#nodes.set(nodeId, node);
    return node;
  }

  #set(node: NodeState, clientId: string, record: ClientRecord | undefined): void {
    if (record) {
      node.records.set(clientId, record);
      this.view.put(record);
    } else if (node.records.delete(clientId)) {
      this.#remove(clientId);
    }
  }

  /** A node that was taken for dead has its clients under its new id, perhaps before the old one is dropped. */
  #remove(clientId: string): void {
    for (const { records } of this.#nodes.values()) {
      const record = records.get(clientId);
      if (record) return this.view.put(record);
    }
    this.view.remove(clientId);
  }
}
