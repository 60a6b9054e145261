import { ConnectionError, NotSerializableError, RemoteError, TimeoutError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { Delivery } from '../protocol/delivery.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import type { BusCounters, BusReceiver, BusState } from './bus-receiver.js';
import { checkEvent, isObject, isText, JunkError, readRecord, readVersion } from './bus-input.js';
import { clientIdOf, type Interest, nodeIdOf } from './channels.js';
import { type ClusterParts, clusterParts, type ClusterPartsOptions } from './cluster-parts.js';
import { systemIds } from './ids.js';
import { type Order, readAnswer, readOrder } from './orders.js';
import { ALIVE, PRESENCE, UPDATED } from './presence-events.js';
import { BEAT_MS, GRACE_MS, Registry } from './registry.js';
import { withinMs } from '../deadline.js';
import { writableRecord } from './writable-record.js';
import type { ClientRecord, ReplicaView } from './replica.js';

/** What the cluster calls on this node, from `start()` on. */
export interface ClusterReceiver extends ReplicaView {
  /** The clients of this node. */
  ownRecords(): Iterable<ClientRecord>;
  deliver(delivery: Delivery): void;
  event(channel: string, message: unknown): void;
  /** Does what another node asks, for a client of this one. */
  obey(order: Order): Promise<unknown>;
  /** What a peer may hear of an error, for the node that asked. */
  describe(error: unknown): { code: string; error: string; details?: unknown };
}

/** What is known of the cluster at one moment, asked of Redis. */
export interface ClusterSnapshot {
  records: ClientRecord[];
  nodeIds: string[];
  /** Nodes whose clients couldn't be asked for: dead and not yet buried, or Redis is away. */
  missing: string[];
}

export interface ClusterOptions extends ClusterPartsOptions {
  /** @default 'replicated' */
  registry?: 'replicated' | 'local';
}

/** Until `start()`. */
const NOBODY: ClusterReceiver = {
  put: () => undefined,
  remove: () => undefined,
  ownRecords: () => [],
  deliver: () => undefined,
  event: () => undefined,
  obey: () => Promise.reject(new ConnectionError('This node has not started.')),
  describe: () => ({ code: ErrorCode.Unavailable, error: 'This node has not started.' }),
};

const ORDER_TIMEOUT_MS = 10_000;
/** How long the goodbye to the registry may hold up the end of this process. */
const LEAVE_MS = 1_000;

interface PendingOrder {
  resolve(result: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/** This process as one node among others: the bus, the registry, and orders between nodes. Alone, without Redis, too. */
export class Cluster {
  readonly isReplicated: boolean;
  readonly #parts: ClusterParts;
  readonly #bus: ClusterParts['bus'];
  readonly #registry: Registry | undefined;
  readonly #pending = new Map<number, PendingOrder>();
  #nodeId = systemIds.nodeId();
  /** Ours, and those we had before we were taken for dead. */
  readonly #ownIds = new Set([this.#nodeId]);
  #state: BusState = 'starting';
  #lastOrder = 0;
  #stopBeating: () => void = () => undefined;
  #isLeaving = false;
  #isStarting = false;
  #receiver = NOBODY;

  constructor(
    options: ClusterOptions,
    /** Hears of what no caller can be told. */
    private readonly failed: (error: Error, place?: string) => void,
    partsOf: (nodeId: string) => ClusterParts = (nodeId) => clusterParts(options, nodeId),
  ) {
    this.isReplicated = (options.registry ?? 'replicated') === 'replicated';
    const parts = (this.#parts = partsOf(this.#nodeId));
    this.#bus = parts.bus;
    const { bus, store, clock, ids } = parts;
    if (!store) return;
    this.#registry = new Registry(this.#nodeId, {
      store,
      view: {
        put: (record) => this.#receiver.put(record),
        remove: (clientId) => this.#receiver.remove(clientId),
      },
      isReplicated: this.isReplicated,
      now: () => clock.now(),
      newNodeId: () => ids.nodeId(),
      ownRecords: () => this.#ownRecords(),
      renamed: async (nodeId) => {
        this.#nodeId = nodeId;
        this.#ownIds.add(nodeId);
        await bus.renameTo(nodeId);
      },
      alive: (nodeId, digest) => void bus.emit(ALIVE, { nodeId, ...digest }),
      returned: (records) => this.#announceReturn(records),
      reaped: (nodeId, records) => this.#announceLoss(nodeId, records, 'node-lost'),
      nodeGone: (nodeId) => bus.forgetNode(nodeId),
      failed: (error) => failed(error),
    });
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  /** True for this node, under this id or one it had before. */
  isOwn(nodeId: string | undefined): boolean {
    return nodeId === undefined || this.#ownIds.has(nodeId);
  }

  /** `starting` until this node is registered and knows the others. */
  get state(): BusState {
    return this.#isStarting ? 'starting' : this.#state;
  }

  get counters(): Readonly<BusCounters> {
    return this.#bus.counters;
  }

  /** This node and those it knows of. */
  get nodeIds(): string[] {
    return [this.#nodeId, ...(this.#registry?.others ?? [])];
  }

  newClientId(): string {
    return clientIdOf(this.#nodeId, this.#parts.ids.unique());
  }

  /** Resolves when this node is subscribed, registered, and knows the clients of the others. */
  async start(receiver: ClusterReceiver, events: readonly string[]): Promise<void> {
    this.#isLeaving = false;
    this.#receiver = receiver;
    const busReceiver: BusReceiver = {
      deliver: (delivery) => receiver.deliver(delivery),
      event: (channel, message) => this.#heard(channel, message),
      plainEvent: (channel, message) => receiver.event(channel, message),
      order: (from, order) => this.#ordered(from, order),
      stateChanged: (state) => this.#changedState(state),
      failed: this.failed,
    };
    this.#isStarting = true;
    try {
      await this.#bus.start(busReceiver, this.isReplicated ? [...events, UPDATED] : events);
      if (this.#registry) this.#beatFrom(BEAT_MS);
      await this.#registry?.enter();
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      this.#isStarting = false;
    }
  }

  /** Asks Redis who is connected anywhere; what can't be told is named in `missing`. Never hangs, never rejects. */
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

  /** Tells the others at once that this node's clients are leaving; deliveries for them still arrive until `stop()`. */
  async leave(): Promise<void> {
    if (!this.#registry || this.#isLeaving) return;
    this.#isLeaving = true;
    this.#stopBeating();
    this.#announceLoss(this.#nodeId, [...this.#ownRecords()], 'node-stopping');
    if (this.#state === 'ready') await withinMs(LEAVE_MS, this.#registry.leave()); // else its lease runs out
  }

  async stop(): Promise<void> {
    this.#stopBeating();
    this.#registry?.stop();
    await this.#bus.stop();
    for (const id of this.#pending.keys()) this.#settle(id)?.reject(new ConnectionError('This node is stopping.'));
  }

  /** What is published settles as a `Bus` says; nobody has to listen. */
  publish(delivery: Delivery): Promise<unknown> {
    return this.#bus.publish(delivery);
  }

  emit(channel: string, message: unknown): Promise<unknown> {
    return this.#bus.emit(channel, message);
  }

  /** Raises an event of the application. @throws {NotSerializableError} before anybody hears of it */
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

  /** A client of this node is new, changed or (no record) gone: the registry and every node hear of it. */
  changed(
    clientId: string,
    describe: (() => ClientRecord) | undefined,
    event: string = UPDATED,
    facts: object = {},
  ): void {
    if (!this.#registry) {
      if (event !== UPDATED) void this.#bus.emit(event, { clientId, ...facts });
      return;
    }
    if (this.#isLeaving) return; // all of them were announced
    const record = describe && this.#writable(describe());
    const version = this.#registry.changed(clientId, record);
    void this.#bus.emit(event, { clientId, ...facts, nodeId: this.#nodeId, version, client: record ?? null });
  }

  /** An event of a client of this node that changes nothing in the registry. */
  tell(clientId: string, event: string, facts: object): void {
    if (this.#isLeaving) return;
    void this.#bus.emit(event, { clientId, ...facts, ...(this.#registry && { nodeId: this.#nodeId }) });
  }

  /**
   * Asks the node of a client to do something for it.
   * @throws {ConnectionError} the node is unknown @throws {NotPublishedError} it can't be asked @throws {NotSerializableError}
   * @throws {TimeoutError} @throws {RemoteError}
   */
  order(order: Order, timeoutMs = ORDER_TIMEOUT_MS): Promise<unknown> {
    const nodeId = nodeIdOf(order.clientId);
    if (nodeId === undefined || !this.#registry) return Promise.reject(new ConnectionError('No node has this client.'));
    const id = ++this.#lastOrder;
    return new Promise((resolve, reject) => {
      const giveUp = guarded('an order', this.failed, () => {
        this.#settle(id)?.reject(new TimeoutError(`The answer of node ${nodeId}`, timeoutMs));
      });
      this.#pending.set(id, { resolve, reject, timer: setTimeout(giveUp, timeoutMs).unref() });
      this.#bus.order(nodeId, { id, ...order }).catch((error: Error) => this.#settle(id)?.reject(error));
    });
  }

  /** What the application changed meanwhile so that it can't be written must not keep the others from being written. */
  #writable(record: ClientRecord): ClientRecord {
    return writableRecord(record, this.failed);
  }

  *#ownRecords(): Iterable<ClientRecord> {
    for (const record of this.#receiver.ownRecords()) yield this.#writable(record);
  }

  /** The first beat after `ms`, the others at their usual distance. */
  #beatFrom(ms: number): void {
    this.#stopBeating();
    const beat = guarded('a beat of the registry', this.failed, () => {
      if (ms !== BEAT_MS) this.#beatFrom(BEAT_MS);
      this.#registry?.beat().catch(() => undefined); // reported there; the next beat tries again
    });
    this.#stopBeating = this.#parts.clock.every(ms, beat);
  }

  #changedState(state: BusState): void {
    const isBack = state === 'ready' && this.#state === 'down';
    this.#state = state;
    if (!isBack || this.#isLeaving) return;
    this.#registry?.connected().catch(() => undefined); // reported there; the next beat tries again
    this.#beatFrom(GRACE_MS); // who hasn't come back by then is dead: the beat after it would be up to 2 s later
  }

  /**
   * What a node or an emitter raised: presence goes into the copy of the registry, everything goes on to the subscribers.
   * @throws {JunkError} for presence that can't be
   */
  #heard(channel: string, message: unknown): void {
    if (channel === ALIVE) return this.#heardAlive(message);
    if (!PRESENCE.has(channel) || !isObject(message) || message['nodeId'] === undefined)
      return this.#receiver.event(channel, message);
    const { client, version, ...facts } = message;
    const { nodeId, clientId, reason } = facts;
    if (!isText(nodeId) || !isText(clientId)) throw new JunkError(`${channel} names no node or no client.`);
    if (reason === 'node-lost' || reason === 'node-stopping') this.#registry?.heardOfEnd(nodeId);
    else if (version !== undefined) {
      const number = readVersion(version);
      const record = client === null ? undefined : readRecord(client, clientId);
      if (Number.isNaN(number) || (client !== null && !record))
        throw new JunkError(`${channel} of node ${nodeId} is no change of a client.`);
      this.#registry?.heard(nodeId, number, clientId, record);
    }
    // Others may take this node for dead: of its own clients it knows better.
    if (isOfLoss(reason) && this.#ownIds.has(nodeId)) return;
    if (channel !== UPDATED) this.#receiver.event(channel, facts);
  }

  /** @throws {JunkError} */
  #heardAlive(message: unknown): void {
    const { nodeId, version, count } = isObject(message) ? message : {};
    const digest = { version: readVersion(version), count: readVersion(count) };
    if (!isText(nodeId) || Number.isNaN(digest.version + digest.count)) throw new JunkError('No node is alive so.');
    this.#registry?.heardAlive(nodeId, digest);
  }

  /** Another node's order, or its answer to one of ours. @throws {JunkError} */
  #ordered(from: string, message: unknown): void {
    const id = isObject(message) ? message['id'] : undefined;
    if (!isObject(message) || typeof id !== 'number') throw new JunkError(`Node ${from} sent no order.`);
    if (message['op'] !== 'answer') return this.#obey(from, id, message);
    const { error, result } = readAnswer(message);
    const pending = this.#settle(id);
    if (error) pending?.reject(new RemoteError(error.code, error.error, error.details));
    else pending?.resolve(result);
  }

  readonly #obey = guarded(
    'an order of a node',
    (error, place) => this.failed(error, place),
    async (from: string, id: number, message: Record<string, unknown>) => {
      const answer = await (async () => this.#receiver.obey(readOrder(message)))().then(
        (result) => ({ result }),
        (error: unknown) => ({ error: this.#receiver.describe(error) }),
      );
      await this.#bus.order(from, { op: 'answer', id, ...answer }).catch((error: unknown) => {
        if (!(error instanceof NotSerializableError)) return; // it was counted, and the other node will wait no longer than it does
        void this.#bus.order(from, { op: 'answer', id, error: this.#receiver.describe(error) });
      });
    },
  );

  #announceLoss(nodeId: string, records: ClientRecord[], reason: string): void {
    for (const { clientId, rooms, user } of records) {
      const facts = { clientId, ...(user ? { userId: user.userId } : {}), nodeId, reason };
      for (const roomName of rooms) void this.#bus.emit(Event.ClientLeftRoom, { ...facts, roomName });
      void this.#bus.emit(Event.ClientDisconnected, facts);
    }
  }

  /** As changes 1 to n of this node: whoever hears of them knows them at once. */
  #announceReturn(records: ClientRecord[]): void {
    for (const [index, record] of records.entries()) {
      const { clientId, rooms, user, lastActivity } = record;
      const facts = { clientId, ...(user && { userId: user.userId }), nodeId: this.#nodeId, reason: 'node-returned' };
      const change = { lastActivity, version: index + 1, client: record };
      void this.#bus.emit(Event.ClientConnected, { ...facts, ...change });
      for (const roomName of rooms) void this.#bus.emit(Event.ClientJoinedRoom, { ...facts, roomName });
    }
  }

  #settle(id: number): PendingOrder | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }
}

const isOfLoss = (reason: unknown): boolean => reason === 'node-lost' || reason === 'node-returned';
