import type { Announcement } from '../../lib/history/announcement.js';
import { NodeShares, type Signs } from '../../lib/presence/node-shares.js';
import { PresenceRules } from '../../lib/presence/presence-options.js';
import type { PresenceStore } from '../../lib/presence/presence-store.js';
import type { RoomShare } from '../../lib/presence/room-share.js';
import { RoomViews } from '../../lib/presence/room-views.js';
import { type ManualClock, settle } from './manual-clock.js';
import { Observer } from './presence-observer.js';

const ROOM = 'chat:1';
const GRACE_MS = 3_000;
/** So few that rooms become crowded now and then. */
const MAX_USERS = 3;
const LEASE_MS = 6_000;
/** Longer than anything waits for something: two checks of the reader, beats, a lease, a grace, a list. */
const QUIET_MS = 65_000;
const STEP_MS = 1_000;

/** `slow`: it is carried out now, and answered with the next. */
type How = 'well' | 'slow' | 'unheard' | 'refused';

export type Operation =
  | { kind: 'join'; client: number; node: number; user: number; hears: boolean | 'count'; says: boolean }
  | { kind: 'leave' | 'cut' | 'update'; client: number }
  | { kind: 'kick' | 'swap'; client: number; user: number }
  /** The head of a node's commands is carried out. */
  | { kind: 'work'; node: number; how: How }
  /** The head of what was announced to a node arrives there. */
  | { kind: 'hear'; node: number; how: 'pass' | 'lose' | 'twice' | 'late' }
  | { kind: 'pass'; ms: number }
  | { kind: 'kill'; node: number }
  | { kind: 'wipe' };

/** What stores have in common, and what a test does to them. */
export interface ModelStore extends PresenceStore {
  /** What was announced since the last call. */
  announced(): Promise<Announcement[]>;
  /** The events of users since the beginning: `+ada`, `-ada`. */
  readonly raised: readonly string[];
  wipe(): Promise<void>;
  /** Time that passes in the store. */
  pass(ms: number): Promise<void>;
}

interface Client {
  id: string;
  node: ModelNode;
  userId: string;
  /** It hears who is there only after a read. */
  isIn: boolean;
  observer: Observer | undefined;
  hears: boolean | 'count';
}

/** Nodes with the real shares, readers and audiences; what is between them and the store happens when a test says so. */
export class PresenceModel {
  readonly #nodes: ModelNode[] = [];
  readonly #clients = new Map<number, Client>();
  readonly #signs = new Map<string, { at: number; rooms: Set<string> }>();
  #number = 0;
  readonly flaws: string[] = [];

  constructor(
    readonly store: ModelStore,
    readonly clock: ManualClock,
  ) {
    for (let n = 0; n < 3; n++) this.#nodes.push(this.#start());
  }

  /** Nobody is asked whether the last of it was ever done: whatever comes, all is well again after a while. */
  async run(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) {
      await this.#do(operation);
      await this.#collect();
    }
    await this.#calm(QUIET_MS);
    await this.#judge(operations);
    for (const node of this.#nodes) node.kill();
  }

  #start(): ModelNode {
    return new ModelNode(`n${this.#number++}`, this.store, this.clock, this.#signs);
  }

