import type { WebSocketUser } from '../protocol/message.js';

/** What every node knows of a client, as it lies in Redis and crosses the bus. */
export interface ClientRecord {
  clientId: string;
  user: WebSocketUser | null;
  metadata: Record<string, unknown>;
  rooms: string[];
  lastActivity: number;
}

/** What a node says of its clients in two numbers: its last change, and how many there are after it. */
export interface Digest {
  version: number;
  count: number;
}

/** A node's clients, as they lay in Redis at one moment. */
export interface Snapshot {
  digest: Digest;
  records: ClientRecord[];
  /** False: something was lost, or isn't written yet. */
  isComplete: boolean;
}

/** Why a client is gone, where it didn't leave by itself. */
export type LossReason = 'node-lost';

/** Told what changed among the clients of other nodes. */
export interface ReplicaView {
  put(record: ClientRecord): void;
  remove(clientId: string): void;
}

interface Change {
  version: number;
  clientId: string;
  record: ClientRecord | undefined;
}

interface NodeState {
  /** The last change seen; its own changes are numbered by each node from 1. */
  version: number;
  /** The last change that was read, not heard. */
  readTo: number;
  /** Something is missing, or differs from what the node says: to be read anew. */
  isIncomplete: boolean;
  records: Map<string, ClientRecord>;
  /** Clients that it has and this node can't read, such as those of a newer version. */
  unreadable: number;
  /** What changed since reading began: what is read may be older. */
  late: Change[] | undefined;
}

/** A node that changes more while it is read is read once more. */
const MAX_LATE = 10_000;

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

  /** The clients of a node, as far as they are known; undefined for one that isn't. */
  recordsOf(nodeId: string): ClientRecord[] | undefined {
    const node = this.#nodes.get(nodeId);
    return node && [...node.records.values()];
  }

  /** True for a node that is unknown, or of which something is missing. */
  isIncomplete(nodeId: string): boolean {
    return this.#nodes.get(nodeId)?.isIncomplete ?? true;
  }

  /**
   * A node says what it has, after all the changes that it told of before. Where that isn't what is here, the copy is
   * incomplete; a number that it hasn't reached was never its own.
   */
  compare(nodeId: string, { version, count }: Digest): void {
    const node = this.#nodes.get(nodeId);
    if (!node || (node.version === version && node.records.size + node.unreadable === count)) return;
    node.isIncomplete = true;
    node.version = Math.min(node.version, version);
  }

  /** One change of one client; `record` undefined: it is gone. What is older than what is known is passed over. */
  apply(nodeId: string, version: number, clientId: string, record: ClientRecord | undefined): void {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId, false);
    if (version <= node.version) {
      if (version > node.readTo) node.isIncomplete = true; // two say to be this change: one of them is forged
      return;
    }
    if (version > node.version + 1) node.isIncomplete = true;
    node.version = version;
    if (node.late) {
      if (node.late.length < MAX_LATE) node.late.push({ version, clientId, record });
      else node.late = undefined;
    }
    this.#set(node, clientId, record);
  }

  /** From now on the node is read: what it tells meanwhile is newer. */
  expect(nodeId: string): void {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId, true);
    node.late = [];
  }

  /**
   * Everything a node says of its clients, as of its digest, and on top of it what it told since reading began. Of what isn't
   * whole only that is taken which is better than nothing.
   */
  replace(nodeId: string, { digest: { version, count }, records, isComplete }: Snapshot): void {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId, true);
    const newer = node.late?.filter((change) => change.version > version) ?? [];
    node.late = undefined;
    if (!isComplete && node.records.size > 0) return;
    if (newer.length < node.version - version) return void (node.isIncomplete = true); // something between is missing
    const fresh = new Map(records.map((record) => [record.clientId, record]));
    node.unreadable = isComplete ? count - fresh.size : 0;
    for (const { clientId, record } of newer) {
      if (record) fresh.set(clientId, record);
      else fresh.delete(clientId);
    }
    for (const clientId of node.records.keys()) if (!fresh.has(clientId)) this.#set(node, clientId, undefined);
    for (const [clientId, record] of fresh) this.#set(node, clientId, record);
    node.readTo = version;
    node.version = Math.max(node.version, version);
    node.isIncomplete = !isComplete;
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

  #add(nodeId: string, isIncomplete: boolean): NodeState {
    const records = new Map<string, ClientRecord>();
    const node = { version: 0, readTo: 0, isIncomplete, records, unreadable: 0, late: undefined };
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
