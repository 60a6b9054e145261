import type { Redis } from 'ioredis';
import { refused } from './publish-queue.js';
import { readInSteps } from './reading-steps.js';
import type { System } from '../system.js';
import { closeQuietly, keepConnected, openRedis } from './redis-connections.js';
import { RedisOutlet } from './redis-outlet.js';
import type { RedisSource } from './redis-source.js';
import { RedisWay } from './redis-way.js';
import type { Transport, TransportListener } from './transport.js';

/** A single Redis, with or without Sentinel: one connection publishes, one receives. */
export class RedisTransport implements Transport {
  readonly isAlone = false;
  readonly hasOneOrder = true;
  ways: readonly RedisWay[] = [];
  #publisher: Redis | undefined;
  #outlet: RedisOutlet | undefined;

  constructor(
    private readonly source: RedisSource,
    private readonly system: System,
  ) {}

  /** The connection that publishes. The registry uses it, too, so that its writes and publications keep one order. */
  get connection(): Redis {
    if (!this.#publisher) throw new Error('The transport is not open.');
    return this.#publisher;
  }

  get isOpen(): boolean {
    return this.#outlet?.isOpen === true;
  }

  wayOf(): RedisWay | undefined {
    return this.ways[0];
  }

  async open(): Promise<number> {
    this.#publisher = await openRedis(this.source, 'publisher', this.system.ids);
    this.#outlet = new RedisOutlet(this.#publisher);
    const changed = (...change: Parameters<TransportListener['wayChanged']>): void =>
      this.#listener?.wayChanged(...change);
    this.ways = [
      new RedisWay('redis', await openRedis(this.source, 'subscriber', this.system.ids), {
        clock: this.system.clock,
        isOfCluster: false,
        changed,
      }),
    ];
    return this.#publisher.options.db ?? 0;
  }

  connect(listener: TransportListener): void {
    this.#listener = listener;
    const { connection } = this;
    const changed = (): void => listener.outletChanged();
    readInSteps(connection, this.system.clock);
    keepConnected(connection, this.system.clock, { opened: changed, closed: changed, failed: listener.failed });
    for (const way of this.ways) way.connect(listener);
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

  rebuildOutlet(): void {
    this.#publisher?.disconnect(true);
  }

  async close(): Promise<void> {
    const publisher = this.#publisher;
    const ways = this.ways;
    this.#publisher = this.#outlet = this.#listener = undefined;
    this.ways = [];
    await Promise.all([...ways.map((way) => way.end()), publisher && closeQuietly(publisher, this.system.clock)]);
  }

  #listener: TransportListener | undefined;
}