  async #do(operation: Operation): Promise<void> {
    switch (operation.kind) {
      case 'join':
        return this.#join(operation);
      case 'wipe':
        return this.store.wipe();
      case 'pass':
        await this.store.pass(operation.ms);
        return this.clock.pass(operation.ms);
      case 'work':
        return this.#nodes[operation.node]?.work(operation.how);
      case 'hear':
        return this.#nodes[operation.node]?.hear(operation.how);
      case 'kill':
        return this.#kill(operation.node);
      default:
        return this.#change(operation);
    }
  }

  async #join({ client, node: at, user, hears, says }: Extract<Operation, { kind: 'join' }>): Promise<void> {
    if (this.#clients.has(client)) return;
    const node = this.#nodes[at] as ModelNode;
    const id = `c${this.#number++}`;
    const one: Client = { id, node, userId: `u${user}`, isIn: !hears, observer: undefined, hears };
    this.#clients.set(client, one);
    const data = says ? this.#number++ : undefined;
    const enter = (): RoomShare => {
      const share = node.shares.open(ROOM);
      share.enter(id, one.userId);
      if (data !== undefined) share.update(id, `${data}`);
      return share;
    };
    if (!hears) return void enter();
    // As Membership does it.
    node.views.hold(ROOM).then(
      () => {
        if (this.#clients.get(client) === one) {
          const isNew = enter().isUnsaid(id);
          one.isIn = true;
          one.observer = new Observer(`${id}@${node.name}`, one.userId);
          node.observers.set(id, one.observer);
          one.observer.joined(node.views.add(id, ROOM, { userId: one.userId, hears, data, isNew }));
        }
        node.views.release(ROOM);
      },
      () => {
        if (this.#clients.get(client) === one) this.#clients.delete(client);
        node.views.release(ROOM);
      },
    );
    await settle();
  }

  #change(operation: Extract<Operation, { client: number }>): void {
    const one = this.#clients.get(operation.client);
    if (operation.kind === 'kick') {
      const userId = `u${operation.user}`;
      for (const [at, { id, node, userId: its }] of this.#clients) {
        if (its !== userId) continue;
        node.out(id);
        this.#clients.delete(at);
      }
      for (const { shares } of this.#nodes) shares.endGraces(userId);
      return;
    }
    if (!one) return;
    if (operation.kind === 'leave') one.node.out(one.id);
    else if (operation.kind === 'cut') one.node.cut(one.id);
    else if (operation.kind === 'update') return void one.node.shares.find(ROOM)?.update(one.id, `${this.#number++}`);
    else if (operation.kind === 'swap') {
      if (!one.isIn) return;
      one.userId = `u${operation.user}`;
      one.node.shares.find(ROOM)?.enter(one.id, one.userId);
      // Another user knows of itself, too: what an observer knows of before is another's.
      one.node.views.remove(one.id, ROOM);
      one.observer = undefined;
      return;
    }
    this.#clients.delete(operation.client);
  }

  #kill(at: number): void {
    const node = this.#nodes[at] as ModelNode;
    node.kill();
    for (const [client, { node: its }] of this.#clients) if (its === node) this.#clients.delete(client);
    this.#nodes[at] = this.#start();
  }

  async #collect(): Promise<void> {
    await settle();
    for (const said of await this.store.announced()) for (const node of this.#nodes) node.inbox.push(said);
  }

  /** Everything is carried out and arrives. */
  async #calm(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      for (const node of this.#nodes)
        while (node.isBusy) {
          await node.work('well');
          await this.#collect();
          while (node.inbox.length > 0) node.hear('pass');
        }
      await this.#collect();
      for (const node of this.#nodes) while (node.inbox.length > 0) node.hear('pass');
      await this.store.pass(STEP_MS);
      await this.clock.pass(STEP_MS);
    }
  }

  async #judge(operations: readonly Operation[]): Promise<void> {
    const truth = new Map<string, number>();
    for (const { userId } of this.#clients.values()) truth.set(userId, (truth.get(userId) ?? 0) + 1);
    const { users = new Map<string, { connections: number; data: string }>() } = await this.store.read(ROOM);
    const stored = Array.from(users, ([userId, { connections }]) => `${userId} ${connections}`).toSorted();
    const expected = Array.from(truth, ([userId, count]) => `${userId} ${count}`).toSorted();
    if (stored.join() !== expected.join())
      this.flaws.push(`the store has [${String(stored)}], not [${String(expected)}]`);
    const names = [...truth.keys()].toSorted();
    for (const { observer, userId, hears } of this.#clients.values()) {
      if (!observer) continue;
      this.flaws.push(...observer.flaws);
      const own = observer.userId === userId ? names : [];
      if (observer.total !== names.length)
        this.flaws.push(`${observer.name} was told of ${observer.total} users, not ${String(names)}`);
      const due = names.length > MAX_USERS || hears === 'count' ? undefined : own.join();
      if (observer.knows?.join() !== due)
        this.flaws.push(`${observer.name} knows [${String(observer.knows)}], not [${String(due)}]`);
      const said = Array.from(users, ([name, user]) => `${name}: ${user.data}`).toSorted();
      if (due !== undefined && own === names && observer.hasHeard.join() !== said.join())
        this.flaws.push(`${observer.name} has heard [${String(observer.hasHeard)}], not [${String(said)}]`);
    }
    // What is lost can't be told apart from what never was.
    if (operations.some(({ kind }) => kind === 'wipe')) return;
    const present = new Set<string>();
    for (const event of this.store.raised) {
      const userId = event.slice(1);
      const isRight = event.startsWith('+') ? !present.has(userId) : present.delete(userId);
      if (!isRight) this.flaws.push(`${event} was raised out of turn`);
      if (event.startsWith('+')) present.add(userId);
    }
    if ([...present].toSorted().join() !== names.join())
      this.flaws.push(`by events [${String([...present])}] are here, not [${String(names)}]`);
  }
}

