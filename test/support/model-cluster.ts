import type { BusReceiver } from '../../lib/cluster/bus-receiver.js';
import { type NewsPiece, readPiece } from '../../lib/cluster/client-news.js';
import { Cluster } from '../../lib/cluster/cluster.js';
import type { ClusterReceiver } from '../../lib/cluster/cluster-receiver.js';
import type { ClusterParts } from '../../lib/cluster/cluster-parts.js';
import { systemIds } from '../../lib/cluster/ids.js';
import { NodeIdentity } from '../../lib/cluster/node-identity.js';
import { NEWS } from '../../lib/cluster/event-groups.js';
import type { Lease, RegistryStore } from '../../lib/cluster/store-contract.js';
import type { ClientRecord } from '../../lib/cluster/client-record.js';
import { WebSocketRedisSubscriberEvent as Event } from '../../lib/protocol/events.js';
import { ModelRedis } from './model-store.js';

type Outcome = { result: unknown } | { error: Error };

/** One command on its way to Redis. */
interface Command {
  apply(): Outcome;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const STEP_MS = 500;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Several nodes, each a real `Cluster`, on one simulated Redis, network and clock. One thing happens at a time. */
export class ModelWorld {
  now = 1_000;
  readonly redis = new ModelRedis(() => this.now);
  readonly nodes: ModelNode[] = [];
  /** How often each loss was raised, by `<node id> <client id>`. */
  readonly losses = new Map<string, number>();
  /** How often it was raised that a client is back, by its id. */
  readonly returns = new Map<string, number>();
  /** Node ids that another node buried. */
  readonly reaped = new Set<string>();
  /** Of these Redis forgot that they were buried: nobody can tell them, nor who comes late. */
  readonly unmarked = new Set<string>();
  isRedisUp = true;
  hadRedisTrouble = false;
  /** How often Redis lost some or all of its memory. */
  wipes = 0;
  #random: number;

  constructor(seed: number) {
    this.#random = seed | 0;
  }

  get running(): ModelNode[] {
    return this.nodes.filter(({ isDead, isLeaving }) => !isDead && !isLeaving);
  }

  addNode(): void {
    this.nodes.push(new ModelNode(this, this.nodes.length));
  }

  stopRedis(): void {
    this.isRedisUp = false;
    this.hadRedisTrouble = true;
    for (const node of this.nodes) node.loseConnection();
  }

  /** The nodes find it again one by one: each reconnects as one of the things that may happen next. */
  startRedis(forgets: boolean): void {
    if (this.isRedisUp) return;
    if (forgets) {
      this.redis.wipe();
      for (const nodeId of this.reaped) this.unmarked.add(nodeId);
      this.reaped.clear();
      this.wipes++;
    }
    this.isRedisUp = true;
  }

  loseKey(pick: number): void {
    const nodeId = this.redis.lose(pick);
    if (nodeId !== undefined && this.reaped.delete(nodeId)) this.unmarked.add(nodeId);
    this.wipes++;
  }

  forge(pick: number): void {
    this.redis.forge(pick);
    this.wipes++;
    const node = this.nodes[pick % this.nodes.length] as ModelNode;
    const facts = { nodeId: node.cluster.nodeId, clientId: 'forged', version: 2 ** 46 + pick };
    const client = { clientId: 'forged', user: null, metadata: {}, rooms: [], lastActivity: 0 };
    this.publish(Event.ClientConnected, JSON.stringify({ ...facts, client }));
  }

  /** Time passes, and most of what is under way happens; every second step all of it. */
  async advance(steps: number): Promise<void> {
    for (let step = 1; step <= steps; step++) {
      this.now += STEP_MS;
      for (const node of this.nodes) node.tick();
      await this.work(step % 2 === 0 ? Infinity : this.below(20));
    }
  }

  async work(most: number): Promise<void> {
    for (let count = 0; count < most; count++) {
      const possible = this.nodes.flatMap((node) => node.possible());
      const next = possible[this.below(possible.length)];
      if (!next) return;
      next();
      await turn();
    }
  }

  below(limit: number): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return limit > 0 ? ((bits ^ (bits >>> 14)) >>> 0) % limit : 0;
  }

  publish(channel: string, text: string): void {
    for (const node of this.nodes) node.hear(channel, text);
  }
}

