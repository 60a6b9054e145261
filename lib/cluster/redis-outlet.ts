import type { Redis } from 'ioredis';
import { guarded } from '../guarded.js';
import type { Outlet } from './transport.js';

type Stream = Pick<Redis['stream'], 'cork' | 'uncork'>;

/** Publishes to a single Redis. */
export class RedisOutlet implements Outlet {
  readonly hasOneOrder = true;
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
 * Collects what one turn of the event loop writes to each Redis into one write. A pipeline would do that, too, but its
 * promises live so long that garbage collection costs more than all the rest.
 */
export class Corks {
  readonly #corked = new Set<Stream>();

  /** @param stream undefined before the application first uses its own connection */
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
