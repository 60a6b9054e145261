import type { Cluster, Redis } from 'ioredis';
import { guarded } from '../guarded.js';
import { isInterest } from './channels.js';
import { ClusterOutlet, nodeKey } from './cluster-outlet.js';
import { keySlot } from './key-slot.js';
import { refused } from './publish-queue.js';
import { readInSteps } from './reading-steps.js';
import type { System } from '../system.js';
import { closeQuietly, keepConnected, openCluster, openShard } from './redis-connections.js';
import type { RedisInstanceLike } from './redis-source.js';
import { RedisWay } from './redis-way.js';
import type { Transport, TransportListener, TransportState } from './transport.js';

/** How often the other masters are asked for the slots of one that is away, in ms. */
const SEARCH_EVERY_MS = 500;

/** The name of the way for ordinary pub/sub. */
const BROADCASTS = 'broadcasts';

/**
 * Redis Cluster. A publication goes to the master of its channel, and one connection to each master receives. What
 * every node subscribes to is ordinary pub/sub on a connection of its own: ioredis can't have both kinds on one.
 */
export class RedisClusterTransport implements Transport {
  readonly isAlone = false;
  readonly hasOneOrder = false;
  readonly #ways = new Map<string, RedisWay>();
  /** The key of the master of each slot. */
  #routes: (string | undefined)[] = [];
  /** The connection for ordinary pub/sub, to any master. */
  #common: { way: RedisWay; master: string; isLost: boolean } | undefined;
  #publisher: Cluster | undefined;
  #outlet: ClusterOutlet | undefined;
  #listener: TransportListener | undefined;
  #searchNoMore: () => void = () => undefined;

  constructor(
    private readonly source: RedisInstanceLike,
    private readonly system: System,
  ) {}

  /** For the registry. */
  get connection(): Cluster {
    if (!this.#publisher) throw new Error('The transport is not open.');
    return this.#publisher;
  }

  get isOpen(): boolean {
    return this.#outlet?.isOpen === true;
  }

  get ways(): readonly RedisWay[] {
    return this.#common ? [this.#common.way, ...this.#ways.values()] : [...this.#ways.values()];
  }

  wayOf(channel: string): RedisWay | undefined {
    return isInterest(channel) ? this.#ways.get(this.#routes[keySlot(channel)] ?? '') : this.#common?.way;
  }

  open(): Promise<number> {
    this.#publisher = openCluster(this.source, 'publisher', this.system.ids);
    this.#outlet = new ClusterOutlet(this.#publisher);
    return Promise.resolve(0); // a Redis Cluster has only one database
  }

  connect(listener: TransportListener): void {
    this.#listener = listener;
    const { connection } = this;
    connection.on(
      'refresh',
      guarded('the slots of the Redis Cluster', listener.failed, () => this.#readRoutes()),
    );
    connection.on('+node', (master: Redis) => readInSteps(master, this.system.clock));
    const opened = (): void => {
      this.#readRoutes();
      listener.outletChanged();
    };
    const closed = (): void => listener.outletChanged();
    keepConnected(connection, this.system.clock, { opened, closed, failed: listener.failed });
    const search = guarded('the slots of the Redis Cluster', listener.failed, () => this.#search());
    this.#searchNoMore = this.system.clock.every(SEARCH_EVERY_MS, search);
  }

  publish(channel: string, payload: string | Buffer): Promise<unknown> {
    return this.#outlet?.publish(channel, payload) ?? refused('the bus was stopped');
  }

  flush(): void {
    this.#outlet?.flush();
  }

  time(): Promise<readonly (string | number)[]> {
    return this.connection.time();
  }

  rebuildOutlet(channel: string): void {
    this.#outlet?.masterOf(channel)?.disconnect();
    this.#publisher?.refreshSlotsCache(); // connects to it again
  }

  async close(): Promise<void> {
    this.#searchNoMore();
    const publisher = this.#publisher;
    const { ways } = this;
    this.#publisher = this.#outlet = this.#listener = this.#common = undefined;
    this.#ways.clear();
    this.#routes = [];
    await Promise.all([...ways.map((way) => way.end()), publisher && closeQuietly(publisher, this.system.clock)]);
  }

  #search(): void {
    if (this.isOpen && this.ways.some(({ state }) => state === 'down')) this.#publisher?.refreshSlotsCache();
  }

  /** Masters or their slots may have changed: new masters get a way, former ones lose theirs. */
  #readRoutes(): void {
    const listener = this.#listener;
    if (!listener || !this.isOpen) return; // read once it is open
    const { slots } = this.connection;
    const routes = Array.from(slots, (keys) => keys?.[0]);
    const masters = new Set(routes);
    let isChanged = routes.length !== this.#routes.length || routes.some((key, slot) => key !== this.#routes[slot]);
    this.#routes = routes;
    for (const [key, way] of this.#ways) {
      if (masters.has(key)) continue;
      this.#ways.delete(key);
      isChanged = true;
      void way.end();
    }
    for (const master of this.connection.nodes('master')) {
      const key = nodeKey(master);
      if (!masters.has(key) || this.#ways.has(key)) continue;
      this.#ways.set(key, this.#open(key, master, 'ssubscriber'));
      isChanged = true;
    }
    const isCommonChanged = this.#chooseCommon();
    if (isChanged || isCommonChanged) listener.routesChanged();
  }

  #open(name: string, master: Redis, role: string): RedisWay {
    const way = new RedisWay(name, openShard(master, role, this.system.ids), {
      clock: this.system.clock,
      isOfCluster: true,
      changed: (...change) => this.#wayChanged(...change),
      // Also a slot that stays where it is: Redis ends its subscriptions at every `CLUSTER SETSLOT … NODE`.
      moved: (moved) => this.#publisher?.refreshSlotsCache(() => this.#listener?.subscriptionsEnded(moved)),
    });
    way.connect(this.#listener as TransportListener);
    return way;
  }

  #wayChanged(way: RedisWay, state: TransportState): void {
    const isCommon = this.#common?.way === way;
    if (!isCommon && this.#ways.get(way.name) !== way) return; // it was removed
    if (isCommon && this.#common) this.#common.isLost = state === 'down';
    this.#listener?.wayChanged(way, state);
    if (this.#chooseCommon()) this.#listener?.routesChanged();
  }

  /** If its master is lost, another one takes its place. @returns true if it changed */
  #chooseCommon(): boolean {
    const before = this.#common;
    if (before && this.#ways.has(before.master) && !before.isLost) return false;
    const others = [...this.#ways.values()].filter(({ name }) => name !== before?.master);
    const { name: key } = others.find(({ state }) => state === 'up') ?? (before ? undefined : others[0]) ?? {};
    const master = this.connection.nodes('master').find((node) => nodeKey(node) === key);
    if (key === undefined || !master) return false;
    void before?.way.end();
    this.#common = { way: this.#open(BROADCASTS, master, 'subscriber'), master: key, isLost: false };
    return true;
  }
}
