import { monotonicMs } from '../clock.js';
import { ConnectionError } from '../errors.js';
import { withinMs } from './within.js';
import type { Delivery } from '../protocol/delivery.js';
import type { Bus, BusReceiver, BusState } from './bus.js';
import { Channels, type Interest } from './channels.js';
import { open } from './envelope.js';
import { keepTalking, openConnection, reachAll, type RedisConnection } from './redis-connections.js';
import type { RedisSource } from './redis-source.js';
import { RedisPublisher } from './redis-publisher.js';
import { IncomingSequences } from './sequences.js';
import { isStale, SharedClock } from './shared-clock.js';
import { Subscriptions } from './subscriptions.js';

/** Publications that may be under way to Redis at once; more are dropped and counted, so that a frozen Redis costs no memory. */
const MAX_IN_FLIGHT = 10_000;
/** How long a connection may take to say goodbye. */
const QUIT_MS = 500;
const MAX_BYTES_IN_FLIGHT = 32 * 1_024 * 1_024;
/** A failing bus is reported once in this time, with what it lost. */
const REPORT_EVERY_MS = 1_000;

/** A Redis, or a Redis Cluster, between the nodes. While it is away: see `BusState`. */
export class RedisBus implements Bus {
  readonly counters = { unpublished: 0, missing: 0, stale: 0, junk: 0 };
  readonly #channels: Channels;
  readonly #clock = new SharedClock();
  readonly #outgoing: RedisPublisher;
  readonly #incoming = new IncomingSequences();
  /** Ours, and those we had before we were taken for dead: deliveries to the clients of then still find us. */
  readonly #nodeIds = new Set<string>();
  #nodeId: string;
  #publisher: RedisConnection | undefined;
  #subscriber: RedisConnection | undefined;
  #subscriptions: Subscriptions | undefined;
  #receiver: BusReceiver | undefined;
  #state: BusState = 'starting';
  #inFlight = 0;
  #bytesInFlight = 0;
  #lastReport = -Infinity;
  #stopPings: (() => void)[] = [];

