import { randomBytes, randomUUID } from 'node:crypto';
import { ConnectionError, RemoteError, TimeoutError } from '../errors.js';
import type { Delivery } from '../protocol/delivery.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import type { Bus, BusCounters, BusState } from './bus.js';
import { clientIdOf, type Interest, nodeIdOf } from './channels.js';
import { MemoryBus } from './memory.bus.js';
import { RedisBus } from './redis.bus.js';
import type { RedisSource } from './redis-source.js';
import { BEAT_MS, GRACE_MS, Registry } from './registry.js';
import { withinMs } from './within.js';
import { readRecord, RedisRegistryStore, type RegistryStore } from './registry-store.js';
import type { ClientRecord, ReplicaView } from './replica.js';

/** What one node may ask another to do for a client that lives there. */
export type Order =
  | { op: 'disconnect'; clientId: string; code: number; reason: string }
  | {
      op: 'join';
      clientId: string;
      request: { roomName: string; username?: string; userType?: string; userId?: string | number };
    }
  | { op: 'leave'; clientId: string; roomName: string }
  | { op: 'update'; clientId: string; key: string; data: unknown }
  | { op: 'request'; clientId: string; type: string; action: string; data: unknown; timeoutMs: number | undefined };

export interface ClusterHost extends ReplicaView {
  ownRecords(): Iterable<ClientRecord>;
  deliver(delivery: Delivery): void;
  event(channel: string, message: Record<string, unknown>): void;
  /** Does what another node asks, for a client of this one. */
  obey(order: Order): Promise<unknown>;
  stateChanged(state: BusState): void;
  failed(error: Error): void;
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

export interface ClusterOptions {
  redis: RedisSource | undefined;
  prefix: string;
  /** @default 'replicated' */
  registry?: 'replicated' | 'local';
}

/** What a node stands on: its own process and a Redis, unless a test gives others. */
export interface ClusterParts {
  bus: Bus & Pick<RedisBus, 'renameTo' | 'forgetNode'>;
  store: RegistryStore;
  now(): number;
  /** Calls again and again; stops with the returned function. */
  every(ms: number, task: () => void): () => void;
}

/** Between nodes only: a client's metadata or identity changed. */
const UPDATED = 'WebSocket:$ClientUpdated';
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
  readonly #bus: Bus;
  readonly #registry: Registry | undefined;
  readonly #pending = new Map<number, PendingOrder>();
  #nodeId = newNodeId();
  #state: BusState = 'starting';
  #lastOrder = 0;
  readonly #every: ClusterParts['every'];
  #stopBeating: () => void = () => undefined;
  #isLeaving = false;

