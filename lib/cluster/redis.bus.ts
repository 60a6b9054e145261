import { ConnectionError, NotSerializableError } from '../errors.js';
import { monotonicMs } from '../clock.js';
import { guarded } from '../guarded.js';
import { withinMs } from './within.js';
import type { Delivery } from '../protocol/delivery.js';
import type { Bus, BusReceiver, BusState } from './bus.js';
import { readEvent, readJson } from './bus-input.js';
import { Channels, type Interest } from './channels.js';
import { open } from './envelope.js';
import { PRESENCE } from './presence-events.js';
import { refused } from './publish-queue.js';
import { databaseOf, keepTalking, openConnection, reachAll, type RedisConnection } from './redis-connections.js';
import type { RedisSource } from './redis-source.js';
import { RedisPublisher } from './redis-publisher.js';
import { IncomingSequences } from './sequences.js';
import { isStale, SharedClock } from './shared-clock.js';
import { Subscriptions } from './subscriptions.js';

/** How long a connection may take to say goodbye. */
const QUIT_MS = 500;
/** How long what is published may hold up the end of this process, in ms. */
const DRAIN_MS = 2_000;
/** A node that couldn't subscribe to all it needs, though it is connected, tries again after so long, in ms. */
const RETRY_MS = 2_000;
/** A failing bus is reported once in this time, with what it lost. */
const REPORT_EVERY_MS = 1_000;

/** A Redis, or a Redis Cluster, between the nodes. While it is away: see `BusState`. */
export class RedisBus implements Bus {
  readonly counters = { unpublished: 0, missing: 0, stale: 0, junk: 0 };
  readonly #clock = new SharedClock();
  readonly #incoming = new IncomingSequences();
  /** Ours, and those we had before we were taken for dead: deliveries to the clients of then still find us. */
  readonly #nodeIds = new Set<string>();
  #nodeId: string;
  /** Known with the first connection: its database is part of their names. */
  #channels: Channels | undefined;
  #outgoing: RedisPublisher | undefined;
  #publisher: RedisConnection | undefined;
  #subscriber: RedisConnection | undefined;
  #subscriptions: Subscriptions | undefined;
  #receiver: BusReceiver | undefined;
  #state: BusState = 'starting';
  #lastReport = -Infinity;
  #stopTimers: (() => void)[] = [];
  #retry: NodeJS.Timeout | undefined;
  /** What those hear who publish while it is down: one for all of them. */
  #refusal: Promise<never> | undefined;

  constructor(
    private readonly source: RedisSource,
    private readonly prefix: string,
    nodeId: string,
    private readonly options: { maxBytes?: number | undefined } = {},
  ) {
    this.#nodeId = nodeId;
    this.#nodeIds.add(nodeId);
  }

