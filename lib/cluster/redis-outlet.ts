import type { Cluster, Redis } from 'ioredis';
import { guarded } from '../guarded.js';
import { isInterest } from './channels.js';
import { isCluster, type RedisConnection } from './redis-connections.js';
import type { Outlet } from './transport.js';

/** Publishes on a connection to Redis. What is published in one turn of the event loop goes there in one write. */
export class RedisOutlet implements Outlet {
  /** What is written to it waits for the end of the turn. */
  #corked: Pick<Redis['stream'], 'cork' | 'uncork'> | undefined;

  constructor(private readonly connection: RedisConnection) {}

  get isOpen(): boolean {
    return this.connection.status === 'ready';
  }

  publish(channel: string, payload: string | Buffer): Promise<unknown> {
    const { connection } = this;
    return isCluster(connection)
      ? this.#publishSharded(channel, payload, connection)
      : this.#publishCorked(channel, payload, connection);
  }

  readonly flush = (): void => {
    this.#corked?.uncork();
    this.#corked = undefined;
  };

  time(): Promise<readonly (string | number)[]> {
    return this.connection.time();
  }

  /** Not a pipeline: its promises outlive it by several collections, which then cost more than all the rest. */
  #publishCorked(channel: string, payload: string | Buffer, connection: Redis): Promise<unknown> {
    const { stream } = connection;
    // There is none before a connection of the application's own is used for the first time.
    if (stream && stream !== this.#corked) {
      this.flush();
      stream.cork();
      this.#corked = stream;
      setImmediate(guarded('publishing', () => undefined, this.flush));
    }
    return connection.publish(channel, payload);
  }

  #publishSharded(channel: string, payload: string | Buffer, connection: Cluster): Promise<unknown> {
    if (isInterest(channel)) return connection.spublish(channel, payload);
    // A PUBLISH may go to any master and ioredis takes turns: what one is told, and then another, changes places.
    const master = connection.nodes('master').find(({ status }) => status === 'ready');
    return (master ?? connection).publish(channel, payload);
  }
}
