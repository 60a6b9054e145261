import type { WebSocketOptions } from '../../lib/index.js';
import type { ClusterNode } from './cluster-node.js';
import type { Frame, Peer } from './peer.js';
import { Observer } from './presence-observer.js';
import { until } from './until.js';

/** Long enough for a client that comes back at once. */
const GRACE_MS = 1_500;

export const presenceOptions = (more: WebSocketOptions = {}): WebSocketOptions => ({
  presence: [{ match: 'chat:*', graceMs: GRACE_MS, coalesceMs: 20 }],
  ...more,
});

interface Person {
  node: ClusterNode;
  peer: Peer;
  userId: string;
}

interface Watcher extends Person {
  observer: Observer;
  /** How many of the peer's frames were read. */
  seen: number;
  left: string[];
  joined: string[];
}

/** How long the truth may take to come to everybody, once all is well: a lease, a grace, two beats, a check. */
const SETTLED_MS = 30_000;

/** Users on nodes in processes of their own: some watch, some stay, some come and go. */
export class PresenceScene {
  readonly watchers: Watcher[] = [];
  readonly #people: Person[] = [];
  #isHalted = false;
  #restless: Promise<void>[] = [];

  private constructor(
    readonly nodes: readonly ClusterNode[],
    readonly room: string,
    /** Users of scenes on the same nodes are others. */
    readonly name: string,
  ) {}

  static async on(nodes: readonly ClusterNode[], name: string, room = 'chat:1'): Promise<PresenceScene> {
    const scene = new PresenceScene(nodes, room, name);
    for (const [at, node] of nodes.entries()) {
      await scene.watch(node, `${name}-watches${at}`);
      await scene.enter(node, `${name}-stays${at}`);
    }
    for (let n = 0; n < 3; n++) scene.#restless.push(scene.#comeAndGo(`${name}-restless${n}`, n));
    return scene;
  }

  async enter(node: ClusterNode, userId: string): Promise<Person> {
    const peer = await node.connect(userId);
    await peer.join(this.room);
    const person = { node, peer, userId };
    this.#people.push(person);
    return person;
  }

  async watch(node: ClusterNode, userId: string): Promise<Watcher> {
    const peer = await node.connect(userId);
    const { response } = await peer.join(this.room, { presence: true });
    const watcher = { node, peer, userId, observer: new Observer(userId, userId), seen: 0, left: [], joined: [] };
    watcher.observer.joined(response.data.presence);
    this.watchers.push(watcher);
    return watcher;
  }

  /** Its people are gone with it. */
  lost(node: ClusterNode): void {
    for (const list of [this.watchers, this.#people])
      for (let at = list.length - 1; at >= 0; at--) if (list[at]?.node === node) list.splice(at, 1);
  }

  /** Ends the coming and going, waits until everybody knows the truth, and says what was wrong. */
  async judge(waitMs = SETTLED_MS): Promise<string[]> {
    this.#isHalted = true;
    await Promise.all(this.#restless);
    const truth = [...new Set([...this.watchers, ...this.#people].map(({ userId }) => userId))].toSorted();
    const knows = ({ observer }: Watcher): boolean => observer.knows?.join() === truth.join();
    const all = (): boolean => {
      for (const watcher of this.watchers) this.#read(watcher);
      return this.watchers.every(knows);
    };
    await until(all, waitMs).catch(() => undefined);
    const flaws: string[] = [];
    for (const watcher of this.watchers) {
      const { observer, userId, left } = watcher;
      flaws.push(...observer.flaws);
      if (!knows(watcher)) flaws.push(`${userId} knows [${String(observer.knows)}], not [${String(truth)}]`);
      for (const gone of left)
        if (!gone.includes('restless') && truth.includes(gone)) flaws.push(`${userId} was told that ${gone} left`);
    }
    return flaws;
  }

  stop(): void {
    this.#isHalted = true;
    for (const { peer } of [...this.watchers, ...this.#people]) peer.terminate();
  }

  #read(watcher: Watcher): void {
    const { peer, observer } = watcher;
    for (; watcher.seen < peer.received.length; watcher.seen++) {
      const { type, action, data } = peer.received[watcher.seen];
      if (type !== 'system' || action !== 'presence' || data.roomName !== this.room) continue;
      observer.heard(data);
      watcher.left.push(...(data.left ?? []));
      watcher.joined.push(...(data.joined ?? []).map(({ userId }: Frame) => userId));
    }
  }

  async #comeAndGo(userId: string, seed: number): Promise<void> {
    for (let turn = seed; !this.#isHalted; turn++) {
      const living = this.nodes.filter(({ exit, process }) => exit === undefined && !process.killed);
      const node = living[turn % living.length];
      if (!node) return;
      try {
        const peer = await node.connect(userId);
        await peer.join(this.room);
        await new Promise((resolve) => setTimeout(resolve, 30 + (turn % 5) * 20));
        if (turn % 3 === 0) await peer.request('system', 'leaveRoom', { roomName: this.room });
        peer.terminate();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50)); // the node is gone, or Redis is away
      }
    }
  }
}