  /** The publishing connection, for the registry: what it writes and what is published keep one order. */
  get connection(): RedisConnection {
    if (!this.#publisher) throw new Error('The bus has not been started.');
    return this.#publisher;
  }

  async start(receiver: BusReceiver, events: readonly string[]): Promise<void> {
    this.#receiver = receiver;
    this.#state = 'starting';
    const publisher = (this.#publisher = await openConnection(this.source, 'publisher'));
    const subscriber = (this.#subscriber = await openConnection(this.source, 'subscriber'));
    const channels = (this.#channels ??= new Channels(this.prefix, databaseOf(publisher)));
    this.#outgoing ??= this.#makePublisher(channels);
    this.#subscriptions = new Subscriptions(
      subscriber,
      (channel) => this.#isSharded(channel),
      (error) => this.#report(error, 'subscribing'),
    );
    this.#subscriptions.want(channels.all, channels.events, channels.node(this.#nodeId));
    if (events.some((event) => PRESENCE.has(event))) this.#subscriptions.want(channels.presence);
    for (const event of events) {
      const channel = PRESENCE.has(event) ? undefined : channels.plain(event);
      if (channel !== undefined) this.#subscriptions.want(channel);
    }
    const receive = guarded(
      'a message of the bus',
      (error, place) => this.#passOver(error, place),
      (channel: Buffer, payload: Buffer) => this.#receive(channel.toString(), payload),
    );
    subscriber.on('messageBuffer', receive);
    subscriber.on('smessageBuffer', receive);
    for (const connection of [publisher, subscriber]) this.#watch(connection);
    const isReady = new Promise<void>((resolve, reject) => {
      this.#becameReady = resolve;
      this.#gaveUp = () => reject(new ConnectionError('The bus was stopped before it could connect to Redis.'));
    });
    for (const connection of [publisher, subscriber])
      connection.connect().catch((error: unknown) => this.#report(error as Error));
    await isReady;
  }

  publish(delivery: Delivery): Promise<unknown> {
    return this.#open()?.publish(delivery, this.#nodeId) ?? this.#refuse();
  }

  order(nodeId: string, order: unknown): Promise<unknown> {
    return this.#write(order, (text, outgoing) => outgoing.order(nodeId, text, this.#nodeId));
  }

  emit(event: string, message: unknown): Promise<unknown> {
    return this.#write(message, (text, outgoing) => outgoing.emit(event, text));
  }

  async follow(interest: Interest): Promise<void> {
    if (!this.#channels) return;
    const added = this.#subscriptions?.add(this.#channels.interest(interest));
    if (this.#state !== 'down') await added;
  }

  unfollow(interest: Interest): void {
    const channel = this.#channels?.interest(interest);
    if (channel === undefined) return;
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
    for (const stop of this.#stopTimers.splice(0)) stop();
    clearTimeout(this.#retry);
    this.#subscriptions?.stop();
    if (this.#publisher?.status === 'ready' && this.#outgoing) await withinMs(DRAIN_MS, this.#outgoing.drained());
    this.#outgoing?.flush();
    const connections = [this.#publisher, this.#subscriber];
    this.#publisher = this.#subscriber = undefined;
    this.#outgoing?.abandon('the bus was stopped');
    await Promise.all(connections.map((connection) => closeQuietly(connection)));
  }

  #makePublisher(channels: Channels): RedisPublisher {
    return new RedisPublisher(channels, this.#clock, {
      connection: () => this.#publisher,
      isOwn: (id) => this.#nodeIds.has(id),
      lost: () => this.#lost(),
      maxBytes: this.options.maxBytes,
    });
  }

  /** Whatever this connection tells is looked at here, and nowhere does it end the process. */
  #watch(connection: RedisConnection): void {
    const failed = (error: Error, place: string): void => this.#report(error, place);
    const listen = (event: string, place: string, work: (...args: never[]) => unknown): void =>
      void (connection as { on(event: string, listener: (...args: never[]) => void): unknown }).on(
        event,
        guarded(place, failed, work),
      );
    listen('error', 'an error of Redis', (error: Error) => this.#report(error));
    listen('ready', 'connecting to Redis', () => this.#refresh());
    listen('close', 'losing Redis', () => {
      this.#setState('down');
      this.#report(new ConnectionError('The connection to Redis was closed.')); // when Redis hangs up, no error says so
    });
    const talk = connection === this.#publisher ? () => this.#clock.measure(connection) : undefined;
    this.#stopTimers.push(keepTalking(connection, talk));
  }

  /** Where a publication can go now. Nothing waits for a connection. */
  #open(): RedisPublisher | undefined {
    return this.#publisher?.status === 'ready' ? this.#outgoing : undefined;
  }

  #refuse(): Promise<never> {
    this.#lost();
    return (this.#refusal ??= refused(`the bus is ${this.#state}`));
  }

  /** What has no JSON form is counted as lost. */
  #write(value: unknown, send: (text: string, outgoing: RedisPublisher) => Promise<unknown>): Promise<unknown> {
    const outgoing = this.#open();
    if (!outgoing) return this.#refuse();
    let text: string;
    try {
      text = JSON.stringify(value) ?? 'null';
    } catch (error) {
      this.#lost();
      const refusal = Promise.reject(new NotSerializableError(error));
      refusal.catch(() => undefined); // counted; whoever asks hears of it
      return refusal;
    }
    return send(text, outgoing);
  }

  #receive(channel: string, payload: Buffer): void {
    const receiver = this.#receiver;
    const meaning = this.#channels?.meaningOf(channel) ?? { kind: 'foreign' };
    if (!receiver || this.#state === 'stopped' || meaning.kind === 'foreign') return;
    if (!this.#subscriptions?.wants(channel)) return; // on its way when it was given up: no gap after it counts
    if (meaning.kind === 'event') {
      const event = readEvent(payload);
      if (event) receiver.event(event.name, event.message);
      else this.counters.junk++;
      return;
    }
    if (meaning.kind === 'plain') {
      return this.#receiveJson(payload, (message) => receiver.plainEvent(meaning.name, message));
    }
    const envelope = open(payload);
    if (!envelope) {
      this.counters.junk++;
      return;
    }
    const audience = envelope.header.audience ?? meaning.audience;
    const { nodeId, sequence, sentAt, except, copyId, isVolatile, conflateKey } = envelope.header;
    if (this.#nodeIds.has(nodeId)) return; // our own echo: our sockets had it first
    const publisher = this.#incoming.of(nodeId);
    const missing = publisher.gapBefore(channel, sequence);
    if (missing > 0) {
      this.counters.missing += missing;
      this.#report(new Error(`${missing} messages of node ${nodeId} never came.`));
    }
    if (isStale(sentAt, this.#clock.now())) {
      this.counters.stale++;
      return;
    }
    if (copyId !== undefined && audience?.kind === 'rooms' && publisher.noteCopy(copyId)) return;
    if (audience) receiver.deliver({ audience, except, frame: envelope.frame, isVolatile, conflateKey });
    else this.#receiveJson(envelope.frame, (order) => receiver.order(nodeId, order));
  }

  #receiveJson(payload: Buffer, receive: (value: unknown) => void): void {
    const value = readJson(payload);
    if (value === undefined) this.counters.junk++;
    else receive(value);
  }

  /** A message that couldn't be taken in is junk, and nothing else suffers. */
  #passOver(error: Error, place: string): void {
    this.counters.junk++;
    this.#report(error, place);
  }

  /** Both connections are up: subscribe to everything wanted, and only then call it ready. */
  async #refresh(): Promise<void> {
    if (this.#publisher?.status !== 'ready' || this.#subscriber?.status !== 'ready') return;
    await reachAll(this.#publisher);
    await this.#clock.measure(this.#publisher).catch((error: unknown) => this.#report(error as Error));
    const isComplete = await this.#subscriptions?.restore();
    if (this.#publisher?.status !== 'ready' || this.#subscriber?.status !== 'ready') return; // the next `ready` comes here
    if (!isComplete) return this.#refreshLater();
    this.#setState('ready');
    this.#becameReady();
  }

  #refreshLater(): void {
    clearTimeout(this.#retry);
    const again = guarded(
      'connecting to Redis',
      (error, place) => this.#report(error, place),
      () => this.#refresh(),
    );
    this.#retry = setTimeout(again, RETRY_MS).unref();
  }

  #setState(state: BusState): void {
    if (state === this.#state || this.#state === 'stopped' || (state === 'down' && this.#state === 'starting')) return;
    this.#state = state;
    this.#refusal = undefined;
    if (state === 'down') {
      // Of two connections to a frozen Redis one is given up first: who waits for the other's answer may wait for long.
      this.#subscriptions?.waitNoLonger();
      this.#outgoing?.abandon('the bus is down');
    }
    const tell = guarded(
      'a change of the bus',
      (error, place) => this.#report(error, place),
      () => this.#receiver?.stateChanged(state),
    );
    tell();
  }

  #lost(): void {
    this.counters.unpublished++;
    if (!this.#isReportDue()) return;
    this.#report(new Error(`The bus is ${this.#state}: ${this.counters.unpublished} publications were lost so far.`));
  }

  #isReportDue(): boolean {
    return this.#state !== 'stopped' && monotonicMs() - this.#lastReport >= REPORT_EVERY_MS;
  }

  #report(error: Error, place?: string): void {
    if (!this.#isReportDue()) return;
    this.#lastReport = monotonicMs();
    this.#receiver?.failed(error, place);
  }

  /** Interests are spread over the shards of a Redis Cluster; what everybody hears of is ordinary pub/sub. */
  #isSharded(channel: string): boolean {
    return this.#publisher?.isCluster === true && this.#channels?.isInterest(channel) === true;
  }

  #becameReady: () => void = () => undefined;
  #gaveUp: () => void = () => undefined;
}

async function closeQuietly(connection: RedisConnection | undefined): Promise<void> {
  if (!connection) return;
  // A frozen Redis doesn't say goodbye; a refused one can't. It is closed all the same.
  if (connection.status === 'ready') await withinMs(QUIT_MS, connection.quit());
  connection.disconnect();
}
