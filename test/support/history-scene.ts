import { randomUUID } from 'node:crypto';
import type { HistoryRuleOptions, RoomPosition, WebSocketOptions } from '../../lib/index.js';
import { ClusterNode } from './cluster-node.js';
import type { NodeSettings } from './cluster-node-main.js';
import { historyComplaints, historyFigures, HistoryLedger } from './history-ledger.js';
import type { HistoryReport } from './history-ledger-facts.js';
import { HistoryMember } from './history-member.js';
import { HistoryPublisher } from './history-publisher.js';
import { until } from './until.js';

export interface NodeStart {
  options: WebSocketOptions;
  /** Of the rooms. */
  rule?: Partial<HistoryRuleOptions>;
  more?: Omit<NodeSettings, 'options'>;
}

/** A node whose rooms `chat:*` keep what is published. */
export async function startNode({ options, rule, more }: NodeStart): Promise<ClusterNode> {
  const history = [{ match: 'chat:*', checkMs: 1_000, ...rule }];
  const node = ClusterNode.spawn({ ...options, rooms: { history } }, more);
  try {
    await node.ready;
    return node;
  } catch (error) {
    await node.stop();
    throw error;
  }
}

export const startNodes = (count: number, start: (index: number) => NodeStart): Promise<ClusterNode[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => startNode(start(index))));

export interface HistorySetup {
  /** All of them match `chat:*`. @default two */
  rooms?: string[];
  /** Per node. @default 2 */
  members?: number;
  /** @default 3 */
  publishers?: number;
  /** Of each publisher, between two rounds of its rooms. @default 5 */
  gapMs?: number;
  /** Bytes that each publication has besides. @default 0 */
  padding?: number;
}

/** Who all these clients are, for tests that have others, too. */
export const READER = 'reader';

/** How long the truth may take to come to everybody, once all is well. */
const SETTLED_MS = 20_000;
/** Before anything goes wrong. */
const WARM_MS = 700;

/** Nodes in processes of their own, members of ours on each, and publishers that ask whichever node lives. */
export class HistoryScene {
  readonly ledger = new HistoryLedger();
  readonly nodes: ClusterNode[] = [];
  readonly members: HistoryMember[] = [];
  readonly publishers: HistoryPublisher[] = [];
  readonly rooms: string[];
  /** Another scene on the same Redis has other publications and keys. */
  readonly #id = randomUUID().slice(0, 4);

  private constructor(private readonly setup: HistorySetup) {
    this.rooms = setup.rooms ?? ['chat:red', 'chat:blue'];
  }

  /** Clients on nodes that run. Resolves when everybody has seen something in each room. */
  static async on(nodes: readonly ClusterNode[], setup: HistorySetup = {}): Promise<HistoryScene> {
    const scene = new HistoryScene(setup);
    scene.nodes.push(...nodes);
    try {
      await until(async () => (await Promise.all(nodes.map((node) => node.state()))).every((is) => is === 'ready'));
      await scene.#begin();
      return scene;
    } catch (error) {
      scene.stop();
      throw error;
    }
  }

  async #describe(): Promise<string> {
    const living = this.nodes.filter(({ exit }) => exit === undefined);
    const nodes = await Promise.all(
      living.map(async (node) => {
        const { state, errors } = await node.call('status');
        return { state, errors: errors.slice(-5) };
      }),
    );
    const members = this.members.map(({ client, errors }) => ({
      places: this.rooms.map((room) => client.positionOf(room)),
      isConnected: client.isClientConnected(),
      errors: errors.slice(-3),
    }));
    return JSON.stringify({ nodes, members, last: this.publishers.map(({ lastAnswer }) => lastAnswer) });
  }

  async #addMember(index: number): Promise<void> {
    let turn = index;
    const parts = { name: `m${index}`, ledger: this.ledger, url: () => this.url(turn++) };
    const member = await HistoryMember.start(parts, this.rooms);
    this.members.push(member);
  }

  /** Of a node that lives, in turn. */
  url(turn: number): string {
    const living = this.nodes.filter(({ exit, process }) => exit === undefined && !process.killed);
    return `ws://127.0.0.1:${living[turn % living.length]?.port}/ws?userId=${READER}`;
  }

  /** Each member goes on, in each room. */
  async allSee(waitMs = SETTLED_MS): Promise<void> {
    const before = this.members.map(({ client }) => this.rooms.map((room) => client.positionOf(room)));
    const hasGoneOn = (index: number): boolean =>
      this.rooms.every((room, at) => {
        const [was, is] = [before[index]?.[at], this.members[index]?.client.positionOf(room)];
        return is !== undefined && (is.epoch !== was?.epoch || is.offset > was.offset);
      });
    await until(() => this.members.every((_, index) => hasGoneOn(index)), waitMs).catch(async () => {
      throw new Error(`After ${waitMs} ms not everybody goes on: ${await this.#describe()}`);
    });
  }

  /** Ends publishing, waits until everybody has everything, and says what was wrong. @param name of what was done to them */
  async judge(name: string): Promise<{ report: HistoryReport; wrong: Record<string, string[]> }> {
    await Promise.all(this.publishers.map((publisher) => publisher.halt()));
    const tops = (await this.publishers[0]?.last()) ?? new Map<string, RoomPosition>();
    for (const [room, top] of tops) this.ledger.ended(room, top);
    // What doesn't come in this time is in the report.
    await until(() => this.members.every((member) => member.hasAll(tops)), SETTLED_MS).catch(() => undefined);
    const report = this.ledger.check();
    const away = this.members.flatMap(({ awayMs }) => awayMs);
    console.info(`${name}: ${historyFigures(report)}; away for at most ${Math.max(0, ...away)} ms`);
    return { report, wrong: historyComplaints(report) };
  }

  /** Ends the clients. The nodes are their starter's. */
  stop(): void {
    for (const publisher of this.publishers) publisher.stop();
    for (const member of this.members) member.client.disconnect();
  }

  async #begin(): Promise<void> {
    const { ledger, rooms } = this;
    const { members = 2, publishers = 3, gapMs = 5, padding } = this.setup;
    for (let n = 0; n < this.nodes.length * members; n++) await this.#addMember(n);
    for (let n = 0; n < publishers; n++) {
      let turn = n;
      const url = (): string => this.url(turn++);
      const publisher = new HistoryPublisher({ name: `p${n}-${this.#id}`, ledger, rooms, gapMs, padding, url });
      this.publishers.push(publisher);
      await publisher.start();
    }
    await this.allSee();
    await new Promise((resolve) => setTimeout(resolve, WARM_MS));
  }
}
