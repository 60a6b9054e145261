import { type ClientRecord, countOf, fieldCount } from './client-record.js';
import { type ClientNews, withNews } from './client-news.js';
import type { Steps } from '../steps.js';

/** Sums up a node's entry in two numbers. */
export interface Digest {
  /** The number of its last change. */
  version: number;
  /** The number of its clients, memberships and metadata keys after that change. */
  count: number;
}

/** A node's entry, as it was in Redis at one moment. */
export interface Snapshot {
  digest: Digest;
  records: ClientRecord[];
  /** False if something is lost, or isn't written yet. */
  isComplete: boolean;
}

/** Why a client is gone, if it didn't leave by itself. */
export type LossReason = 'node-lost';

/** Gets what changed among the clients of other nodes. */
export interface ReplicaView {
  /** @param news what changed in the record; undefined if that isn't known */
  put(record: ClientRecord, news?: ClientNews): void;
  remove(clientId: string): void;
}

interface Change {
  version: number;
  news: readonly ClientNews[];
}

interface NodeState {
  /** The last change seen. A node numbers its changes from 1. */
  version: number;
  /** The last change that was read from Redis rather than received. */
  readTo: number;
  /** Something is missing or differs from the digest: the node must be read again. */
  isIncomplete: boolean;
  records: Map<string, ClientRecord>;
  /** How many clients, memberships and metadata keys are known. */
  count: number;
  /** Entries that this node can't read, such as those of a newer version. */
  unreadable: number;
  /** Changes received while the node is being read. What is read may be older. */
  late: Change[] | undefined;
  /** How many clients those are about. */
  lateNews: number;
  /**
   * Clients that were read but aren't in the view yet, with the changes received since. Undefined for one that is gone.
   */
  rest: Map<string, ClientRecord | undefined> | undefined;
}

/** A node with more changes than this while it is being read is read once more. */
const MAX_LATE = 10_000;
const COPYING = 'the registry';

/**
 * This node's copy of the other nodes' clients, without any I/O: changes and snapshots come in, changes of the view go
 * out. A change contains only what is new since the one before, so the node is read again after a gap.
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

  /** The known clients of a node. Undefined for an unknown node. */
  recordsOf(nodeId: string): ClientRecord[] | undefined {
    const node = this.#nodes.get(nodeId);
    return node && [...node.records.values()];
  }

  /** The number of the last change seen; 0 for an unknown node. */
  versionOf(nodeId: string): number {
    return this.#nodes.get(nodeId)?.version ?? 0;
  }

  /** Puts a client into the view again, as its node describes it. @returns false for an unknown client */
  showAgain(clientId: string): boolean {
    for (const { records } of this.#nodes.values()) {
      const record = records.get(clientId);
      if (!record) continue;
      this.view.put(record);
      return true;
    }
    return false;
  }

  /** Its changes may have been missed: the node must be read again. */
  doubt(nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (node) node.isIncomplete = true;
  }

  /** True for a node that is unknown, or that must be read again. */
  isIncomplete(nodeId: string): boolean {
    return this.#nodes.get(nodeId)?.isIncomplete ?? true;
  }

  /**
   * Compares the copy with a node's digest, which follows all its earlier changes. If they differ, the copy is
   * incomplete. A version above the node's own was forged.
   */
  compare(nodeId: string, { version, count }: Digest): void {
    const node = this.#nodes.get(nodeId);
    if (!node || (node.version === version && (node.rest?.size || node.count + node.unreadable === count))) return;
    node.isIncomplete = true;
    node.version = Math.min(node.version, version);
  }

  /** Takes one change of any number of clients. An older one than known is ignored. */
  apply(nodeId: string, version: number, news: readonly ClientNews[]): void {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId, false);
    if (version <= node.version) {
      // two different changes with one number: one of them is forged
      if (version > node.readTo) node.isIncomplete = true;
      return;
    }
    if (version > node.version + 1 || news.length === 0) node.isIncomplete = true;
    node.version = version;
    if (node.late) {
      node.lateNews += news.length;
      if (node.lateNews <= MAX_LATE) node.late.push({ version, news });
      else node.late = undefined;
    }
    for (const one of news) this.#change(node, one);
  }

  /** Reading of this node begins. Changes that arrive from now on are newer than what is read. */
  expect(nodeId: string): void {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId, true);
    node.late = [];
    node.lateNews = 0;
  }

  /**
   * Takes a node's entry, and applies the changes received since reading began. An incomplete entry is only used for
   * what it has more than the copy. Resolves when all of it is in the view.
   */
  async replace(nodeId: string, { digest: { version, count }, records, isComplete }: Snapshot): Promise<void> {
    const node = this.#nodes.get(nodeId) ?? this.#add(nodeId, true);
    const newer = node.late?.filter((change) => change.version > version) ?? [];
    node.late = undefined;
    if (!isComplete && node.records.size > 0) return void (node.isIncomplete = true);
    // a change between the two is missing
    if (newer.length < node.version - version) return void (node.isIncomplete = true);
    const rest: NodeState['rest'] = new Map(records.map((record) => [record.clientId, record]));
    node.unreadable = isComplete ? count - countOf(records) : 0;
    node.isIncomplete = !isComplete || newer.some(({ news }) => news.length === 0);
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

  /** The node and all its clients are gone. It may come back before the last of them is removed. */
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

  /** News of an unknown client mean that something was missed. */
  #change(node: NodeState, news: ClientNews): void {
    const { clientId, isGone } = news;
    const isAhead = node.rest?.has(clientId) === true; // the client is put into the view now, with the news
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

  /** A node that was taken for dead may have its clients under a new id before its old one is dropped. */
  #remove(clientId: string): void {
    if (!this.showAgain(clientId)) this.view.remove(clientId);
  }
}

/** The clients that are left to copy, until the node is dropped or read again. */
function* restOf(node: NodeState, rest: Map<string, ClientRecord | undefined>) {
  for (const entry of rest) {
    if (node.rest !== rest) return;
    yield entry;
  }
}

/** @returns undefined for news of an unknown client without its record */
const afterNews = (known: ClientRecord | undefined, news: ClientNews): ClientRecord | undefined =>
  news.record ?? (known && withNews(known, news));

const sizeOf = (record: ClientRecord | undefined): number => (record ? fieldCount(record) : 0);
