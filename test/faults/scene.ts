import { ClusterNode } from '../support/cluster-node.js';
import type { NodeStatus } from '../support/cluster-node-main.js';
import { Ledger, type Report } from '../support/ledger.js';
import type { Peer } from '../support/peer.js';
import { join, listenTo, publishing } from '../support/scribe.js';
import { Stopwatch } from '../support/stopwatch.js';
import { until } from '../support/until.js';
import { type Ground, PREFIX, ROOM } from './grounds.js';

const POLL_MS = 50;
/** A fault that isn't over by then never is. */
const LONGEST_MS = 40_000;
/** A node drops what is older than 5 s by its own reckoning; a loaded machine takes its time from there to the client. */
const STALE_AFTER_MS = 8_000;

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** All that a node reports and counts. */
const said = ({ errors, counters }: NodeStatus): number =>
  errors.length + Object.values(counters).reduce((sum, count) => sum + count, 0);

interface Member {
  peer: Peer;
  node: ClusterNode;
  rooms: string[];
}

/** What was measured of one fault. */
export interface Measured {
  /** From its beginning until a node that it hit said so; undefined when none had anything to say. */
  noticedMs: number | undefined;
  /** From its end until every node is ready and knows who is where. */
  restoredMs: number;
  /** For how long the machine ran others all the while, though our processes had work to do. */
  lostMs: number;
  report: Report;
  /** Copies that nodes counted as lost, not published or too late. */
  counted: number;
  /** `ClientDisconnected` for clients whose sockets were open all the while. */
  falseLosses: number;
}

/** Three nodes, each with a member of one room and a client beside, each publishing to it. */
export class Scene {
  readonly ledger = new Ledger();
  readonly #members: Member[] = [];
  #halts: (() => Promise<void>)[] = [];
  #counted = 0;
  /** What was published so long before a fault may be under way when it begins, as the machine ran others. */
  #lateMs = 0;

  private constructor(
    readonly ground: Ground,
    readonly nodes: ClusterNode[],
  ) {}

  /** @param quiet how many of the nodes don't publish: what a node has written down is gone with it */
  static async start(ground: Ground, quiet = 0): Promise<Scene> {
    const nodes = await Promise.all(
      ground.nodes.map(({ options, more }) => ClusterNode.start({ ...options, prefix: PREFIX }, more)),
    );
    const scene = new Scene(ground, nodes);
    for (const node of scene.nodes) {
      await scene.#connect(node, ROOM);
      await scene.#connect(node);
    }
    await until(() => scene.isTrue(), 10_000);
    scene.#halts = scene.nodes
      .slice(quiet)
      .map((node, index) =>
        publishing(node, scene.ledger, { publisher: `node${index + quiet}`, rooms: [ROOM], gapMs: 20 }),
      );
    const watch = new Stopwatch();
    await pause(1_000);
    scene.#lateMs = watch.lostMs;
    scene.#counted = await scene.#count();
    return scene;
  }

  get living(): ClusterNode[] {
    return this.nodes.filter(({ exit }) => exit === undefined);
  }

  /** One comes and one goes, as they do while something is broken. */
  async churn(): Promise<void> {
    const node = this.living[0] as ClusterNode;
    const goes = this.#members.findIndex((member) => member.node !== node && member.rooms.length === 0);
    const [gone] = this.#members.splice(goes, 1);
    gone?.peer.terminate();
    await this.#connect(node);
  }

  /** The node is about to end: its clients go with it. */
  bid(node: ClusterNode): void {
    for (const { peer, rooms } of this.#members.filter((member) => member.node === node))
      for (const room of rooms) this.ledger.left(peer.clientId, room, Date.now(), Infinity);
    this.#members.splice(0, Infinity, ...this.#members.filter((member) => member.node !== node));
  }

  /** Every node is ready and knows who is where, and Redis says the same. */
  async isTrue(): Promise<boolean> {
    const wanted = this.#members
      .map(({ peer, rooms }) => `${peer.clientId} ${String(rooms)}`)
      .toSorted()
      .join();
    const answers = await Promise.all(
      this.living.map(async (node) => {
        if ((await node.state()) !== 'ready') return false;
        const clients = await node.call('clients');
        const known = clients.map(({ clientId, rooms }) => `${clientId} ${String(rooms)}`).toSorted();
        return known.join() === wanted && (await node.call('fetched')) === clients.length;
      }),
    );
    return answers.every(Boolean);
  }

  /** Resolves with the time it took until one, or every one, of the nodes said something; undefined when none does. */
  async noticed(
    hit: readonly ClusterNode[],
    isOver: () => boolean,
    who: 'some' | 'every',
  ): Promise<number | undefined> {
    const before = await Promise.all(hit.map(async (node) => said(await node.call('status'))));
    return this.#watch(isOver, async () => {
      const now = await Promise.all(hit.map((node) => node.call('status')));
      return now[who]((status, index) => status.state !== 'ready' || said(status) > (before[index] as number));
    });
  }

  /** Resolves with the time it took until another node knew no client of this one any more; undefined when none does. */
  async missed(gone: ClusterNode, isOver: () => boolean): Promise<number | undefined> {
    const its = this.#members.filter(({ node }) => node === gone).map(({ peer }) => peer.clientId);
    const other = this.nodes.find((node) => node !== gone) as ClusterNode;
    return this.#watch(isOver, async () => {
      const known = await other.clientIds();
      return !its.some((clientId) => known.includes(clientId));
    });
  }

  async #watch(isOver: () => boolean, look: () => Promise<boolean>): Promise<number | undefined> {
    const from = Date.now();
    for (;;) {
      const isLast = (isOver() && Date.now() - from > 1_000) || Date.now() - from > LONGEST_MS;
      if (await look()) return Date.now() - from;
      if (isLast) return undefined;
      await pause(POLL_MS);
    }
  }

  async restored(): Promise<number> {
    const from = Date.now();
    await until(() => this.isTrue(), LONGEST_MS);
    return Date.now() - from;
  }

  /** Ends publishing, and says what became of every copy. */
  async judge(from: number, to: number): Promise<Pick<Measured, 'report' | 'counted' | 'falseLosses'>> {
    this.ledger.fault(from - 100 - this.#lateMs, to + 100);
    await pause(1_500); // what comes now is lost by no fault
    await Promise.all(this.#halts.map((halt) => halt()));
    await pause(500);
    const open = new Set(this.#members.map(({ peer }) => peer.clientId));
    const heard = await Promise.all(this.living.map((node) => node.heard('WebSocket:ClientDisconnected')));
    const lost = heard.flat().filter(({ message }) => open.has((message as { clientId: string }).clientId));
    const report = this.ledger.check({ staleAfterMs: STALE_AFTER_MS });
    return { report, counted: (await this.#count()) - this.#counted, falseLosses: lost.length };
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  async #connect(node: ClusterNode, ...rooms: string[]): Promise<void> {
    const peer = await node.connect();
    listenTo(peer, this.ledger);
    for (const room of rooms) await join(peer, this.ledger, room);
    this.#members.push({ peer, node, rooms });
  }

  /** In copies: what a node couldn't publish, none of the others got. */
  async #count(): Promise<number> {
    const counts = await Promise.all(
      this.living.map(async (node) => {
        const { unpublished, missing, stale } = (await node.call('status')).counters;
        return unpublished * (this.nodes.length - 1) + missing + stale;
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }
}
