import type { Redis } from 'ioredis';
import { guarded } from '../guarded.js';
import type { Outlet } from './transport.js';

type Stream = Pick<Redis['stream'], 'cork' | 'uncork'>;

/** Publishes on a connection to one Redis. */
export class RedisOutlet implements Outlet {
  readonly #corks = new Corks();

  constructor(private readonly connection: Redis) {}

  get isOpen(): boolean {
    return this.connection.status === 'ready';
  }

  publish(channel: string, payload: string | Buffer): Promise<unknown> {
    this.#corks.cork(this.connection.stream);
    return this.connection.publish(channel, payload);
  }

  flush(): void {
    this.#corks.uncork();
  }

  time(): Promise<readonly (string | number)[]> {
    return this.connection.time();
  }
}

/**
 * What is written in one turn of the event loop goes to each Redis in one write. Not a pipeline: its promises outlive it by
 * several collections, which then cost more than all the rest.
 */
export class Corks {
  readonly #corked = new Set<Stream>();

  /** @param stream there is none before a connection of the application's own is used for the first time */
  cork(stream: Stream | undefined): void {
    if (!stream || this.#corked.has(stream)) return;
    stream.cork();
    if (this.#corked.size === 0) setImmediate(this.#flush);
    this.#corked.add(stream);
  }

  uncork(): void {
    for (const stream of this.#corked) stream.uncork();
    this.#corked.clear();
  }

  readonly #flush = guarded(
    'publishing',
    () => undefined,
    () => this.uncork(),
  );
}
