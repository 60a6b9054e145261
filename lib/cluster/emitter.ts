import { once } from 'node:events';
import { guarded } from '../guarded.js';
import type { Clock } from '../clock.js';
import type { System } from '../system.js';
import type { Delivery } from '../protocol/delivery.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import { checkEvent } from './bus-input.js';
import { Channels, nodeIdOf } from './channels.js';
import { databaseOf, isCluster, keepTalking, openConnection, type RedisConnection } from './redis-connections.js';
import { SharedClock } from './shared-clock.js';
import { Publisher } from './publisher.js';
import { ClusterOutlet } from './cluster-outlet.js';
import { RedisOutlet } from './redis-outlet.js';
import type { RedisSource } from './redis-source.js';
import type { Outlet } from './transport.js';
import { withinMs } from '../deadline.js';

/** How long the clock of Redis is used before it is read again, in ms. */
const CLOCK_MS = 30_000;
/** How often channels that fell silent are looked for, in ms. */
const TELL_EVERY_MS = 2_000;
/** How long `close()` waits for what is being published, in ms. */
const DRAIN_MS = 2_000;

/**
 * Publishes to the nodes from a process without sockets, such as a worker or a cron job. It has no sockets of its own
 * to serve, so its publications reject while Redis is away.
 */
export class Emitter {
  readonly #outlet: Outlet;
  readonly #time: SharedClock;
  readonly #publisher: Publisher;
  #measuredAt = -Infinity;
  readonly #id: string;
  readonly #clock: Clock;
  #stop: (() => Promise<void>) | undefined;

  /** @param connection belongs to the caller, and is never closed here */
  constructor(
    readonly connection: RedisConnection,
    prefix: string,
    { clock, ids }: System,
  ) {
    this.#clock = clock;
    const channels = new Channels(prefix, databaseOf(connection));
    this.#id = ids.nodeId();
    this.#outlet = isCluster(connection) ? new ClusterOutlet(connection) : new RedisOutlet(connection);
    this.#time = new SharedClock(clock);
    this.#publisher = new Publisher(channels, this.#outlet, this.#time, { clock, origin: this.#id });
  }

  /** Opens a connection of its own, and tries again until it is up. `report` gets its errors. */
  static async connect(
    source: RedisSource,
    prefix: string,
    system: System,
    report: (error: Error) => void,
  ): Promise<Emitter> {
    const { clock, ids } = system;
    const connection = await openConnection(source, 'emitter', ids);
    connection.on(
      'error',
      guarded('an error of Redis', () => undefined, report),
    );
    const isReady = once(connection as never, 'ready');
    connection.connect().catch(() => undefined); // reported above; ioredis tries again
    await isReady;
    const stopPings = keepTalking(connection, clock);
    const emitter = new Emitter(connection, prefix, system);
    const tell = guarded('publishing', report, () => connection.status === 'ready' && emitter.#publisher.tellTails());
    const stopTelling = clock.every(TELL_EVERY_MS, tell);
    emitter.#stop = async () => {
      stopPings();
      stopTelling();
      await withinMs(clock, DRAIN_MS, emitter.#publisher.finish());
      await connection.quit().catch(() => connection.disconnect());
    };
    return emitter;
  }

  async deliver(delivery: Delivery): Promise<void> {
    await this.#readClock();
    await this.#publisher.publish(delivery, this.#id);
  }

  /** Raises an event on every node. @throws {NotSerializableError} */
  emit(channel: string, message: unknown): Promise<unknown> {
    const content = message === undefined ? null : message;
    checkEvent(content);
    return this.#publisher.emit(channel, JSON.stringify(content));
  }

  /** Asks the node of a client to close its socket. */
  async disconnect(clientId: string, code: number | undefined, reason: string | undefined): Promise<void> {
    const nodeId = nodeIdOf(clientId);
    if (nodeId === undefined) return;
    const order = { id: 0, op: 'disconnect', clientId, code, reason };
    await this.#publisher.order(nodeId, order, this.#id);
  }

  /** Asks every node to close the sockets of a user. */
  async disconnectUser(userId: string | number, code: number, reason: string): Promise<void> {
    await this.emit(Event.DisconnectUser, { userId, code, reason });
  }

  /** Read when something is sent: a connection that isn't ours gets no commands by a timer. */
  async #readClock(): Promise<void> {
    if (this.#clock.now() - this.#measuredAt < CLOCK_MS) return;
    this.#measuredAt = this.#clock.now();
    await this.#time.measure(this.#outlet).catch(() => undefined); // the publication itself fails if Redis is away
  }

  async close(): Promise<void> {
    await this.#stop?.();
  }
}
