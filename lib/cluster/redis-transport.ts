import type { Clock } from '../clock.js';
import { ConnectionError } from '../errors.js';
import { guarded } from '../guarded.js';
import { isInterest } from './channels.js';
import { refused } from './publish-queue.js';
import { databaseOf, keepTalking, openConnection, reachAll, type RedisConnection } from './redis-connections.js';
import { RedisOutlet } from './redis-outlet.js';
import type { RedisSource } from './redis-source.js';
import type { Transport, TransportListener, TransportState } from './transport.js';
import { withinMs } from '../deadline.js';

/** How long a connection may take to say goodbye. */
const QUIT_MS = 500;

/** Redis, by Sentinel or not, or a Redis Cluster: one connection to publish, one to hear. */
export class RedisTransport implements Transport {
  readonly isAlone = false;
  #publisher: RedisConnection | undefined;
  #subscriber: RedisConnection | undefined;
  #outlet: RedisOutlet | undefined;
  #listener: TransportListener | undefined;
  #state: TransportState = 'down';
  #stopTalking: (() => void)[] = [];

  constructor(
    private readonly source: RedisSource,
    private readonly clock: Clock,
  ) {}

  /** The publishing connection, for the registry: what it writes and what is published keep one order. */
  get connection(): RedisConnection {
    if (!this.#publisher) throw new Error('The transport is not open.');
    return this.#publisher;
  }

  get isOpen(): boolean {
    return this.#outlet?.isOpen === true;
  }

  get state(): TransportState {
    return this.#state;
  }

  async open(): Promise<number> {
    this.#publisher = await openConnection(this.source, 'publisher');
    this.#subscriber = await openConnection(this.source, 'subscriber');
    this.#outlet = new RedisOutlet(this.#publisher);
    return databaseOf(this.#publisher);
  }

  connect(listener: TransportListener): void {
    this.#listener = listener;
    const { connection: publisher } = this;
    const subscriber = this.#subscriber as RedisConnection;
    const receive = (channel: Buffer, payload: Buffer): void => listener.received(channel.toString(), payload);
    subscriber.on('messageBuffer', receive);
    subscriber.on('smessageBuffer', receive);
    for (const connection of [publisher, subscriber]) this.#watch(connection, listener);
    for (const connection of [publisher, subscriber])
      connection.connect().catch((error: unknown) => listener.failed(error as Error));
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

  /** Interests are spread over the shards of a Redis Cluster; what everybody hears of is ordinary pub/sub. */
  sharesCommands(channel: string): boolean {
    return !this.#isSharded(channel);
  }

  async subscribe(channels: readonly string[]): Promise<unknown> {
    const subscriber = this.#subscriber as RedisConnection;
    const isSharded = this.#isSharded(channels[0] as string);
    return isSharded ? subscriber.ssubscribe(...channels) : subscriber.subscribe(...channels);
  }

  async unsubscribe(channels: readonly string[]): Promise<unknown> {
    const subscriber = this.#subscriber as RedisConnection;
    const isSharded = this.#isSharded(channels[0] as string);
    return isSharded ? subscriber.sunsubscribe(...channels) : subscriber.unsubscribe(...channels);
  }

  async close(): Promise<void> {
    this.#state = 'down';
    for (const stop of this.#stopTalking.splice(0)) stop();
    const connections = [this.#publisher, this.#subscriber];
    this.#publisher = this.#subscriber = this.#outlet = this.#listener = undefined;
    await Promise.all(connections.map((connection) => closeQuietly(connection)));
  }

  /** Whatever this connection tells is looked at here, and nowhere does it end the process. */
  #watch(connection: RedisConnection, listener: TransportListener): void {
    const failed = (error: Error, place: string): void => listener.failed(error, place);
    const listen = (event: string, place: string, work: (...args: never[]) => unknown): void =>
      void (connection as { on(event: string, listener: (...args: never[]) => void): unknown }).on(
        event,
        guarded(place, failed, work),
      );
    listen('error', 'an error of Redis', (error: Error) => listener.failed(error));
    listen('ready', 'connecting to Redis', () => this.#connected());
    listen('close', 'losing Redis', () => {
      this.#changeState('down');
      listener.failed(new ConnectionError('The connection to Redis was closed.')); // when Redis hangs up, no error says so
    });
    this.#stopTalking.push(keepTalking(connection, this.clock));
  }

  async #connected(): Promise<void> {
    if (!this.#areBothReady()) return;
    await reachAll(this.connection);
    if (this.#areBothReady()) this.#changeState('up'); // else the next `ready` comes here
  }

  #areBothReady(): boolean {
    return this.#publisher?.status === 'ready' && this.#subscriber?.status === 'ready';
  }

  #changeState(state: TransportState): void {
    this.#state = state;
    this.#listener?.stateChanged(state);
  }

  #isSharded(channel: string): boolean {
    return this.#publisher?.isCluster === true && isInterest(channel);
  }
}

async function closeQuietly(connection: RedisConnection | undefined): Promise<void> {
  if (!connection) return;
  // A frozen Redis doesn't say goodbye; a refused one can't. It is closed all the same.
  if (connection.status === 'ready') await withinMs(QUIT_MS, connection.quit());
  connection.disconnect();
}
