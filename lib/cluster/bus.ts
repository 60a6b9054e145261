import type { Clock } from '../clock.js';
import { ConnectionError, NotPublishedError, NotSerializableError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { Delivery } from '../protocol/delivery.js';
import { BusReports } from './bus-reports.js';
import type { BusReceiver, BusState } from './bus-receiver.js';
import { Channels, type Interest } from './channels.js';
import type { Ids } from './ids.js';
import { Inbox } from './inbox.js';
import { Lanes } from './lanes.js';
import { PRESENCE } from './presence-events.js';
import { refused } from './publish-queue.js';
import { Publisher } from './publisher.js';
import { permissionError } from './redis-failure.js';
import { IncomingSequences } from './sequences.js';
import { SharedClock } from './shared-clock.js';
import type { Transport, Way } from './transport.js';
import { withinMs } from '../deadline.js';

/** How long what is published may hold up the end of this process, in ms. */
const DRAIN_MS = 2_000;
/** How often it is proved that what is published comes back, and the shared clock is read, in ms. */
const BEAT_MS = 2_000;
/** The shared clock is read no sooner than this after the last time, in ms. */
const MEASURE_AGAIN_MS = 200;
const DONE = Promise.resolve();

export interface BusOptions {
  prefix: string;
  nodeId: string;
  /** What may wait for the transport, in bytes. @default 67108864 */
  maxBytes?: number | undefined;
  clock: Clock;
  ids: Ids;
}

/**
 * Carries deliveries and events between nodes, whatever is underneath. What a method that publishes returns resolves when the
 * message is handed over, and rejects (`NotPublishedError`) when it isn't, which is counted, too; nobody has to listen. While
 * the transport is away: see `BusState`.
 */
export class Bus {
  readonly counters = { unpublished: 0, missing: 0, stale: 0, junk: 0 };
  readonly #time: SharedClock;
  readonly #incoming = new IncomingSequences();
  /** Ours, and those we had before we were taken for dead: deliveries to the clients of then still find us. */
  readonly #nodeIds = new Set<string>();
  #nodeId: string;
  /** Known when the transport is open: the database is part of their names. */
  #channels: Channels | undefined;
  #publisher: Publisher | undefined;
  #lanes: Lanes | undefined;
  #receiver: BusReceiver | undefined;
  #state: BusState = 'starting';
  readonly #reports: BusReports;
  #beatNoMore: () => void = () => undefined;
  #isTimed = false;
  #measuredAt = -Infinity;
  /** What those hear who publish while it is down: one for all of them. */
  #refusal: Promise<never> | undefined;

  constructor(
    private readonly transport: Transport,
    private readonly options: BusOptions,
  ) {
    this.#nodeId = options.nodeId;
    this.#nodeIds.add(options.nodeId);
    this.#time = new SharedClock(options.clock);
    this.#reports = new BusReports(options.clock, (error, place) => this.#receiver?.failed(error, place));
  }

  /** The names of what can't be reached: of the Redis, or of masters of a Redis Cluster. */
  get away(): string[] {
    return this.#lanes?.away ?? [];
  }

  /**
   * Connects; resolves when deliveries and events arrive. Retries until then.
   * @param events the plain channels to hear, by the names of the events. Of those that tell who comes and goes none is heard
   *   unless one is named.
   * @throws {ConnectionError} when Redis refuses what is needed for want of a permission, or `stop()` is called
   */
  async start(receiver: BusReceiver, events: readonly string[]): Promise<void> {
    this.#receiver = receiver;
    this.#state = 'starting';
    const isReady = new Promise<void>((resolve, reject) => {
      this.#becameReady = resolve;
      this.#gaveUp = reject;
    });
    isReady.catch(() => undefined); // awaited below, once the transport is open
    const database = await this.transport.open();
    const channels = (this.#channels ??= new Channels(this.options.prefix, database));
    this.#publisher ??= this.#makePublisher(channels);
    const lanes = (this.#lanes = this.#makeLanes(channels, events));
    const inbox = new Inbox(channels, this.#time, this.#incoming, this.counters, receiver, {
      takes: (channel, way) => this.#state !== 'stopped' && lanes.takes(channel, way),
      probed: (number, way) => lanes.heard(number, way),
      isOwn: (nodeId) => this.#nodeIds.has(nodeId),
      now: () => this.options.clock.now(),
      doubt: guarded('reading the clock of Redis', this.#report, () => this.#measureAgain()),
      failed: this.#report,
    });
    const receive = (channel: string, payload: Buffer, way: Way): void => inbox.receive(channel, payload, way);
    const guard = <A extends unknown[]>(work: (...args: A) => unknown) => guarded('the bus', this.#report, work);
    this.transport.connect({
      received: guarded('a message of the bus', this.#passOver, receive),
      outletChanged: guard(() => this.#outletChanged(lanes)),
      wayChanged: guard((way, state) => lanes.wayChanged(way, state)),
      routesChanged: guard(() => lanes.reroute()),
      failed: this.#report,
    });
    lanes.reroute();
    if (!this.transport.isAlone)
      this.#beatNoMore = this.options.clock.every(
        BEAT_MS,
        guard(() => this.#beat(lanes)),
      );
    try {
      await isReady;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Hands a delivery to the other nodes. The caller serves its own sockets itself, first. */
  publish(delivery: Delivery): Promise<unknown> {
    if (this.transport.isAlone) return DONE;
    return this.#open()?.publish(delivery, this.#nodeId) ?? this.#refuse();
  }

  /** Asks one node to do something. */
  order(nodeId: string, order: unknown): Promise<unknown> {
    if (this.transport.isAlone) return DONE;
    return this.#write(order, (text, publisher) => publisher.order(nodeId, text, this.#nodeId));
  }

  /** Raises an event on every node, this one included: after this turn, and as JSON carries it. */
  emit(event: string, message: unknown): Promise<unknown> {
    if (this.transport.isAlone && !this.#hears(event)) return DONE;
    return this.#write(message, (text, publisher) => publisher.emit(event, text));
  }

  /**
   * This node has its first member of a room, or its first connection of a user. Resolves when deliveries for it arrive
   * here; while the bus is down at once, for they will once it is back.
   * @throws {PeerError} UNAVAILABLE when that takes longer than 5 s
   */
  async follow(interest: Interest): Promise<void> {
    if (!this.#channels || this.transport.isAlone) return;
    await this.#lanes?.add(this.#channels.interest(interest));
  }

  /** The last member left. */
  unfollow(interest: Interest): void {
    if (!this.#channels || this.transport.isAlone) return;
    const channel = this.#channels.interest(interest);
    this.#incoming.forgetChannel(channel);
    this.#lanes?.remove(channel);
  }

  /** From now on this node is another one: the old one was taken for dead. */
  async renameTo(nodeId: string): Promise<void> {
    this.#nodeId = nodeId;
    this.#nodeIds.add(nodeId);
    const channel = this.#channels?.node(nodeId);
    if (channel === undefined) return;
    this.#lanes?.want(channel);
    await this.#lanes?.add(channel);
  }

  /** For how long nothing came from a node, in ms. Its events aren't counted: they name nobody. */
  silentMs(nodeId: string): number {
    return this.options.clock.now() - (this.#incoming.lastHeardOf(nodeId) ?? -Infinity);
  }

  forgetNode(nodeId: string): void {
    this.#incoming.forgetNode(nodeId);
  }

  async stop(): Promise<void> {
    this.#setState('stopped');
    this.#gaveUp(new ConnectionError('The bus was stopped before it could connect.'));
    this.#beatNoMore();
    this.#lanes?.stop();
    this.#lanes = undefined;
    if (this.transport.isOpen && this.#publisher) await withinMs(DRAIN_MS, this.#publisher.drained());
    this.transport.flush();
    this.#publisher?.abandon('the bus was stopped');
    await this.transport.close();
  }

  #makePublisher(channels: Channels): Publisher {
    return new Publisher(channels, this.transport, this.#time, {
      clock: this.options.clock,
      origin: this.options.nodeId,
      isOwn: (id) => this.#nodeIds.has(id),
      lost: this.#lost,
      maxBytes: this.options.maxBytes,
    });
  }

  #makeLanes(channels: Channels, events: readonly string[]): Lanes {
    const { clock, ids, nodeId } = this.options;
    const changed = (): void => this.#assess();
    const lanes = new Lanes(this.transport, channels, {
      clock,
      random: ids.random,
      nodeId,
      changed,
      failed: this.#report,
    });
    for (const channel of [channels.all, channels.events, channels.node(this.#nodeId)]) lanes.want(channel);
    if (events.some((event) => PRESENCE.has(event))) lanes.want(channels.presence);
    for (const event of events) {
      const channel = PRESENCE.has(event) ? undefined : channels.plain(event);
      if (channel !== undefined) lanes.want(channel);
    }
    return lanes;
  }

  /** Where a publication can go now. Nothing waits for a connection. */
  #open(): Publisher | undefined {
    return this.transport.isOpen ? this.#publisher : undefined;
  }

  #hears(event: string): boolean {
    return this.#channels !== undefined && this.#lanes?.wants(this.#channels.eventsOf(event)) === true;
  }

  #refuse(): Promise<never> {
    this.counters.unpublished++;
    const reason = `the bus is ${this.#state}`;
    if (!this.#refusal) this.#report(new NotPublishedError(reason), 'publishing');
    return (this.#refusal ??= refused(reason));
  }

  /** What has no JSON form is counted as lost. */
  #write(value: unknown, send: (text: string, publisher: Publisher) => Promise<unknown>): Promise<unknown> {
    const publisher = this.#open();
    if (!publisher) return this.#refuse();
    let text: string;
    try {
      text = JSON.stringify(value) ?? 'null';
    } catch (error) {
      const flaw = new NotSerializableError(error);
      this.#lost(flaw);
      const refusal = Promise.reject(flaw);
      refusal.catch(() => undefined); // counted; whoever asks hears of it
      return refusal;
    }
    return send(text, publisher);
  }

  /** A message that couldn't be taken in is junk, and nothing else suffers. */
  readonly #passOver = (error: Error, place: string): void => {
    this.counters.junk++;
    this.#report(error, place);
  };

  async #beat(lanes: Lanes): Promise<void> {
    lanes.beat();
    this.#incoming.sweep(this.options.clock.now());
    if (this.transport.isOpen) await this.#measure();
  }

  /** What is stale may only seem so: the clock of Redis was set. */
  async #measureAgain(): Promise<void> {
    const now = this.options.clock.now();
    if (now - this.#measuredAt >= MEASURE_AGAIN_MS) await this.#measure();
  }

  async #measure(): Promise<void> {
    this.#measuredAt = this.options.clock.now();
    await this.#time.measure(this.transport).catch((error: Error) => this.#report(error, 'reading the clock of Redis'));
  }

  /** A new way out: its clock is read before it counts as one, so that nothing stale is taken. */
  async #outletChanged(lanes: Lanes): Promise<void> {
    this.#isTimed = false;
    lanes.outletChanged();
    if (!this.transport.isOpen) return this.#assess();
    await this.#measure();
    this.#isTimed = true;
    this.#assess();
  }

  /** Ready is what is proved, nothing else. */
  #assess(): void {
    const isReady = this.transport.isOpen && this.#isTimed && this.#lanes?.isProved === true;
    this.#setState(isReady ? 'ready' : 'down');
    if (isReady) this.#becameReady();
  }

  #setState(state: BusState): void {
    if (state === this.#state || this.#state === 'stopped' || (state === 'down' && this.#state === 'starting')) return;
    this.#state = state;
    this.#refusal = undefined;
    if (!this.transport.isOpen) this.#publisher?.abandon('the bus is down');
    const tell = guarded('a change of the bus', this.#report, () => this.#receiver?.stateChanged(state));
    tell();
  }

  readonly #lost = (error: Error): void => {
    this.counters.unpublished++;
    this.#report(error, 'publishing');
  };

  readonly #report = (error: Error, place = 'the bus'): void => {
    if (this.#state === 'stopped') return;
    const denied = this.#channels && permissionError(error, this.#channels.head);
    if (denied && this.#state === 'starting') this.#gaveUp(denied);
    this.#reports.report(denied ?? error, place);
  };

  #becameReady: () => void = () => undefined;
  #gaveUp: (error: Error) => void = () => undefined;
}