export class ModelNode {
  readonly cluster: Cluster;
  readonly firstId: string;
  /** The clients connected here: the truth. */
  readonly own = new Map<string, ClientRecord>();
  /** What this node believes of the clients elsewhere. */
  readonly view = new Map<string, ClientRecord>();
  isFrozen = false;
  isDead = false;
  isLeaving = false;
  isStarted = false;
  /** Frozen, cut off or made to miss something at any time. */
  hadTrouble = false;
  /** The clients that Redis held of it when it was killed, unless others had taken it for dead already. */
  deathRecords: string[] = [];
  wipesAtDeath = 0;
  #isReachable = true;
  #isConnected = false;
  #receiver: BusReceiver | undefined;
  #lastClient = 0;
  #workBegan = 0;
  #readings = 0;
  #outbox: Command[] = [];
  #unanswered: Command[] = [];
  #replies: (() => void)[] = [];
  #deliveries: (() => void)[] = [];
  #sockets: (() => void)[] = [];
  readonly #timers = new Set<{ every: number | undefined; due: number; task: () => void }>();

  constructor(
    private readonly world: ModelWorld,
    private readonly number: number,
  ) {
    this.cluster = new Cluster(this.#parts(), true, () => undefined);
    this.firstId = this.cluster.nodeId;
    this.cluster.start(clientsOf(this), [Event.ClientDisconnected, Event.ClientConnected]).then(
      () => (this.isStarted = true),
      () => this.kill(), // an application whose start-up failed exits
    );
  }

  /** Something happens at a socket: now, or when the process gets round to it. */
  socket(act: () => void): void {
    this.#sockets.push(() => {
      if (this.isStarted && !this.isLeaving) act();
    });
  }

  connect(): void {
    const clientId = `c${this.number}-${++this.#lastClient}`;
    const record = { clientId, user: null, metadata: {}, rooms: [], lastActivity: 0 };
    this.own.set(clientId, record);
    this.cluster.changed({ clientId, userId: undefined, describe: () => record, came: 'connected' });
  }

  change(index: number, edit: (record: ClientRecord) => void): void {
    const record = [...this.own.values()][index % Math.max(1, this.own.size)];
    if (!record) return;
    const { clientId, rooms: before, metadata } = record;
    edit(record);
    const { rooms } = record;
    const left = before.filter((roomName) => !rooms.includes(roomName));
    const joined = rooms.filter((roomName) => !before.includes(roomName));
    const moves = [
      ...left.map((roomName) => ({ roomName, isIn: false })),
      ...joined.map((roomName) => ({ roomName, isIn: true })),
    ];
    const keys = record.metadata === metadata ? [] : Object.keys(record.metadata);
    this.cluster.changed({ clientId, userId: undefined, describe: () => structuredClone(record), moves, keys });
  }

  disconnect(index: number): void {
    const clientId = [...this.own.keys()][index % Math.max(1, this.own.size)];
    if (clientId === undefined) return;
    const moves = (this.own.get(clientId)?.rooms ?? []).map((roomName) => ({ roomName, isIn: false }));
    this.own.delete(clientId);
    this.cluster.changed({ clientId, userId: undefined, describe: undefined, moves });
  }

  kill(): void {
    if (this.isDead) return;
    // Some of what it sent still arrives.
    for (const command of this.#outbox.splice(0, this.world.below(this.#outbox.length + 1))) command.apply();
    this.isDead = true;
    this.#isConnected = false;
    this.#outbox = [];
    const { redis, reaped } = this.world;
    if (!reaped.has(this.cluster.nodeId)) {
      this.deathRecords = redis.read(this.cluster.nodeId).records.map(({ clientId }) => clientId);
    }
    this.wipesAtDeath = this.world.wipes;
  }

  /** Leaves as on SIGTERM. */
  leave(): void {
    this.socket(() => {
      this.isLeaving = true;
      void this.cluster.leave().then(() => {
        for (const command of this.#outbox.splice(0)) command.apply(); // the connection is ended, not cut
        this.isDead = true;
        this.#isConnected = false;
      });
    });
  }

  freeze(): void {
    this.isFrozen = this.hadTrouble = true;
  }

  thaw(): void {
    this.isFrozen = false;
  }

  cut(): void {
    this.#isReachable = false;
    this.loseConnection();
  }

  heal(): void {
    this.#isReachable = true;
  }

  loseConnection(): void {
    this.hadTrouble = true;
    if (!this.#isConnected) return;
    this.#isConnected = false;
    // Some commands are still carried out, though nobody hears of it.
    for (const command of this.#outbox.splice(0, this.world.below(this.#outbox.length + 1))) {
      command.apply();
      this.#unanswered.push(command);
    }
    const lost = [...this.#unanswered, ...this.#outbox];
    this.#unanswered = [];
    this.#outbox = [];
    this.#deliveries = [];
    this.#replies = lost.map((command) => () => command.reject(new Error('The connection broke.')));
    this.#replies.push(() => this.#receiver?.stateChanged('down'));
  }

  /** What was delivered to it just now gets lost on the way. */
  missDeliveries(): void {
    this.hadTrouble = true;
    this.#deliveries = [];
  }

  /** Redis is slow: the command at the head isn't answered in time, whether or not it is carried out. */
  timeOut(): void {
    const command = this.#outbox.shift();
    if (!command) return;
    this.hadTrouble = true;
    if (this.world.below(2) === 0) command.apply();
    this.#unanswered.push(command);
    this.#replies.push(() => {
      this.#unanswered.shift();
      command.reject(new Error('The command timed out.'));
    });
  }

  hear(channel: string, text: string): void {
    if (this.#isConnected) this.#deliveries.push(() => this.#receiver?.event(channel, JSON.parse(text)));
  }

  /** What is done takes time: so long work has its steps here, too. */
  #ageOfWork(): number {
    if (this.#workBegan !== this.world.now) this.#readings = 0;
    this.#workBegan = this.world.now;
    return Math.min(STEP_MS - 1, 3 * this.#readings++);
  }

  tick(): void {
    if (this.isFrozen || this.isDead) return;
    for (const timer of this.#timers) {
      if (timer.due > this.world.now) continue;
      if (timer.every === undefined) this.#timers.delete(timer);
      else timer.due = this.world.now + timer.every;
      timer.task();
    }
  }

  /** What may happen next at this node: the head of each of its queues. */
  possible(): (() => void)[] {
    if (this.isDead) return [];
    const steps: (() => void)[] = [];
    if (this.#outbox.length > 0) steps.push(() => this.#carryOut(this.#outbox.shift() as Command));
    if (this.isFrozen) return steps;
    if (!this.#isConnected && this.#isReachable && this.world.isRedisUp && this.#replies.length === 0) {
      steps.push(() => this.#reconnect());
    }
    for (const queue of [this.#replies, this.#deliveries, this.#sockets]) {
      if (queue.length > 0) steps.push(() => (queue.shift() as () => void)());
    }
    return steps;
  }

  #carryOut(command: Command): void {
    const outcome = command.apply();
    this.#unanswered.push(command);
    this.#replies.push(() => {
      this.#unanswered.shift();
      if ('error' in outcome) command.reject(outcome.error);
      else command.resolve(outcome.result);
    });
  }

  #reconnect(): void {
    this.#isConnected = true;
    this.#replies.push(() => this.#receiver?.stateChanged('ready'));
  }

  #command<T>(work: () => T): Promise<T> {
    if (!this.#isConnected || this.isDead) return Promise.reject(new Error('The connection is down.'));
    const apply = (): Outcome => {
      try {
        return { result: work() };
      } catch (error) {
        return { error: error as Error };
      }
    };
    return new Promise<unknown>((resolve, reject) => {
      this.#outbox.push({ apply, resolve, reject });
    }) as Promise<T>;
  }

  #parts(): ClusterParts {
    return {
      store: this.#store(),
      ids: systemIds,
      node: new NodeIdentity(systemIds),
      clock: {
        now: () => this.world.now + this.#ageOfWork(),
        wall: () => this.world.now,
        soon: (task) => void this.#sockets.push(task),
        after: (ms, task) => this.#addTimer(ms, undefined, () => task(this.world.now)),
        every: (ms, task) => this.#addTimer(ms, ms, task),
      },
      bus: {
        counters: { unpublished: 0, missing: 0, stale: 0, junk: 0 },
        away: [],
        start: (receiver) =>
          new Promise((resolve) => {
            this.#receiver = {
              ...receiver,
              stateChanged: (state) => {
                receiver.stateChanged(state);
                if (state === 'ready') resolve();
              },
            };
          }),
        emit: (channel, message) => {
          const text = this.#emit(channel, message);
          this.#sockets.push(() => this.#receiver?.event(channel, JSON.parse(text)));
          return Promise.resolve();
        },
        tell: (channel, message) => {
          this.#emit(channel, message);
          return Promise.resolve();
        },
        publish: () => Promise.resolve(),
        order: () => Promise.resolve(),
        follow: () => Promise.resolve(),
        unfollow: () => undefined,
        renameTo: () => this.#command(() => undefined),
        forgetNode: () => undefined,
        silentMs: () => Infinity,
        stop: () => Promise.resolve(),
      },
    };
  }

  #addTimer(ms: number, every: number | undefined, task: () => void): () => void {
    const timer = { every, task, due: this.world.now + ms };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  #emit(channel: string, message: unknown): string {
    if (channel === NEWS) this.#note(readPiece(message));
    const text = JSON.stringify(message);
    this.#command(() => this.world.publish(channel, text)).catch(() => undefined);
    return text;
  }

  /** Whose loss and whose return is raised. */
  #note({ nodeId, reason, news }: NewsPiece): void {
    const { losses, returns } = this.world;
    for (const { clientId, came } of news) {
      const key = `${nodeId} ${clientId}`;
      if (reason === 'node-lost') losses.set(key, (losses.get(key) ?? 0) + 1);
      if (came === 'returned') returns.set(clientId, (returns.get(clientId) ?? 0) + 1);
    }
  }

  /** The commands of RedisRegistryStore, in its order. */
  #store(): RegistryStore {
    const { redis } = this.world;
    const strike = async (nodeId: string): Promise<void> => {
      await Promise.all([
        this.#command(() => redis.nodes.delete(nodeId)),
        this.#command(() => redis.clients.delete(nodeId)),
      ]);
    };
    return {
      isReachable: () => this.#isConnected,
      refusalIn: () => undefined,
      register: async (nodeId, digest, fields) => {
        const isAlive = await this.#command(() => redis.replace(nodeId, digest, fields));
        if (isAlive) await this.#command(() => redis.enlist(nodeId));
        return isAlive;
      },
      rehearse: () => Promise.resolve(), // changes nothing
      write: (nodeId, digest, fields) => this.#command(() => redis.write(nodeId, digest, fields)),
      renew: async (nodeId, digest) => {
        const { lease, renewal } = await this.#command(() => redis.renew(nodeId, digest));
        if (lease !== 'none') return renewal;
        return (await this.#command(() => redis.setLease(nodeId, false))) ? renewal : 'buried';
      },
      enlist: (nodeId) => this.#command(() => redis.enlist(nodeId)),
      keepList: () => Promise.resolve(), // changes nothing within the time of a run
      leases: async (knownIds) => {
        const members = await this.#command(() => this.#shuffled([...redis.nodes]));
        const nodeIds = [...new Set([...members, ...knownIds])];
        const leases = await Promise.all(nodeIds.map((nodeId) => this.#command(() => redis.leaseOf(nodeId))));
        return new Map(nodeIds.map((nodeId, index) => [nodeId, leases[index] as Lease]));
      },
      read: (nodeId) => this.#command(() => redis.read(nodeId)),
      bury: async (nodeId) => {
        const isFirst = await this.#command(() => redis.setLease(nodeId, true));
        if (isFirst) this.world.reaped.add(nodeId);
        return isFirst;
      },
      condemn: (nodeId) => this.#command(() => redis.markDead(nodeId)),
      strike,
      leave: async (nodeId) => {
        await Promise.all([this.#command(() => redis.markDead(nodeId)), strike(nodeId)]);
      },
    };
  }

  /** A set of Redis has no order. */
  #shuffled<T>(items: T[]): T[] {
    return items
      .map((item) => ({ item, at: this.world.below(1_000_000) }))
      .toSorted((one, other) => one.at - other.at)
      .map(({ item }) => item);
  }
}

/** The clients of a node without sockets. As a server's clients do, it never believes that what is here is elsewhere. */
export function clientsOf({
  own,
  view,
}: {
  own: Map<string, ClientRecord>;
  view: Map<string, ClientRecord>;
}): ClusterReceiver {
  return {
    put: (record) => void (own.has(record.clientId) || view.set(record.clientId, record)),
    remove: (clientId) => void view.delete(clientId),
    ownRecords: () => [...own.values()],
    ownRecord: (clientId) => own.get(clientId),
    deliver: () => undefined,
    event: () => undefined,
    logged: () => undefined,
    reconnected: () => undefined,
    hears: () => false,
    obey: () => Promise.resolve(undefined),
    describe: () => ({ code: 'X', error: 'x' }),
  };
}
