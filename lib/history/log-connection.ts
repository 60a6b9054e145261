import { databaseOf, keepTalking, openConnection, type RedisConnection } from '../cluster/redis-connections.js';
import type { RedisSource } from '../cluster/redis-source.js';
import { systemClock } from '../clock.js';
import { withinMs } from '../deadline.js';
import { LogUnavailableError } from './log-errors.js';

/** A server that starts waits so long for it, in ms. */
const START_MS = 5_000;

/** The connection to Redis that logs are written and read with: long reads don't hold up the bus. */
export class LogConnection {
  #connection: RedisConnection | undefined;
  #stopTalking: () => void = () => undefined;

  constructor(
    private readonly source: RedisSource,
    /** Shows in Redis's CLIENT LIST. */
    private readonly role: string,
    private readonly failed: (error: unknown, place: string) => void,
  ) {}

  /** @throws {LogUnavailableError} before the start, and after the stop */
  get open(): RedisConnection {
    if (!this.#connection) throw new LogUnavailableError('this process has no connection for it');
    return this.#connection;
  }

  get database(): number {
    return databaseOf(this.open);
  }

  /** Connects, and connects again whenever it must. While it can't, the log is unavailable; whoever starts is let go on. */
  async connect(): Promise<void> {
    const connection = await openConnection(this.source, this.role);
    connection.on('error', (error) => this.failed(error, 'the connection of the rooms’ histories'));
    this.#connection = connection;
    this.#stopTalking = keepTalking(connection, systemClock);
    // What goes wrong is said by 'error', and it goes on trying.
    await withinMs(
      START_MS,
      connection.connect().catch(() => undefined),
    );
  }

  close(): Promise<void> {
    this.#stopTalking();
    this.#connection?.disconnect();
    this.#connection = undefined;
    return Promise.resolve();
  }
}