  constructor(
    private readonly source: RedisSource,
    prefix: string,
    nodeId: string,
  ) {
    this.#channels = new Channels(prefix);
    this.#outgoing = new RedisPublisher(this.#channels, this.#clock, {
      isOwn: (id) => this.#nodeIds.has(id),
      tally: {
        sent: (size) => {
          this.#inFlight++;
          this.#bytesInFlight += size;
        },
        answered: (size, isTaken) => {
          this.#inFlight--;
          this.#bytesInFlight -= size;
          if (!isTaken) this.#lost();
        },
      },
    });
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
    this.#subscriptions = new Subscriptions(
      subscriber,
      (channel) => this.#isSharded(channel),
      (error) => this.#report(error),
    );
    this.#subscriptions.want(this.#channels.all, this.#channels.node(this.#nodeId));
    this.#subscriptions.want(...events.map((event) => this.#channels.event(event)));
    const receive = (channel: Buffer, payload: Buffer): void => this.#receive(channel.toString(), payload);
    subscriber.on('messageBuffer', receive);
    subscriber.on('smessageBuffer', receive);
    for (const connection of [publisher, subscriber]) {
      connection.on('error', (error: Error) => this.#report(error));
      connection.on('ready', () => void this.#refresh());
      connection.on('close', () => {
        this.#setState('down');
        this.#report(new ConnectionError('The connection to Redis was closed.')); // when Redis hangs up, no error says so
      });
      const talk = connection === publisher ? () => this.#clock.measure(publisher) : undefined;
      this.#stopPings.push(keepTalking(connection, talk));
    }
    const isReady = new Promise<void>((resolve, reject) => {
      this.#becameReady = resolve;
      this.#gaveUp = () => reject(new ConnectionError('The bus was stopped before it could connect to Redis.'));
    });
    for (const connection of [publisher, subscriber])
      connection.connect().catch((error: unknown) => this.#report(error as Error));
    await isReady;
  }

  publish(delivery: Delivery): void {
    const connection = this.#open();
    if (connection) void this.#outgoing.publish(delivery, this.#nodeId, connection);
  }

  order(nodeId: string, order: unknown): void {
    const connection = this.#open();
    const text = connection && this.#encode(order);
    if (text !== undefined) void this.#outgoing.order(nodeId, text, this.#nodeId, connection as RedisConnection);
  }

  emit(event: string, message: unknown): void {
    const connection = this.#open();
    const text = connection && this.#encode(message);
    if (text !== undefined) void this.#outgoing.emit(event, text, connection as RedisConnection);
  }

  async follow(interest: Interest): Promise<void> {
    const added = this.#subscriptions?.add(this.#channels.interest(interest));
    if (this.#state !== 'down') await added;
  }

  unfollow(interest: Interest): void {
    const channel = this.#channels.interest(interest);
    this.#incoming.forgetChannel(channel);
    this.#subscriptions?.remove(channel);
  }

  /** From now on this node is another one: the old one was taken for dead. */
  async renameTo(nodeId: string): Promise<void> {
    this.#nodeId = nodeId;
    this.#nodeIds.add(nodeId);
    await this.#subscriptions?.add(this.#channels.node(nodeId));
  }

  forgetNode(nodeId: string): void {
    this.#incoming.forgetNode(nodeId);
  }

  async stop(): Promise<void> {
    this.#setState('stopped');
    this.#gaveUp();
    for (const stop of this.#stopPings.splice(0)) stop();
    this.#outgoing.flush();
    const connections = [this.#publisher, this.#subscriber];
    this.#publisher = this.#subscriber = undefined;
    await Promise.all(connections.map((connection) => closeQuietly(connection)));
  }

  /** Where a publication can go now. Nothing waits: what can't go is counted. */
  #open(): RedisConnection | undefined {
    const connection = this.#publisher;
    const isFull = this.#inFlight >= MAX_IN_FLIGHT || this.#bytesInFlight >= MAX_BYTES_IN_FLIGHT;
    if (connection?.status === 'ready' && !isFull) return connection;
    this.#lost();
    return undefined;
  }

  /** What has no JSON form is counted as lost. */
  #encode(value: unknown): string | undefined {
    try {
      return JSON.stringify(value) ?? 'null';
    } catch {
      this.#lost();
      return undefined;
    }
  }

  #receive(channel: string, payload: Buffer): void {
    const receiver = this.#receiver;
    const meaning = this.#channels.meaningOf(channel);
    if (!receiver || this.#state === 'stopped' || meaning.kind === 'foreign') return;
    if (!this.#subscriptions?.wants(channel)) return; // on its way when it was given up: no gap after it counts
    if (meaning.kind === 'event') {
      return this.#receiveJson(payload, (message) => receiver.event(meaning.name, message));
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
    if (copyId !== undefined && audience?.kind === 'rooms' && publisher.isSecondCopy(copyId)) return;
    if (audience) receiver.deliver({ audience, except, frame: envelope.frame, isVolatile, conflateKey });
    else this.#receiveJson(envelope.frame, (order) => receiver.order(nodeId, order));
  }

  #receiveJson(payload: Buffer, receive: (value: unknown) => void): void {
    let value: unknown;
    try {
      value = JSON.parse(payload.toString());
    } catch {
      this.counters.junk++;
      return;
    }
    receive(value);
  }

  /** Both connections are up: subscribe to everything wanted, and only then call it ready. */
  async #refresh(): Promise<void> {
    if (this.#publisher?.status !== 'ready' || this.#subscriber?.status !== 'ready') return;
    await reachAll(this.#publisher);
    await this.#clock.measure(this.#publisher).catch((error: unknown) => this.#report(error as Error));
    const isComplete = await this.#subscriptions?.restore();
    if (!isComplete) return; // the connection broke again: its next `ready` comes here
    if (this.#publisher?.status !== 'ready' || this.#subscriber?.status !== 'ready') return;
    this.#setState('ready');
    this.#becameReady();
  }

  #setState(state: BusState): void {
    if (state === this.#state || this.#state === 'stopped' || (state === 'down' && this.#state === 'starting')) return;
    this.#state = state;
    // Of two connections to a frozen Redis one is given up first: who waits for the other's answer may wait for long.
    if (state === 'down') this.#subscriptions?.waitNoLonger();
    this.#receiver?.stateChanged(state);
  }

  #lost(): void {
    this.counters.unpublished++;
    this.#report(new Error(`The bus is ${this.#state}: ${this.counters.unpublished} publications were lost so far.`));
  }

  #report(error: Error): void {
    const now = monotonicMs();
    if (this.#state === 'stopped' || now - this.#lastReport < REPORT_EVERY_MS) return;
    this.#lastReport = now;
    this.#receiver?.failed(error);
  }

  /** Interests are spread over the shards of a Redis Cluster; what everybody hears of is ordinary pub/sub. */
  #isSharded(channel: string): boolean {
    return this.#publisher?.isCluster === true && this.#channels.isInterest(channel);
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
