import type { Clock } from '../clock.js';
import { ConnectionError, NotSerializableError } from '../errors.js';
import { guarded } from '../guarded.js';
import type { Delivery } from '../protocol/delivery.js';
import type { BusReceiver, BusState } from './bus-receiver.js';
import { Channels, type Interest } from './channels.js';
import type { Ids } from './ids.js';
import { Inbox } from './inbox.js';
import { PRESENCE } from './presence-events.js';
import { refused } from './publish-queue.js';
import { Publisher } from './publisher.js';
import { IncomingSequences } from './sequences.js';
import { SharedClock } from './shared-clock.js';
import { Subscriptions } from './subscriptions.js';
import type { Transport, TransportState } from './transport.js';
import { withinMs } from '../deadline.js';

/** How long what is published may hold up the end of this process, in ms. */
const DRAIN_MS = 2_000;
/** A node that couldn't subscribe to all it needs, though it is connected, tries again after so long, in ms. */
const RETRY_MS = 2_000;
/** How often the shared clock is read, in ms. */
const MEASURE_EVERY_MS = 5_000;
/** A failing bus is reported once in this time, with what it lost. */
const REPORT_EVERY_MS = 1_000;
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
  #subscriptions: Subscriptions | undefined;
  #receiver: BusReceiver | undefined;
  #state: BusState = 'starting';
  #lastReport = -Infinity;
  #measureNoMore: () => void = () => undefined;
  #retryNoMore: () => void = () => undefined;
  /** What those hear who publish while it is down: one for all of them. */
  #refusal: Promise<never> | undefined;

  constructor(
    private readonly transport: Transport,
    private readonly options: BusOptions,
  ) {
    this.#nodeId = options.nodeId;
    this.#nodeIds.add(options.nodeId);
    this.#time = new SharedClock(options.clock);
  }

  /**
   * Connects; resolves when deliveries and events arrive. Retries until then.
   * @param events the plain channels to hear, by the names of the events. Of those that tell who comes and goes none is heard
   *   unless one is named.
   */
  async start(receiver: BusReceiver, events: readonly string[]): Promise<void> {
    this.#receiver = receiver;
    this.#state = 'starting';
    const isReady = new Promise<void>((resolve, reject) => {
      this.#becameReady = resolve;
      this.#gaveUp = () => reject(new ConnectionError('The bus was stopped before it could connect.'));
    });
    isReady.catch(() => undefined); // awaited below, once the transport is open
    const database = await this.transport.open();
    const channels = (this.#channels ??= new Channels(this.options.prefix, database));
    this.#publisher ??= this.#makePublisher(channels);
    const subscriptions = (this.#subscriptions = this.#subscribe(channels, events));
    const inbox = new Inbox(channels, this.#time, this.#incoming, this.counters, receiver, {
      wants: (channel) => this.#state !== 'stopped' && subscriptions.wants(channel),
      isOwn: (nodeId) => this.#nodeIds.has(nodeId),
      failed: (error) => this.#report(error),
    });
    const receive = (channel: string, payload: Buffer): void => inbox.receive(channel, payload);
    this.transport.connect({
      received: guarded('a message of the bus', this.#passOver, receive),
      stateChanged: (state) => this.#transportChanged(state),
      failed: this.#report,
    });
    if (!this.transport.isAlone) this.#measureNoMore = this.options.clock.every(MEASURE_EVERY_MS, this.#measure);
    await isReady;
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
    const added = this.#subscriptions?.add(this.#channels.interest(interest));
    if (this.#state !== 'down') await added;
  }

  /** The last member left. */
  unfollow(interest: Interest): void {
    if (!this.#channels || this.transport.isAlone) return;
    const channel = this.#channels.interest(interest);
    this.#incoming.forgetChannel(channel);
    this.#subscriptions?.remove(channel);
  }

  /** From now on this node is another one: the old one was taken for dead. */
  async renameTo(nodeId: string): Promise<void> {
    this.#nodeId = nodeId;
    this.#nodeIds.add(nodeId);
    if (this.#channels) await this.#subscriptions?.add(this.#channels.node(nodeId));
  }

  forgetNode(nodeId: string): void {
    this.#incoming.forgetNode(nodeId);
  }

  async stop(): Promise<void> {
    this.#setState('stopped');
    this.#gaveUp();
    this.#measureNoMore();
    this.#retryNoMore();
    this.#subscriptions?.stop();
    this.#subscriptions = undefined;
    if (this.transport.isOpen && this.#publisher) await withinMs(DRAIN_MS, this.#publisher.drained());
    this.transport.flush();
    this.#publisher?.abandon('the bus was stopped');
    await this.transport.close();
  }

  #makePublisher(channels: Channels): Publisher {
    return new Publisher(channels, this.transport, this.#time, {
      clock: this.options.clock,
      isOwn: (id) => this.#nodeIds.has(id),
      lost: () => this.#lost(),
      maxBytes: this.options.maxBytes,
    });
  }

  #subscribe(channels: Channels, events: readonly string[]): Subscriptions {
    const { clock, ids } = this.options;
    const failed = (error: Error): void => this.#report(error, 'subscribing');
    const subscriptions = new Subscriptions(this.transport, { clock, random: ids.random, failed });
    subscriptions.want(channels.all, channels.events, channels.node(this.#nodeId));
    if (events.some((event) => PRESENCE.has(event))) subscriptions.want(channels.presence);
    for (const event of events) {
      const channel = PRESENCE.has(event) ? undefined : channels.plain(event);
      if (channel !== undefined) subscriptions.want(channel);
    }
    return subscriptions;
  }

  /** Where a publication can go now. Nothing waits for a connection. */
  #open(): Publisher | undefined {
    return this.transport.isOpen ? this.#publisher : undefined;
  }

  #hears(event: string): boolean {
    return this.#channels !== undefined && this.#subscriptions?.wants(this.#channels.eventsOf(event)) === true;
  }

  #refuse(): Promise<never> {
    this.#lost();
    return (this.#refusal ??= refused(`the bus is ${this.#state}`));
  }

  /** What has no JSON form is counted as lost. */
  #write(value: unknown, send: (text: string, publisher: Publisher) => Promise<unknown>): Promise<unknown> {
    const publisher = this.#open();
    if (!publisher) return this.#refuse();
    let text: string;
    try {
      text = JSON.stringify(value) ?? 'null';
    } catch (error) {
      this.#lost();
      const refusal = Promise.reject(new NotSerializableError(error));
      refusal.catch(() => undefined); // counted; whoever asks hears of it
      return refusal;
    }
    return send(text, publisher);
  }

  readonly #measure = guarded(
    'reading the clock of Redis',
    (error) => this.#report(error),
    () => (this.transport.isOpen ? this.#time.measure(this.transport) : undefined),
  );

  readonly #refresh = guarded(
    'connecting to Redis',
    (error, place) => this.#report(error, place),
    () => this.#restore(),
  );

  /** A message that couldn't be taken in is junk, and nothing else suffers. */
  readonly #passOver = (error: Error, place: string): void => {
    this.counters.junk++;
    this.#report(error, place);
  };

  #transportChanged(state: TransportState): void {
    if (this.#state === 'stopped') return;
    if (state === 'down') this.#setState('down');
    else this.#refresh();
  }

  /** The transport is up: subscribe to everything wanted, and only then call it ready. */
  async #restore(): Promise<void> {
    await this.#time.measure(this.transport).catch((error: unknown) => this.#report(error as Error));
    const isComplete = await this.#subscriptions?.restore();
    if (this.transport.state !== 'up') return; // the next `up` comes here
    if (!isComplete) {
      this.#retryNoMore();
      this.#retryNoMore = this.options.clock.after(RETRY_MS, this.#refresh);
      return;
    }
    this.#setState('ready');
    this.#becameReady();
  }

  #setState(state: BusState): void {
    if (state === this.#state || this.#state === 'stopped' || (state === 'down' && this.#state === 'starting')) return;
    this.#state = state;
    this.#refusal = undefined;
    if (state === 'down') {
      // Of two connections to a frozen Redis one is given up first: who waits for the other's answer may wait for long.
      this.#subscriptions?.waitNoLonger();
      this.#publisher?.abandon('the bus is down');
    }
    const tell = guarded('a change of the bus', this.#report, () => this.#receiver?.stateChanged(state));
    tell();
  }

  #lost(): void {
    this.counters.unpublished++;
    if (!this.#isReportDue()) return;
    this.#report(new Error(`The bus is ${this.#state}: ${this.counters.unpublished} publications were lost so far.`));
  }

  #isReportDue(): boolean {
    return this.#state !== 'stopped' && this.options.clock.now() - this.#lastReport >= REPORT_EVERY_MS;
  }

  readonly #report = (error: Error, place?: string): void => {
    if (!this.#isReportDue()) return;
    this.#lastReport = this.options.clock.now();
    this.#receiver?.failed(error, place);
  };

  #becameReady: () => void = () => undefined;
  #gaveUp: () => void = () => undefined;
}
