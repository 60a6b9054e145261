import type { Cluster, Redis } from 'ioredis';
import { guarded } from '../guarded.js';
import type { Audience, Delivery } from '../protocol/delivery.js';
import { isWellFormed } from '../protocol/text.js';
import { writeEvent } from './bus-input.js';
import { type Channels, nodeIdOf } from './channels.js';
import { seal } from './envelope.js';
import { PRESENCE } from './presence-events.js';
import { PublishQueue, type PublishQueueHost, refused } from './publish-queue.js';
import { isCluster, type RedisConnection } from './redis-connections.js';
import type { SharedClock } from './shared-clock.js';
import { OutgoingSequences } from './sequences.js';

interface Route {
  channel: string;
  forWhom?: Audience;
}

export interface RedisPublisherOptions extends Pick<PublishQueueHost, 'maxBytes'> {
  /** The connection to publish on; undefined when there is none any more. */
  connection(): RedisConnection | undefined;
  /** Whose clients are here, and not to be reached by way of the bus. @default nobody's */
  isOwn?: (nodeId: string) => boolean;
  /** Notified of each publication that Redis didn't take. */
  lost?: (error: Error) => void;
}

/**
 * Puts deliveries, orders and events into words, for a node as for a process without sockets. All that is published in one
 * turn of the event loop goes to Redis in one write. What a method returns settles with Redis's answer; it may be ignored.
 */
export class RedisPublisher {
  readonly #sequences = new OutgoingSequences();
  readonly #isOwn: (nodeId: string) => boolean;
  readonly #connection: () => RedisConnection | undefined;
  readonly #queue: PublishQueue;
  #lastCopyId = 0;
  /** What is written to it waits for the end of the turn. */
  #corked: Pick<Redis['stream'], 'cork' | 'uncork'> | undefined;
  readonly #lost: (error: Error) => void;

  constructor(
    private readonly channels: Channels,
    private readonly clock: SharedClock,
    { connection, isOwn = () => false, lost = () => undefined, maxBytes }: RedisPublisherOptions,
  ) {
    this.#connection = connection;
    this.#isOwn = isOwn;
    this.#lost = lost;
    this.#queue = new PublishQueue({
      send: (channel, payload) => this.#send(channel, payload),
      isUp: () => connection()?.status === 'ready',
      lost,
      maxBytes,
    });
  }

  publish({ audience, except, frame, isVolatile, conflateKey }: Delivery, nodeId: string): Promise<unknown> {
    const routes = this.#routes(audience);
    const copyId = routes.length > 1 ? ++this.#lastCopyId : undefined;
    const sentAt = this.clock.now();
    const answers = routes.map(({ channel, forWhom }) => {
      const sequence = this.#sequences.next(channel);
      const header = { nodeId, sequence, sentAt, audience: forWhom, except, copyId, isVolatile, conflateKey };
      return this.#queue.push(channel, seal(header, frame));
    });
    return answers.length === 1 ? (answers[0] as Promise<unknown>) : quietly(Promise.all(answers));
  }

  /** @param order as JSON */
  order(to: string, order: string, nodeId: string): Promise<unknown> {
    const channel = this.channels.node(to);
    const header = { nodeId, sentAt: this.clock.now(), sequence: this.#sequences.next(channel) };
    return this.#queue.push(channel, seal(header, order));
  }

  /** @param message as JSON */
  emit(event: string, message: string): Promise<unknown> {
    const channel = PRESENCE.has(event) ? this.channels.presence : this.channels.events;
    return this.#queue.push(channel, writeEvent(event, message));
  }

  /** What was published in this turn goes out now. */
  readonly flush = (): void => {
    this.#corked?.uncork();
    this.#corked = undefined;
  };

  /** Resolves when everything has been handed to Redis. */
  drained(): Promise<void> {
    this.flush();
    return this.#queue.drained();
  }

  /** What waits for its turn isn't handed over any more. */
  abandon(reason: string): void {
    this.#queue.abandon(reason);
  }

  /**
   * Each channel a delivery goes out on, and what its header must add where the channel doesn't say whom it is for. Nobody has
   * a name with half of a surrogate pair: its channel would be another name's.
   */
  #routes(audience: Audience): Route[] {
    switch (audience.kind) {
      case 'all':
        return [{ channel: this.channels.all }];
      case 'rooms': {
        const roomNames = [...new Set(audience.roomNames)].filter(isWellFormed);
        // A member of two rooms must get one copy: each envelope names all rooms, the first to arrive serves them.
        const forWhom: Audience | undefined = roomNames.length > 1 ? { kind: 'rooms', roomNames } : undefined;
        return roomNames.map((name) => ({ channel: this.channels.interest({ kind: 'room', name }), forWhom }));
      }
      case 'users': {
        const names = [...new Set(audience.userIds.map(String))].filter(isWellFormed);
        return names.map((name) => ({ channel: this.channels.interest({ kind: 'user', name }) }));
      }
      case 'clients': {
        const groups = [...groupByNode(audience.clientIds)].filter(([nodeId]) => !this.#isOwn(nodeId));
        return groups.map(([nodeId, clientIds]) => ({
          channel: this.channels.node(nodeId),
          forWhom: { kind: 'clients', clientIds },
        }));
      }
      default:
        return audience satisfies never;
    }
  }

  #send(channel: string, payload: string | Buffer): Promise<unknown> {
    const connection = this.#connection();
    if (!connection) return refused('the bus was stopped');
    return isCluster(connection)
      ? this.#publishSharded(channel, payload, connection)
      : this.#publishCorked(channel, payload, connection);
  }

  /** Not a pipeline: its promises outlive it by several collections, which then cost more than all the rest. */
  #publishCorked(channel: string, payload: string | Buffer, connection: Redis): Promise<unknown> {
    const { stream } = connection;
    // There is none before a connection of the application's own is used for the first time.
    if (stream && stream !== this.#corked) {
      this.flush();
      stream.cork();
      this.#corked = stream;
      setImmediate(guarded('publishing', this.#lost, this.flush));
    }
    return connection.publish(channel, payload);
  }

  #publishSharded(channel: string, payload: string | Buffer, connection: Cluster): Promise<unknown> {
    if (this.channels.isInterest(channel)) return connection.spublish(channel, payload);
    // A PUBLISH may go to any master and ioredis takes turns: what one is told, and then another, changes places.
    const master = connection.nodes('master').find(({ status }) => status === 'ready');
    return (master ?? connection).publish(channel, payload);
  }
}

/** Its failure is told to whoever asks, and is no unhandled rejection when nobody does. */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

function groupByNode(clientIds: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const clientId of new Set(clientIds)) {
    const nodeId = nodeIdOf(clientId);
    if (nodeId === undefined) continue;
    const group = groups.get(nodeId);
    if (group) group.push(clientId);
    else groups.set(nodeId, [clientId]);
  }
  return groups;
}
