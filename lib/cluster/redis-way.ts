import type { Redis } from 'ioredis';
import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { isInterest } from './channels.js';
import { closeQuietly, keepConnected } from './redis-connections.js';
import type { TransportListener, TransportState, Way } from './transport.js';

export interface RedisWayOptions {
  clock: Clock;
  /** Redis Cluster: sharded channels are spread over its masters. */
  isOfCluster: boolean;
  /** The connection was opened or lost. */
  changed(way: RedisWay, state: TransportState): void;
  /** Redis ended the subscription of a channel, or refused one because its slot is elsewhere. */
  moved?(way: RedisWay): void;
}

/** A connection that receives from one Redis. */
export class RedisWay implements Way {
  constructor(
    readonly name: string,
    private readonly connection: Redis,
    private readonly options: RedisWayOptions,
  ) {}

  get state(): TransportState {
    return this.connection.status === 'ready' ? 'up' : 'down';
  }

  connect(listener: Pick<TransportListener, 'received' | 'failed'>): void {
    const { connection } = this;
    const receive = (channel: Buffer, payload: Buffer): void => listener.received(channel.toString(), payload, this);
    connection.on('messageBuffer', receive);
    connection.on('smessageBuffer', receive);
    const { changed, moved = () => undefined } = this.options;
    connection.on(
      'moved',
      guarded('a move of slots', listener.failed, () => moved(this)),
    );
    keepConnected(connection, this.options.clock, {
      opened: () => changed(this, 'up'),
      closed: () => changed(this, 'down'),
      failed: listener.failed,
    });
  }

  sharesCommands(channel: string): boolean {
    return !this.#isSharded(channel);
  }

  async subscribe(channels: readonly string[]): Promise<unknown> {
    const { connection } = this;
    const isSharded = this.#isSharded(channels[0] as string);
    return isSharded ? connection.ssubscribe(...channels) : connection.subscribe(...channels);
  }

  async unsubscribe(channels: readonly string[]): Promise<unknown> {
    const { connection } = this;
    const isSharded = this.#isSharded(channels[0] as string);
    if (!isSharded) return connection.unsubscribe(...channels);
    return connection.sunsubscribe(...channels).catch((error: Error) => {
      if (!error.message.startsWith('MOVED ')) throw error; // else Redis ended it when it gave the slot away
    });
  }

  rebuild(): void {
    this.connection.disconnect(true);
  }

  end(): Promise<void> {
    return closeQuietly(this.connection, this.options.clock);
  }

  #isSharded(channel: string): boolean {
    return this.options.isOfCluster && isInterest(channel);
  }
}