  constructor(
    { redis, prefix, registry = 'replicated' }: ClusterOptions,
    private readonly host: ClusterHost,
    partsOf: (nodeId: string) => ClusterParts | undefined = (nodeId) => redisParts(redis, prefix, nodeId),
  ) {
    this.isReplicated = registry === 'replicated';
    const parts = partsOf(this.#nodeId);
    this.#every = parts?.every ?? every;
    if (!parts) {
      this.#bus = new MemoryBus();
      return;
    }
    const { bus, store, now } = parts;
    this.#bus = bus;
    this.#registry = new Registry(this.#nodeId, {
      store,
      view: host,
      isReplicated: this.isReplicated,
      now,
      newNodeId,
      ownRecords: () => host.ownRecords(),
      renamed: async (nodeId) => {
        this.#nodeId = nodeId;
        await bus.renameTo(nodeId);
      },
      reaped: (nodeId, records) => this.#announceLoss(nodeId, records, 'node-lost'),
      nodeGone: (nodeId) => bus.forgetNode(nodeId),
      failed: (error) => host.failed(error),
    });
  }

  get nodeId(): string {
    return this.#nodeId;
  }

  /** True for this node, under this id or one it had before. */
  isOwn(nodeId: string | undefined): boolean {
    return nodeId === undefined || nodeId === this.#nodeId;
  }

  get state(): BusState {
    return this.#state;
  }

  get counters(): Readonly<BusCounters> {
    return this.#bus.counters;
  }

  /** This node and those it knows of. */
  get nodeIds(): string[] {
    return [this.#nodeId, ...(this.#registry?.others ?? [])];
  }

  newClientId(): string {
    return clientIdOf(this.#nodeId, randomUUID());
  }

  /** Resolves when this node is subscribed, registered, and knows the clients of the others. */
  async start(events: readonly string[]): Promise<void> {
    this.#isLeaving = false;
    const receiver = {
      deliver: (delivery: Delivery) => this.host.deliver(delivery),
      event: (channel: string, message: unknown) => this.#heard(channel, message),
      order: (from: string, order: unknown) => this.#ordered(from, order),
      stateChanged: (state: BusState) => this.#changedState(state),
      failed: (error: Error) => this.host.failed(error),
    };
    await this.#bus.start(receiver, this.isReplicated ? [...events, UPDATED] : events);
    await this.#registry?.connected();
    if (this.#registry) this.#beatFrom(BEAT_MS);
  }

  /** Asks Redis who is connected anywhere; what can't be told is named in `missing`. Never hangs, never rejects. */
  async fetch(): Promise<ClusterSnapshot> {
    const own = { records: [...this.host.ownRecords()], nodeIds: [this.#nodeId] };
    if (!this.#registry) return { ...own, missing: [] };
    try {
      return await this.#registry.fetch();
    } catch (error) {
      this.host.failed(error as Error);
      return { ...own, missing: this.#registry.others };
    }
  }

  /** Tells the others at once that this node's clients are leaving; deliveries for them still arrive until `stop()`. */
  async leave(): Promise<void> {
    if (!this.#registry || this.#isLeaving) return;
    this.#isLeaving = true;
    this.#stopBeating();
    this.#announceLoss(this.#nodeId, [...this.host.ownRecords()], 'node-stopping');
    if (this.#state === 'ready') await withinMs(LEAVE_MS, this.#registry.leave()); // else its lease runs out
  }

  async stop(): Promise<void> {
    this.#stopBeating();
    await this.#bus.stop();
    for (const id of this.#pending.keys()) this.#settle(id)?.reject(new ConnectionError('This node is stopping.'));
  }

  publish(delivery: Delivery): void {
    this.#bus.publish(delivery);
  }

  emit(channel: string, message: unknown): void {
    this.#bus.emit(channel, message);
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
      if (event !== UPDATED) this.#bus.emit(event, { clientId, ...facts });
      return;
    }
    if (this.#isLeaving) return; // all of them were announced
    const record = describe?.();
    const version = this.#registry.changed(clientId, record);
    this.#bus.emit(event, { clientId, ...facts, nodeId: this.#nodeId, version, client: record ?? null });
  }

  /** An event of a client of this node that changes nothing in the registry. */
  tell(clientId: string, event: string, facts: object): void {
    if (!this.#isLeaving)
      this.#bus.emit(event, { clientId, ...facts, ...(this.#registry && { nodeId: this.#nodeId }) });
  }

  /**
   * Asks the node of a client to do something for it.
   * @throws {ConnectionError} the node is unknown @throws {TimeoutError} {RemoteError}
   */
  order(order: Order, timeoutMs = ORDER_TIMEOUT_MS): Promise<unknown> {
    const nodeId = nodeIdOf(order.clientId);
    if (nodeId === undefined || !this.#registry) return Promise.reject(new ConnectionError('No node has this client.'));
    const id = ++this.#lastOrder;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#settle(id)?.reject(new TimeoutError(`The answer of node ${nodeId}`, timeoutMs));
      }, timeoutMs).unref();
      this.#pending.set(id, { resolve, reject, timer });
      this.#bus.order(nodeId, { id, ...order });
    });
  }

  #tick(): void {
    if (this.#state === 'ready') this.#registry?.beat().catch(() => undefined); // reported there; the next beat tries again
  }

  /** The first beat after `ms`, the others at their usual distance. */
  #beatFrom(ms: number): void {
    this.#stopBeating();
    this.#stopBeating = this.#every(ms, () => {
      if (ms !== BEAT_MS) this.#beatFrom(BEAT_MS);
      this.#tick();
    });
  }

  #changedState(state: BusState): void {
    const isBack = state === 'ready' && this.#state === 'down';
    this.#state = state;
    this.host.stateChanged(state);
    if (!isBack || this.#isLeaving) return;
    this.#registry?.connected().catch(() => undefined); // reported there; the next beat tries again
    this.#beatFrom(GRACE_MS); // who hasn't come back by then is dead: the beat after it would be up to 2 s later
  }

  /** What was raised on the bus: presence goes into the copy of the registry, everything goes on to the subscribers. */
  #heard(channel: string, message: unknown): void {
    const fields = (typeof message === 'object' && message !== null ? message : {}) as Record<string, unknown>;
    const { client, version, ...facts } = fields;
    const { nodeId, clientId, reason } = facts;
    if (PRESENCE.has(channel) && typeof nodeId === 'string') {
      if (reason === 'node-lost' || reason === 'node-stopping') this.#registry?.heardOfEnd(nodeId);
      else if (typeof clientId === 'string' && Number.isSafeInteger(version)) {
        this.#registry?.heard(nodeId, version as number, clientId, readRecord(client)[0]);
      }
      if (channel !== UPDATED) this.host.event(channel, facts);
      return;
    }
    this.host.event(channel, message as Record<string, unknown>);
  }

  /** Another node's order, or its answer to one of ours. */
  #ordered(from: string, message: unknown): void {
    const { id, ...order } = (message ?? {}) as Record<string, unknown>;
    if (typeof id !== 'number') return;
    if (order['op'] === 'answer') {
      const { error, result } = order as {
        error?: { code: string; error: string; details?: unknown };
        result?: unknown;
      };
      const pending = this.#settle(id);
      if (error) pending?.reject(new RemoteError(error.code, error.error, error.details));
      else pending?.resolve(result);
      return;
    }
    this.host.obey(order as Order).then(
      (result) => this.#bus.order(from, { op: 'answer', id, result }),
      (error: unknown) => this.#bus.order(from, { op: 'answer', id, error: this.host.describe(error) }),
    );
  }

  #announceLoss(nodeId: string, records: ClientRecord[], reason: string): void {
    for (const { clientId, rooms, user } of records) {
      const facts = { clientId, ...(user ? { userId: user.userId } : {}), nodeId, reason };
      for (const roomName of rooms) this.#bus.emit(Event.ClientLeftRoom, { ...facts, roomName });
      this.#bus.emit(Event.ClientDisconnected, facts);
    }
  }

  #settle(id: number): PendingOrder | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }
}

/** Events that tell who is where. */
export const PRESENCE: ReadonlySet<string> = new Set([
  Event.ClientConnected,
  Event.ClientDisconnected,
  Event.ClientJoinedRoom,
  Event.ClientLeftRoom,
  UPDATED,
]);

function redisParts(source: RedisSource | undefined, prefix: string, nodeId: string): ClusterParts | undefined {
  if (source === undefined) return undefined;
  const bus = new RedisBus(source, prefix, nodeId);
  return { bus, store: new RedisRegistryStore(() => bus.connection, prefix), now: () => performance.now(), every };
}

function every(ms: number, task: () => void): () => void {
  const timer = setInterval(task, ms).unref();
  return () => clearInterval(timer);
}

/** 128 bits, new at each boot: never a pid or a worker number, which two hosts share. */
function newNodeId(): string {
  return randomBytes(16).toString('base64url');
}
