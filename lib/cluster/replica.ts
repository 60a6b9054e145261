import type { ClientRecord } from './client-record.js';
import { type ClientNews, withNews } from './client-news.js';
import type { Steps } from './steps.js';

/** What a node says of its clients in two numbers. */
export interface Digest {
  /** Its last change. */
  version: number;
  /** How many clients and memberships there are after it. */
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
  /** @param news what is new in the record; left out where that isn't known */
  put(record: ClientRecord, news?: ClientNews): void;
  remove(clientId: string): void;
}

interface Change {
  version: number;
  news: readonly ClientNews[];
}

interface NodeState {
  /** The last change seen; its own changes are numbered by each node from 1. */
  version: number;
  /** The last change that was read, not heard. */
  readTo: number;
  /** Something is missing, or differs from what the node says: to be read anew. */
  isIncomplete: boolean;
  records: Map<string, ClientRecord>;
  /** These clients and their memberships. */
  count: number;
  /** What it has besides and this node can't read, such as clients of a newer version. */
  unreadable: number;
  /** What changed since reading began: what is read may be older. */
  late: Change[] | undefined;
  /** Of how many clients. */
  lateNews: number;
  /** What was read and isn't here yet, with what was told of it since; undefined: it is gone. */
  rest: Map<string, ClientRecord | undefined> | undefined;
}

/** A node of which more clients change while it is read is read once more. */
const MAX_LATE = 10_000;
const COPYING = 'the registry';

/**
 * This node's copy of what the other nodes say of their clients. Pure: changes, snapshots and losses come in, and what
 * they mean for the view goes out. A change says what is new since the one before it: after a gap all is read anew.
 */
export class Replica {
  readonly #nodes = new Map<string, NodeState>();

  constructor(
    private readonly view: ReplicaView,
    private readonly steps: Steps,
  ) {}

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
    if (!node || (node.version === version && (node.rest?.size || node.count + node.unreadable === count))) return;
    node.isIncomplete = true;
    node.version = Math.min(node.version, version);
  }

  /** One change, of one or more clients. What is older than what is known is passed over. */
  apply(nodeId: string, version: number, news: readonly ClientNews[]): void {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId, false);
    if (version <= node.version) {
      if (version > node.readTo) node.isIncomplete = true; // two say to be this change: one of them is forged
      return;
    }
    if (version > node.version + 1) node.isIncomplete = true;
    node.version = version;
    if (node.late) {
      node.lateNews += news.length;
      if (node.lateNews <= MAX_LATE) node.late.push({ version, news });
      else node.late = undefined;
    }
    for (const one of news) this.#change(node, one);
  }

  /** From now on the node is read: what it tells meanwhile is newer. */
  expect(nodeId: string): void {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId, true);
    node.late = [];
    node.lateNews = 0;
  }

  /**
   * Everything a node says of its clients, as of its digest, and on top of it what it told since reading began. Of what isn't
   * whole only that is taken which is better than nothing. Resolves when all of it is in the view.
   */
  async replace(nodeId: string, { digest: { version, count }, records, isComplete }: Snapshot): Promise<void> {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId, true);
    const newer = node.late?.filter((change) => change.version > version) ?? [];
    node.late = undefined;
    if (!isComplete && node.records.size > 0) return;
    if (newer.length < node.version - version) return void (node.isIncomplete = true); // something between is missing
    const rest: NodeState['rest'] = new Map(records.map((record) => [record.clientId, record]));
    node.unreadable = isComplete ? count - countOf(records) : 0;
    node.isIncomplete = !isComplete;
    for (const one of newer.flatMap(({ news }) => news)) {
      const record = one.isGone ? undefined : afterNews(rest.get(one.clientId), one);
      if (record) rest.set(one.clientId, record);
      else if (one.isGone) rest.delete(one.clientId);
      else node.isIncomplete = true;
    }
    for (const clientId of node.records.keys()) if (!rest.has(clientId)) rest.set(clientId, undefined);
    node.rest = rest;
    node.readTo = version;
    node.version = Math.max(node.version, version);
    await this.steps.each(restOf(node, rest), COPYING, ([clientId, record]) => {
      rest.delete(clientId);
      this.#set(node, clientId, record);
    });
    if (node.rest === rest) node.rest = undefined;
  }

  /** The node is gone, and all its clients with it. It may come back before the last of them was removed. */
  async drop(nodeId: string): Promise<void> {
    const node = this.#nodes.get(nodeId);
    if (!node) return;
    this.#nodes.delete(nodeId);
    node.rest = undefined;
    await this.steps.each(node.records.keys(), COPYING, (clientId) => this.#remove(clientId));
  }

  clear(): void {
    for (const nodeId of this.nodeIds) void this.drop(nodeId);
  }

  #add(nodeId: string, isIncomplete: boolean): NodeState {
    const records = new Map<string, ClientRecord>();
    const node = {
      version: 0,
      readTo: 0,
      isIncomplete,
      records,
      count: 0,
      unreadable: 0,
      late: undefined,
      lateNews: 0,
      rest: undefined,
    };
    this.#nodes.set(nodeId, node);
    return node;
  }

  /** News of a client that was never heard of: something was missed. */
  #change(node: NodeState, news: ClientNews): void {
    const { clientId, isGone } = news;
    const isAhead = node.rest?.has(clientId) === true; // what was read of it is here at once, with the news
    const known = isAhead ? node.rest?.get(clientId) : node.records.get(clientId);
    const record = isGone ? undefined : afterNews(known, news);
    if (!record && !isGone) return void (node.isIncomplete = true);
    if (isAhead) node.rest?.delete(clientId);
    this.#set(node, clientId, record, isAhead ? undefined : news);
  }

  #set(node: NodeState, clientId: string, record: ClientRecord | undefined, news?: ClientNews): void {
    node.count += sizeOf(record) - sizeOf(node.records.get(clientId));
    if (record) {
      node.records.set(clientId, record);
      this.view.put(record, news);
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

/** What is left of it, until it is dropped or read anew. */
function* restOf(node: NodeState, rest: Map<string, ClientRecord | undefined>) {
  for (const entry of rest) {
    if (node.rest !== rest) return;
    yield entry;
  }
}

/** Undefined for news of somebody unknown that don't say who it is. */
const afterNews = (known: ClientRecord | undefined, news: ClientNews): ClientRecord | undefined =>
  news.record ?? (known && withNews(known, news));

const sizeOf = (record: ClientRecord | undefined): number => (record ? 1 + record.rooms.length : 0);

function countOf(records: Iterable<ClientRecord>): number {
  let count = 0;
  for (const record of records) count += sizeOf(record);
  return count;
}
