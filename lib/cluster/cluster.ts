import { ConnectionError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { Delivery } from '../protocol/delivery.js';
import type { BusCounters, BusReceiver, BusState } from './bus-receiver.js';
import { checkEvent } from './bus-input.js';
import { clientIdOf, type Interest, nodeIdOf } from './channels.js';
import { ChangeFeed, type LocalChange } from './change-feed.js';
import { newsHere, type NewsPiece, readPiece, writePiece } from './client-news.js';
import { NewsEvents } from './news-events.js';
import type { ClusterParts } from './cluster-parts.js';
import { type ClusterReceiver, LateReceiver } from './cluster-receiver.js';
import { Neighbours } from './neighbours.js';
import type { NodeIdentity } from './node-identity.js';
import { OrderExchange } from './order-exchange.js';
import type { Order } from './orders.js';
import { ALIVE, NEWS, CLIENT_EVENTS, readAlive } from './event-groups.js';
import { OwnClients } from './own-clients.js';
import { OwnEntry } from './own-entry.js';
import { BEAT_MS, GRACE_MS, Registry } from './registry.js';
import type { Digest } from './replica.js';
import { Steps } from '../steps.js';
import { UntoldReturns } from './untold-returns.js';
import type { RegistryStore } from './store-contract.js';
import { withinMs } from '../deadline.js';
import type { ClientRecord } from './client-record.js';

/** All clients of the cluster, as Redis has them at one moment. */
export interface ClusterSnapshot {
  records: ClientRecord[];
  nodeIds: string[];
  /** Nodes whose clients couldn't be read: they are dead but not removed yet, or Redis can't be reached. */
  missing: string[];
}

const ORDER_TIMEOUT_MS = 10_000;
/** How long `leave()` and `stop()` wait for the last news of this node's clients, in ms. */
const LEAVE_MS = 1_000;

/** This process as a node of the cluster: bus, registry, and orders between nodes. Works alone without Redis. */
export class Cluster {
  readonly #bus: ClusterParts['bus'];
  readonly #node: NodeIdentity;
  readonly #receiver = new LateReceiver();
  readonly #clients: OwnClients;
  readonly #registry: Registry | undefined;
  readonly #orders: OrderExchange;
  readonly #feed: ChangeFeed;
  readonly #events: NewsEvents;
  readonly #returns: UntoldReturns;
  #state: BusState = 'starting';
  #stopBeating: () => void = () => undefined;
  #isLeaving = false;
  #isStarting = false;
  /** Other nodes, or subscribers of this one, want news of clients. */
  #isHeard = true;

  constructor(
    private readonly parts: ClusterParts,
    /** False: the registry is local. Who is on other nodes is read from Redis when it is asked for. */
    readonly isReplicated: boolean,
    /** Reports errors that no caller can catch. */
    private readonly failed: (error: Error, place?: string, kind?: string) => void,
  ) {
    const { bus, store, clock, node } = parts;
    this.#bus = bus;
    this.#node = node;
    this.#clients = new OwnClients(this.#receiver, failed);
    this.#returns = new UntoldReturns(this.#clients);
    this.#orders = new OrderExchange(bus, this.#receiver, clock, failed);
    this.#events = new NewsEvents(this.#receiver, clock, failed, store !== undefined);
    this.#registry = store && this.#makeRegistry(store);
    this.#feed = new ChangeFeed({
      clock,
      node,
      registry: this.#registry,
      publish: (piece) => this.#publish(piece),
      failed,
    });
  }

  get nodeId(): string {
    return this.#node.id;
  }

  /** True for this node's id, and for those it had before. */
  isOwn(nodeId: string | undefined): boolean {
    return nodeId === undefined || this.#node.isOwn(nodeId);
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
    return [this.nodeId, ...(this.#registry?.others ?? [])];
  }

  newClientId(): string {
    return clientIdOf(this.nodeId, this.parts.ids.unique());
  }

  /** Resolves when this node is subscribed and registered, and knows the clients of the other nodes. */
  async start(receiver: ClusterReceiver, events: readonly string[]): Promise<void> {
    this.#isLeaving = false;
    this.#receiver.receiver = receiver;
    const busReceiver: BusReceiver = {
      deliver: (delivery, isFirst) => receiver.deliver(delivery, isFirst),
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
      this.#isHeard = this.#registry !== undefined || events.some((event) => CLIENT_EVENTS.has(event));
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
    const own = { records: [...this.#clients.all()], nodeIds: [this.nodeId] };
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
    const goodbye = this.#feed.announceEnd(this.nodeId, [...this.#clients.all()], 'node-stopping');
    // Without Redis, the lease runs out by itself.
    await withinMs(
      this.parts.clock,
      LEAVE_MS,
      this.#state === 'ready' ? goodbye.then(() => registry.leave()) : goodbye,
    );
  }

  async stop(): Promise<void> {
    this.#stopBeating();
    this.#registry?.stop();
    if (this.#state === 'ready' && !this.#isLeaving) await withinMs(this.parts.clock, LEAVE_MS, this.#feed.drained());
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
    this.#feed.add({ ...change, describe: describe && (() => this.#clients.writable(describe())) });
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

  /** Shows a client of another node as that node describes it. */
  showAgain(clientId: string): void {
    this.#registry?.showAgain(clientId);
  }

  #makeRegistry(store: RegistryStore): Registry {
    const { clock, node, bus } = this.parts;
    const clients = this.#clients;
    const own = new OwnEntry({
      store,
      node,
      clients,
      bus,
      settle: () => this.#feed.settle(),
      corrected: (version) => void this.#publish({ nodeId: node.id, version, news: [] }),
      returned: () => this.#announceReturn(),
    });
    const others = new Neighbours({
      store,
      clock,
      bus,
      view: this.#receiver,
      steps: new Steps(clock, this.failed),
      isReplicated: this.isReplicated,
      reaped: (nodeId, records, reason) => void this.#feed.announceEnd(nodeId, records, reason),
    });
    const alive = (nodeId: string, digest: Digest): void => {
      if (node.isReturning) return;
      this.#tellReturns();
      void bus.tell(ALIVE, { nodeId, ...digest });
    };
    return new Registry({ store, clock, clients, own, others, alive, failed: this.failed });
  }

  /** The first beat comes after `ms`, the following ones every `BEAT_MS`. */
  #beatFrom(ms: number): void {
    this.#stopBeating();
    const beat = guarded('a beat of the registry', this.failed, () => {
      if (ms !== BEAT_MS) this.#beatFrom(BEAT_MS);
      this.#registry?.beat().catch(() => undefined); // the registry reports it; the next beat tries again
    });
    this.#stopBeating = this.parts.clock.every(ms, beat);
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

  /** Subscribers of this node get the news of its clients from here: they don't depend on Redis. */
  #publish(piece: NewsPiece): Promise<unknown> {
    const { reason, news } = piece;
    if (reason !== undefined) return this.#bus.emit(NEWS, writePiece(piece));
    // Other nodes may have taken this one for dead. It knows its own clients better.
    this.#events.push({ ...piece, news: newsHere(news) });
    if (this.#node.isReturning) return Promise.resolve();
    this.#tellReturns();
    return this.#tell(piece);
  }

  #tell(piece: NewsPiece): Promise<unknown> {
    const told = this.#bus.tell(NEWS, writePiece(piece));
    told.catch(() => this.#returns.add(piece));
    return told;
  }

  #tellReturns(): void {
    for (const piece of this.#returns.take(this.nodeId)) void this.#tell(piece).catch(() => undefined);
  }

  /** The copy of the registry changes first, then subscribers get the news. */
  #heardNews(piece: NewsPiece): void {
    const { nodeId, version, reason, news } = piece;
    const isOwn = this.#node.isOwn(nodeId);
    if (reason === undefined) {
      // All clients of that node were called lost. It announces those that it has once it is registered again.
      if (isOwn || this.#registry?.hasEnded(nodeId)) return;
      if (version !== undefined) this.#registry?.heard(nodeId, version, news);
    } else this.#registry?.heardOfEnd(nodeId);
    if (!isOwn || reason !== 'node-lost') this.#events.push(piece);
  }

  /** @throws {JunkError} */
  #heardAlive(message: unknown): void {
    const { nodeId, digest } = readAlive(message);
    this.#registry?.heardAlive(nodeId, digest);
  }

  /** Other nodes announced the loss of this node's clients. Those that are still here are announced again. */
  #announceReturn(): void {
    this.#feed.settle(); // for subscribers of this node: the others get all of it with the return
    this.#node.returned();
    this.#returns.clear();
    for (const record of this.#clients.all()) {
      const { clientId, rooms, user } = record;
      const moves = rooms.map((roomName) => ({ roomName, isIn: true }));
      this.#feed.add({ clientId, userId: user?.userId, describe: () => record, moves, came: 'returned' });
    }
  }
}
