import {
  closeQuietly,
  databaseOf,
  keepConnected,
  keepTalking,
  openConnection,
  type RedisConnection,
} from '../cluster/redis-connections.js';
import type { RedisSource } from '../cluster/redis-source.js';
import { withinMs } from '../deadline.js';
import type { System } from '../system.js';
import { LogUnavailableError } from './log-errors.js';

/** How long the start of a server waits for the connection, in ms. */
const START_MS = 5_000;

/** The connection that reads and writes logs. It isn't the bus's, so that long reads don't hold that up. */
export class LogConnection {
  #connection: RedisConnection | undefined;
  #stopTalking: () => void = () => undefined;

  constructor(
    private readonly source: RedisSource,
    /** Shows in Redis's CLIENT LIST. */
    private readonly role: string,
    private readonly system: System,
    private readonly failed: (error: unknown, place: string) => void,
    /** Names it in errors. */
    private readonly place = 'the connection of the rooms’ histories',
    /** Called for each new connection. The start of a server waits for the first one. */
    private readonly opened: (connection: RedisConnection) => Promise<void> | undefined = () => undefined,
  ) {}

  /** @throws {LogUnavailableError} before the start and after the stop */
  get open(): RedisConnection {
    if (!this.#connection) throw new LogUnavailableError('this process has no connection for it');
    return this.#connection;
  }

  get database(): number {
    return databaseOf(this.open);
  }

  /**
   * Connects, and connects again when needed. Resolves after `START_MS` even without a connection; the log is
   * unavailable then.
   */
  async connect(): Promise<void> {
    const { clock, ids } = this.system;
    const connection = await openConnection(this.source, this.role, ids);
    this.#connection = connection;
    const isReady = new Promise<void>((resolve) =>
      keepConnected(connection, clock, {
        opened: async () => {
          await this.opened(connection);
          resolve();
        },
        closed: () => undefined,
        failed: (error) => {
          if (this.#connection) this.failed(error, this.place);
        },
      }),
    );
    this.#stopTalking = keepTalking(connection, clock);
    await withinMs(clock, START_MS, isReady);
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#stopTalking();
    this.#connection = undefined;
    if (connection) await closeQuietly(connection, this.system.clock);
  }
}
