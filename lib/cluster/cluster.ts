import { ConnectionError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { Delivery } from '../protocol/delivery.js';
import type { BusCounters, BusReceiver, BusState } from './bus-receiver.js';
import { checkEvent } from './bus-input.js';
import { clientIdOf, type Interest, nodeIdOf } from './channels.js';
import { ChangeFeed, type LocalChange } from './change-feed.js';
import { type NewsPiece, readPiece } from './client-news.js';
import { NewsEvents } from './news-events.js';
import { type ClusterParts, clusterParts, type ClusterPartsOptions } from './cluster-parts.js';
import { type ClusterReceiver, NOBODY } from './cluster-receiver.js';
import { systemIds } from './ids.js';
import { OrderExchange } from './order-exchange.js';
import type { Order } from './orders.js';
import { ALIVE, NEWS, PRESENCE, readAlive } from './presence-events.js';
import { BEAT_MS, GRACE_MS, Registry } from './registry.js';
import { Steps } from './steps.js';
import { withinMs } from '../deadline.js';
import { writableRecord } from './writable-record.js';
import type { ClientRecord } from './client-record.js';

/** All clients of the cluster, as Redis has them at one moment. */
export interface ClusterSnapshot {
  records: ClientRecord[];
  nodeIds: string[];
  /** Nodes whose clients couldn't be read: they are dead but not removed yet, or Redis can't be reached. */
  missing: string[];
}

export interface ClusterOptions extends ClusterPartsOptions {
  /** @default 'replicated' */
  registry?: 'replicated' | 'local';
}

const ORDER_TIMEOUT_MS = 10_000;
/** How long `leave()` and `stop()` wait for the last news of this node's clients, in ms. */
const LEAVE_MS = 1_000;

/** This process as a node of the cluster: bus, registry, and orders between nodes. Works alone without Redis. */
export class Cluster {
  readonly isReplicated: boolean;
  readonly #parts: ClusterParts;
  readonly #bus: ClusterParts['bus'];
  readonly #registry: Registry | undefined;
  readonly #orders: OrderExchange;
  #nodeId = systemIds.nodeId();
  /** This node's id, and those it had before other nodes took it for dead. */
  readonly #ownIds = new Set([this.#nodeId]);
  #state: BusState = 'starting';
  #stopBeating: () => void = () => undefined;
  #isLeaving = false;
  #isStarting = false;
  #receiver = NOBODY;
  readonly #feed: ChangeFeed;
  readonly #events: NewsEvents;
  /** Other nodes, or subscribers of this one, want news of clients. */
  #isHeard = true;

  constructor(
    options: ClusterOptions,
    /** Reports errors that no caller can catch. */
    private readonly failed: (error: Error, place?: string, kind?: string) => void,
    partsOf: (nodeId: string) => ClusterParts = (nodeId) => clusterParts(options, nodeId),
  ) {
    this.isReplicated = (options.registry ?? 'replicated') === 'replicated';
    const parts = (this.#parts = partsOf(this.#nodeId));
    this.#bus = parts.bus;
    const { bus, store, clock, ids } = parts;
    this.#orders = new OrderExchange(
      bus,
      { obey: (order) => this.#receiver.obey(order), describe: (error) => this.#receiver.describe(error) },
      failed,
    );
    this.#feed = new ChangeFeed({
      clock,
      nodeId: () => this.#nodeId,
      hasTold: (clientId) => this.#registry?.hasTold(clientId) ?? true,
      number: (news) => this.#registry?.changed(news),
      publish: (piece) => bus.emit(NEWS, piece),
      failed,
    });
    const listener = {
      hears: (event: string) => this.#receiver.hears(event),
      event: (event: string, message: object) => this.#receiver.event(event, message),
    };
    this.#events = new NewsEvents(listener, clock, failed, store !== undefined);
    if (!store) return;
    this.#registry = new Registry(this.#nodeId, {
      store,
      view: {
        put: (record, news) => this.#receiver.put(record, news),
        remove: (clientId) => this.#receiver.remove(clientId),
      },
      steps: new Steps(clock, failed),
      isReplicated: this.isReplicated,
      now: () => clock.now(),
      after: (ms, task) => clock.after(ms, guarded('the registry', failed, task)),
      newNodeId: () => ids.nodeId(),
      ownRecords: () => this.#ownRecords(),
      ownRecord: (clientId) => {
        const record = this.#receiver.ownRecord(clientId);
        return record && this.#writable(record);
      },
      renamed: async (nodeId) => {
        this.#nodeId = nodeId;
        this.#ownIds.add(nodeId);
        await bus.renameTo(nodeId);
      },
      alive: (nodeId, digest) => void bus.emit(ALIVE, { nodeId, ...digest }),
      settle: () => this.#feed.settle(),
      silentMs: (nodeId) => bus.silentMs(nodeId),
      returned: () => this.#announceReturn(),
      reaped: (nodeId, records) => void this.#feed.announceEnd(nodeId, records, 'node-lost'),
      nodeGone: (nodeId) => bus.forgetNode(nodeId),
      failed: (error) => failed(error),
    });
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  /** True for this node's id, and for those it had before. */
  isOwn(nodeId: string | undefined): boolean {
    return nodeId === undefined || this.#ownIds.has(nodeId);
  }

  /** `starting` until this node is registered and knows the other nodes. */
  get state(): BusState {
    return this.#isStarting ? 'starting' : this.#state;
  }

  get counters(): Readonly<BusCounters> {
    return this.#bus.counters;
  }

  /** What can't be reached: Redis, or masters of a Redis Cluster, by name. */
  get away(): string[] {
    return this.#bus.away;
  }

  /** This node and the other nodes that it knows. */
  get nodeIds(): string[] {
    return [this.#nodeId, ...(this.#registry?.others ?? [])];
  }

  newClientId(): string {
    return clientIdOf(this.#nodeId, this.#parts.ids.unique());
  }

  /** Resolves when this node is subscribed and registered, and knows the clients of the other nodes. */
  async start(receiver: ClusterReceiver, events: readonly string[]): Promise<void> {
    this.#isLeaving = false;
    this.#receiver = receiver;
    const busReceiver: BusReceiver = {
      deliver: (delivery) => receiver.deliver(delivery),
      event: (channel, message) => this.#heard(channel, message),
      plainEvent: (channel, message, bytes) => receiver.event(channel, message, bytes),
      logged: (roomName, text) => receiver.logged(roomName, text),
      order: (from, order) => this.#orders.receive(from, order),
      stateChanged: (state) => this.#changedState(state),
      failed: this.failed,
    };
    this.#isStarting = true;
    try {
      const hearsOthers = this.isReplicated && this.#registry !== undefined;
      this.#isHeard = this.#registry !== undefined || events.some((event) => PRESENCE.has(event));
      await this.#bus.start(busReceiver, hearsOthers ? [...events, NEWS] : events);
      if (this.#registry) this.#beatFrom(BEAT_MS);
      await this.#registry?.enter();
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      this.#isStarting = false;
    }
  }

  /**
   * Reads from Redis who is connected to any node. `missing` names the nodes that couldn't be read. Never hangs, never
   * rejects.
   */
  async fetch(): Promise<ClusterSnapshot> {
    const own = { records: [...this.#ownRecords()], nodeIds: [this.#nodeId] };
    if (!this.#registry) return { ...own, missing: [] };
    try {
      return await this.#registry.fetch();
    } catch (error) {
      this.failed(error as Error);
      return { ...own, missing: this.#registry.others };
    }
  }

  /** Announces at once that this node's clients are leaving. Deliveries for them still arrive until `stop()`. */
  async leave(): Promise<void> {
    if (!this.#registry || this.#isLeaving) return;
    this.#isLeaving = true;
    this.#stopBeating();
    const registry = this.#registry;
    const goodbye = this.#feed.announceEnd(this.#nodeId, [...this.#ownRecords()], 'node-stopping');
    // Without Redis, the lease runs out by itself.
    await withinMs(LEAVE_MS, this.#state === 'ready' ? goodbye.then(() => registry.leave()) : goodbye);
  }

  async stop(): Promise<void> {
    this.#stopBeating();
    this.#registry?.stop();
    if (this.#state === 'ready' && !this.#isLeaving) await withinMs(LEAVE_MS, this.#feed.drained());
    this.#feed.stop();
    await this.#bus.stop();
    this.#orders.stop();
  }

  /** Settles as `Bus` says. Nobody has to handle a rejection. */
  publish(delivery: Delivery): Promise<unknown> {
    return this.#bus.publish(delivery);
  }

  emit(channel: string, message: unknown): Promise<unknown> {
    return this.#bus.emit(channel, message);
  }

  /** Raises an event of the application. @throws {NotSerializableError} before any subscriber gets it */
  raise(channel: string, message: unknown): Promise<unknown> {
    checkEvent(message);
    return this.#bus.emit(channel, message);
  }

  follow(interest: Interest): Promise<void> {
    return this.#bus.follow(interest);
  }

  unfollow(interest: Interest): void {
    this.#bus.unfollow(interest);
  }

  /** A client of this node is new, changed or gone. The registry and the other nodes get it at the end of this turn. */
  changed(change: LocalChange): void {
    if (!this.#isHeard || this.#isLeaving) return; // `leave()` announced all of them
    const { describe } = change;
    this.#feed.add({ ...change, describe: describe && (() => this.#writable(describe())) });
  }

  /**
   * Asks the node of a client to do something for it.
   * @throws {ConnectionError} when the node is unknown
   * @throws {NotPublishedError} when the order can't be sent
   * @throws {NotSerializableError} when the order has no JSON form
   * @throws {TimeoutError} when no answer comes
   * @throws {RemoteError} when the other node fails
   */
  order(order: Order, timeoutMs = ORDER_TIMEOUT_MS): Promise<unknown> {
    const nodeId = nodeIdOf(order.clientId);
    if (nodeId === undefined || !this.#registry) return Promise.reject(new ConnectionError('No node has this client.'));
    return this.#orders.send(nodeId, order, timeoutMs);
  }

  /** The application may have changed a record so that it can't be written. That must not stop the others. */
  #writable(record: ClientRecord): ClientRecord {
    return writableRecord(record, this.failed);
  }

  *#ownRecords(): Iterable<ClientRecord> {
    for (const record of this.#receiver.ownRecords()) yield this.#writable(record);
  }

  /** The first beat comes after `ms`, the following ones every `BEAT_MS`. */
  #beatFrom(ms: number): void {
    this.#stopBeating();
    const beat = guarded('a beat of the registry', this.failed, () => {
      if (ms !== BEAT_MS) this.#beatFrom(BEAT_MS);
      this.#registry?.beat().catch(() => undefined); // the registry reports it; the next beat tries again
    });
    this.#stopBeating = this.#parts.clock.every(ms, beat);
  }

  #changedState(state: BusState): void {
    const isBack = state === 'ready' && this.#state === 'down';
    this.#state = state;
    if (!isBack || this.#isLeaving) return;
    this.#receiver.reconnected();
    this.#registry?.connected().catch(() => undefined); // the registry reports it; the next beat tries again
    this.#beatFrom(GRACE_MS); // nodes that haven't come back by then are dead; the usual beat could be 2 s later
  }

  /** A node or an emitter raised an event. @throws {JunkError} for invalid news */
  #heard(channel: string, message: unknown): void {
    if (channel === ALIVE) this.#heardAlive(message);
    else if (channel === NEWS) this.#heardNews(readPiece(message));
    else this.#receiver.event(channel, message);
  }

  /** The copy of the registry changes first, then subscribers get the news. */
  #heardNews(piece: NewsPiece): void {
    const { nodeId, version, reason, news } = piece;
    if (reason !== undefined) this.#registry?.heardOfEnd(nodeId);
    else if (version !== undefined) this.#registry?.heard(nodeId, version, news);
    // Other nodes may have taken this one for dead. It knows its own clients better.
    if (!this.#ownIds.has(nodeId)) this.#events.push(piece);
    else if (reason !== 'node-lost')
      this.#events.push({ ...piece, news: news.filter(({ came }) => came !== 'returned') });
  }

  /** @throws {JunkError} */
  #heardAlive(message: unknown): void {
    const { nodeId, digest } = readAlive(message);
    this.#registry?.heardAlive(nodeId, digest);
  }

  /** Other nodes announced the loss of this node's clients. Those that are still here are announced again. */
  #announceReturn(): void {
    for (const record of this.#ownRecords()) {
      const { clientId, rooms, user } = record;
      const moves = rooms.map((roomName) => ({ roomName, isIn: true }));
      this.#feed.add({ clientId, userId: user?.userId, describe: () => record, moves, came: 'returned' });
    }
  }
}
