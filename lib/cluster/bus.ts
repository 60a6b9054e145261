import type { Clock } from '../clock.js';
import { ConnectionError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { Delivery } from '../protocol/delivery.js';
import { BusReports } from './bus-reports.js';
import type { BusCounters, BusReceiver, BusState } from './bus-receiver.js';
import { Channels, type Interest } from './channels.js';
import { Health } from './health.js';
import type { Ids } from './ids.js';
import { Inbox } from './inbox.js';
import { IncomingSequences } from './incoming-sequences.js';
import { Lanes } from './lanes.js';
import { OwnEvents } from './own-events.js';
import { SharedRefusal } from './publish-queue.js';
import { Publisher, textOf } from './publisher.js';
import { Readiness } from './readiness.js';
import { permissionError } from './redis-failure.js';
import { SharedClock } from './shared-clock.js';
import type { Transport } from './transport.js';
import { withinMs } from '../deadline.js';

/** How long `stop()` waits for what is being published, in ms. */
const DRAIN_MS = 2_000;
const DONE = Promise.resolve();

export interface BusOptions {
  prefix: string;
  nodeId: string;
  /** Most bytes that may wait for the transport. @default 67108864 */
  maxBytes?: number | undefined;
  clock: Clock;
  ids: Ids;
}

/**
 * Carries deliveries and events between nodes, over any transport. The promise of a publication resolves when the
 * message is handed over. Otherwise, the loss is counted and the promise rejects with `NotPublishedError`; nobody has
 * to handle that. `BusState` says what works while the transport is away.
 */
export class Bus {
  readonly counters: BusCounters;
  readonly #time: SharedClock;
  readonly #incoming = new IncomingSequences();
  /** This node's id, and those it had before other nodes took it for dead: deliveries still name them. */
  readonly #nodeIds = new Set<string>();
  #nodeId: string;
  /** Set once the transport is open: channel names contain the number of the database. */
  #channels: Channels | undefined;
  #publisher: Publisher | undefined;
  #lanes: Lanes | undefined;
  #receiver: BusReceiver | undefined;
  #state: BusState = 'starting';
  readonly #reports: BusReports;
  readonly #own: OwnEvents;
  readonly #readiness = new Readiness();
  #health: Health | undefined;
  readonly #refusal: SharedRefusal;

  constructor(
    private readonly transport: Transport,
    private readonly options: BusOptions,
  ) {
    this.#nodeId = options.nodeId;
    this.#nodeIds.add(options.nodeId);
    this.#time = new SharedClock(options.clock);
    const tell = (...report: Parameters<BusReceiver['failed']>): void => this.#receiver?.failed(...report);
    this.#reports = new BusReports(options.clock, (error) => this.#read(error), tell);
    const { counters, lost, passOver } = this.#reports;
    this.counters = counters;
    this.#refusal = new SharedRefusal(lost);
    this.#own = new OwnEvents(options.clock, (...event) => this.#receiver?.event(...event), passOver);
  }

  /** What can't be reached: Redis, or masters of a Redis Cluster, by name. */
  get away(): string[] {
    return this.#lanes?.away ?? [];
  }

  /**
   * Connects, and tries again until deliveries and events arrive.
   * @param events names of the events to receive. Events of clients arrive if one of them is named
   * @throws {ConnectionError} when Redis denies a permission that is needed, or `stop()` is called
   */
  async start(receiver: BusReceiver, events: readonly string[]): Promise<void> {
    this.#receiver = receiver;
    this.#state = 'starting';
    const isReady = this.#readiness.begin();
    const { lost, report, passOver } = this.#reports;
    const database = await this.transport.open();
    const channels = (this.#channels ??= new Channels(this.options.prefix, database));
    this.#publisher ??= new Publisher(channels, this.transport, this.#time, {
      clock: this.options.clock,
      origin: this.options.nodeId,
      isOwn: (id) => this.#nodeIds.has(id),
      lost,
      maxBytes: this.options.maxBytes,
    });
    const lanes = (this.#lanes = this.#makeLanes(channels, events));
    const health = (this.#health = new Health(this.transport, lanes, this.#time, {
      clock: this.options.clock,
      changed: () => this.#assess(),
      beat: () => this.#publisher?.tellTails(),
      failed: report,
    }));
    const inbox = new Inbox(channels, this.#time, this.#incoming, this.counters, receiver, {
      takes: (channel, way) => this.#state !== 'stopped' && lanes.takes(channel, way),
      probed: (number, way) => lanes.heard(number, way),
      wantedSince: (channel) => lanes.wantedSince(channel),
      isOwn: (nodeId) => this.#nodeIds.has(nodeId),
      now: () => this.options.clock.now(),
      doubt: guarded('reading the clock of Redis', report, () => this.#time.measureAgain(this.transport)),
      failed: report,
    });
    const guard = <A extends unknown[]>(work: (...args: A) => unknown) => guarded('the bus', report, work);
    this.transport.connect({
      received: guarded('a message of the bus', passOver, inbox.receive),
      outletChanged: guard(() => health.outletChanged()),
      wayChanged: guard((way, state) => lanes.wayChanged(way, state)),
      subscriptionsEnded: guard((way) => lanes.subscriptionsEnded(way)),
      routesChanged: guard(() => lanes.reroute()),
      failed: report,
    });
    lanes.reroute();
    health.start();
    try {
      await isReady;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Hands a delivery to the other nodes. The caller serves its own sockets itself. */
  publish(delivery: Delivery): Promise<unknown> {
    if (this.transport.isAlone) return DONE;
    return this.#open()?.publish(delivery, this.#nodeId) ?? this.#refuse();
  }

  /** Asks a node to do something. */
  order(nodeId: string, order: unknown): Promise<unknown> {
    if (this.transport.isAlone) return DONE;
    return this.#open()?.order(nodeId, order, this.#nodeId) ?? this.#refuse();
  }

  /** Raises an event on every node: on this one after the current turn, as JSON, and while the transport is away, too. */
  emit(event: string, message: unknown): Promise<unknown> {
    const isHeard = this.#lanes?.hears(event) === true;
    if (this.transport.isAlone && !isHeard) return DONE;
    const text = textOf(message, this.#reports.lost);
    if (typeof text !== 'string') return text;
    if (isHeard) this.#own.add(event, text);
    if (this.transport.isAlone) return DONE;
    return this.#open()?.emit(event, text) ?? this.#refuse();
  }

  /** Tells the other nodes something. If it gets lost, they notice it in another way. */
  tell(event: string, message: object): Promise<unknown> {
    if (this.transport.isAlone) return DONE;
    return this.#open()?.tell(event, JSON.stringify(message)) ?? this.#refuse();
  }

  /**
   * Starts to receive a room's or a user's deliveries: this node has its first member. Resolves when they arrive. While
   * the bus is down it resolves at once: reconnecting subscribes to them.
   * @throws {PeerError} UNAVAILABLE when that takes longer than 5 s
   */
  async follow(interest: Interest): Promise<void> {
    if (!this.#channels || this.transport.isAlone) return;
    await this.#lanes?.add(this.#channels.interest(interest));
  }

  /** Stops that: the last member left. */
  unfollow(interest: Interest): void {
    if (!this.#channels || this.transport.isAlone) return;
    const channel = this.#channels.interest(interest);
    this.#incoming.forgetChannel(channel);
    this.#lanes?.remove(channel);
  }

  /** Gives this node another id: the others took the old one for dead. */
  async renameTo(nodeId: string): Promise<void> {
    this.#nodeId = nodeId;
    this.#nodeIds.add(nodeId);
    if (!this.#channels || !this.#lanes) return;
    this.#lanes.want(this.#channels.node(nodeId));
    await this.#lanes.add(this.#channels.node(nodeId));
  }

  /** Time since the last message of a node, in ms. Events don't count: they name no sender. */
  silentMs(nodeId: string): number {
    return this.options.clock.now() - (this.#incoming.lastHeardOf(nodeId) ?? -Infinity);
  }

  forgetNode(nodeId: string): void {
    this.#incoming.forgetNode(nodeId);
  }

  async stop(): Promise<void> {
    this.#own.raiseAll();
    this.#setState('stopped');
    this.#readiness.giveUp(new ConnectionError('The bus was stopped before it could connect.'));
    this.#health?.stop();
    this.#lanes?.stop();
    this.#lanes = undefined;
    if (this.transport.isOpen) await withinMs(this.options.clock, DRAIN_MS, this.#publisher?.finish() ?? DONE);
    this.transport.flush();
    this.#publisher?.abandon('the bus was stopped');
    await this.transport.close();
  }

  #makeLanes(channels: Channels, events: readonly string[]): Lanes {
    const { clock, ids, nodeId } = this.options;
    const options = { clock, random: ids.random, nodeId, changed: () => this.#assess(), failed: this.#reports.report };
    const lanes = new Lanes(this.transport, channels, options);
    for (const channel of channels.vital(this.#nodeId, events)) lanes.want(channel);
    return lanes;
  }

  /** The publisher while the transport can take something. Nothing waits for a connection. */
  #open(): Publisher | undefined {
    return this.transport.isOpen ? this.#publisher : undefined;
  }

  #refuse(): Promise<never> {
    return this.#refusal.refuse(`the bus is ${this.#state}`);
  }

  /** The bus is ready when a probe has proved it. */
  #assess(): void {
    const isReady = this.#health?.isProved === true;
    this.#setState(isReady ? 'ready' : 'down');
    if (isReady) this.#readiness.reach();
  }

  #setState(state: BusState): void {
    if (state === this.#state || this.#state === 'stopped' || (state === 'down' && this.#state === 'starting')) return;
    this.#state = state;
    this.#refusal.forget();
    if (!this.transport.isOpen) this.#publisher?.abandon('the bus is down');
    const tell = guarded('a change of the bus', this.#reports.report, () => this.#receiver?.stateChanged(state));
    tell();
  }

  #read(error: Error): Error | undefined {
    if (this.#state === 'stopped') return undefined;
    const denied = this.#channels && permissionError(error, this.#channels.head);
    if (denied && this.#state === 'starting') this.#readiness.giveUp(denied);
    return denied ?? error;
  }
}