/** One node: its commands to the store wait in order, as on one connection. */
class ModelNode {
  readonly shares: NodeShares;
  readonly views: RoomViews;
  readonly observers = new Map<string, Observer>();
  readonly inbox: Announcement[] = [];
  readonly #commands: ((how: How) => Promise<void>)[] = [];
  #listeners = new Set<(said: Announcement) => void>();
  #isDead = false;

  constructor(
    readonly name: string,
    store: PresenceStore,
    clock: ManualClock,
    signs: Map<string, { at: number; rooms: Set<string> }>,
  ) {
    const alive =
      <A extends unknown[]>(task: (...args: A) => void) =>
      (...args: A): void => {
        if (!this.#isDead) task(...args);
      };
    const own = {
      now: () => clock.now(),
      wall: () => clock.wall(),
      soon: (task: () => void) => clock.soon(alive(task)),
      after: (ms: number, task: (now: number) => void) => clock.after(ms, alive(task)),
      every: (ms: number, task: () => void) => clock.every(ms, alive(task)),
    };
    const behind: PresenceStore = {
      apply: (...given) => this.#command(() => store.apply(...given)),
      read: (...given) => this.#command(() => store.read(...given)),
      top: (...given) => this.#command(() => store.top(...given)),
      bury: (...given) => this.#command(() => store.bury(...given)),
      check: (...given) => this.#command(() => store.check(...given)),
      nodesIn: (...given) => this.#command(() => store.nodesIn(...given)),
    };
    const failed = (): void => undefined;
    this.shares = new NodeShares({
      nodeId: name,
      store: behind,
      signs: this.#signs(signs, () => clock.now()),
      clock: own,
      graceMsOf: () => GRACE_MS,
      failed,
    });
    this.views = new RoomViews({
      rules: new PresenceRules([{ match: 'chat:*', maxUsers: MAX_USERS, graceMs: GRACE_MS }]),
      store: behind,
      clock: own,
      local: {
        toClient: (clientId, { payload }) =>
          this.observers.get(clientId)?.heard(JSON.parse(Buffer.from(payload).toString()).data),
      },
      follow: async (_room, heard) => {
        this.#listeners.add(heard);
        return () => this.#listeners.delete(heard);
      },
      lost: (room) => this.shares.find(room)?.sayAll(),
      failed,
    });
    this.views.start();
    this.shares.start();
  }

  get isBusy(): boolean {
    return this.#commands.length > 0;
  }

  out(clientId: string): void {
    this.#forget(clientId);
    this.shares.find(ROOM)?.leave(clientId);
  }

  cut(clientId: string): void {
    this.#forget(clientId);
    this.shares.find(ROOM)?.lose(clientId);
  }

  kill(): void {
    this.#isDead = true;
    this.#commands.length = 0;
    this.#listeners = new Set();
    this.views.stop();
  }

  async work(how: How): Promise<void> {
    await this.#commands.shift()?.(how);
    await settle();
  }

  hear(how: 'pass' | 'lose' | 'twice' | 'late'): void {
    const said = this.inbox.shift();
    if (!said || how === 'lose') return;
    if (how === 'late') return void this.inbox.splice(1, 0, said);
    for (let times = how === 'twice' ? 2 : 1; times > 0; times--) for (const heard of this.#listeners) heard(said);
  }

  #forget(clientId: string): void {
    this.views.remove(clientId, ROOM);
  }

  #command<T>(run: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#isDead) return;
      this.#commands.push(async (how) => {
        if (how === 'refused') return reject(new Error('The store is away.'));
        const result = await run();
        if (how === 'well') resolve(result);
        else if (how === 'slow') this.#commands.unshift(async () => resolve(result));
        else reject(new Error('Nobody heard the answer.'));
      });
    });
  }

  #signs(all: Map<string, { at: number; rooms: Set<string> }>, now: () => number): Signs {
    const of = (nodeId: string): { at: number; rooms: Set<string> } => {
      const sign = all.get(nodeId) ?? { at: now(), rooms: new Set<string>() };
      all.set(nodeId, sign);
      return sign;
    };
    return {
      add: async (room) => void of(this.name).rooms.add(room),
      remove: async (room) => void of(this.name).rooms.delete(room),
      beat: async () => {
        of(this.name).at = now();
        return [...all].filter(([, { at }]) => now() - at > LEASE_MS).map(([nodeId]) => nodeId);
      },
      roomsOf: async (nodeId) => [...of(nodeId).rooms],
      unknownOf: async (nodeIds) => nodeIds.filter((nodeId) => !all.has(nodeId)),
      suspect: async (nodeId, room) => void of(nodeId).rooms.add(room),
      forget: async (nodeId) => void all.delete(nodeId),
      signOff: async () => undefined,
    };
  }
}
