import type { Cluster, Redis } from 'ioredis';
import type { Audience, Delivery } from '../protocol/delivery.js';
import { type Channels, nodeIdOf } from './channels.js';
import { seal } from './envelope.js';
import { isCluster, type RedisConnection } from './redis-connections.js';
import type { SharedClock } from './shared-clock.js';
import { OutgoingSequences } from './sequences.js';

interface Route {
  channel: string;
  forWhom?: Audience;
}

/** Told of every publication. */
export interface PublicationTally {
  /** It was handed to Redis: so many bytes, or characters of text. */
  sent(size: number): void;
  /** Redis has taken it, or not. */
  answered(size: number, isTaken: boolean): void;
}

const NO_TALLY: PublicationTally = { sent: () => undefined, answered: () => undefined };

export interface RedisPublisherOptions {
  /** Whose clients are here, and not to be reached by way of the bus. @default nobody's */
  isOwn?: (nodeId: string) => boolean;
  tally?: PublicationTally;
}

/**
 * Puts deliveries, orders and events into words, for a node as for a process without sockets. All that is published in one
 * turn of the event loop goes to Redis in one write. What a method returns settles with Redis's answer; it may be ignored.
 */
export class RedisPublisher {
  readonly #sequences = new OutgoingSequences();
  readonly #isOwn: (nodeId: string) => boolean;
  readonly #tally: PublicationTally;
  #lastCopyId = 0;
  /** What is written to it waits for the end of the turn. */
  #corked: Pick<Redis['stream'], 'cork' | 'uncork'> | undefined;

  constructor(
    private readonly channels: Channels,
    private readonly clock: SharedClock,
    { isOwn = () => false, tally = NO_TALLY }: RedisPublisherOptions = {},
  ) {
    this.#isOwn = isOwn;
    this.#tally = tally;
  }

  publish(
    { audience, except, frame, isVolatile, conflateKey }: Delivery,
    nodeId: string,
    connection: RedisConnection,
  ): Promise<unknown> {
    const routes = this.#routes(audience);
    const copyId = routes.length > 1 ? ++this.#lastCopyId : undefined;
    const sentAt = this.clock.now();
    const answers = routes.map(({ channel, forWhom }) => {
      const sequence = this.#sequences.next(channel);
      const header = { nodeId, sequence, sentAt, audience: forWhom, except, copyId, isVolatile, conflateKey };
      return this.#send(channel, seal(header, frame), connection);
    });
    return answers.length === 1 ? (answers[0] as Promise<unknown>) : quietly(Promise.all(answers));
  }

  /** @param order as JSON */
  order(to: string, order: string, nodeId: string, connection: RedisConnection): Promise<unknown> {
    const channel = this.channels.node(to);
    const header = { nodeId, sentAt: this.clock.now(), sequence: this.#sequences.next(channel) };
    return this.#send(channel, seal(header, order), connection);
  }

  /** @param message as JSON */
  emit(event: string, message: string, connection: RedisConnection): Promise<unknown> {
    return this.#send(this.channels.event(event), message, connection);
  }

  /** What was published in this turn goes out now. */
  readonly flush = (): void => {
    this.#corked?.uncork();
    this.#corked = undefined;
  };

  /** Each channel a delivery goes out on, and what its header must add where the channel doesn't say whom it is for. */
  #routes(audience: Audience): Route[] {
    switch (audience.kind) {
      case 'all':
        return [{ channel: this.channels.all }];
      case 'rooms': {
        const roomNames = [...new Set(audience.roomNames)];
        // A member of two rooms must get one copy: each envelope names all rooms, the first to arrive serves them.
        const forWhom: Audience | undefined = roomNames.length > 1 ? { kind: 'rooms', roomNames } : undefined;
        return roomNames.map((name) => ({ channel: this.channels.interest({ kind: 'room', name }), forWhom }));
      }
      case 'users': {
        const names = [...new Set(audience.userIds.map(String))];
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

  #send(channel: string, payload: string | Buffer, connection: RedisConnection): Promise<unknown> {
    const size = payload.length;
    this.#tally.sent(size);
    const answer = isCluster(connection)
      ? this.#publishSharded(channel, payload, connection)
      : this.#publishCorked(channel, payload, connection);
    answer.then(
      () => this.#tally.answered(size, true),
      () => this.#tally.answered(size, false),
    );
    return answer;
  }

  /** Not a pipeline: its promises outlive it by several collections, which then cost more than all the rest. */
  #publishCorked(channel: string, payload: string | Buffer, connection: Redis): Promise<unknown> {
    const { stream } = connection;
    // There is none before a connection of the application's own is used for the first time.
    if (stream && stream !== this.#corked) {
      this.flush();
      stream.cork();
      this.#corked = stream;
      setImmediate(this.flush);
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
