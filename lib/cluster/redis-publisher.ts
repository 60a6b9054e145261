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

/** Puts deliveries, orders and events into words, for a node as for a process without sockets. Rejects when Redis does. */
export class RedisPublisher {
  readonly #sequences = new OutgoingSequences();
  #lastCopyId = 0;
  #batch: Batch | undefined;

  constructor(
    private readonly channels: Channels,
    private readonly clock: SharedClock,
    /** Whose clients are here, and not to be reached by way of the bus. */
    private readonly isOwn: (nodeId: string) => boolean = () => false,
  ) {}

  async publish(
    { audience, except, frame, isVolatile, conflateKey }: Delivery,
    nodeId: string,
    connection: RedisConnection,
  ): Promise<void> {
    const routes = this.#routes(audience);
    const copyId = routes.length > 1 ? ++this.#lastCopyId : undefined;
    const sentAt = this.clock.now();
    const sent = routes.map(({ channel, forWhom }) => {
      const sequence = this.#sequences.next(channel);
      return this.#send(
        channel,
        seal({ nodeId, sequence, sentAt, audience: forWhom, except, copyId, isVolatile, conflateKey }, frame),
        connection,
      );
    });
    await Promise.all(sent);
  }

  async order(to: string, order: unknown, nodeId: string, connection: RedisConnection): Promise<void> {
    const channel = this.channels.node(to);
    const header = { nodeId, sentAt: this.clock.now(), sequence: this.#sequences.next(channel) };
    await this.#send(channel, seal(header, Buffer.from(JSON.stringify(order))), connection);
  }

  async emit(event: string, message: unknown, connection: RedisConnection): Promise<void> {
    await this.#send(this.channels.event(event), Buffer.from(JSON.stringify(message) ?? 'null'), connection);
  }

  /** What was published in this turn goes out now. */
  flush(): void {
    this.#batch?.send();
  }

  #batchFor(connection: RedisConnection): Batch {
    if (this.#batch?.connection !== connection) {
      this.#batch?.send();
      const batch = (this.#batch = new Batch(connection, () => {
        if (this.#batch === batch) this.#batch = undefined;
      }));
    }
    return this.#batch;
  }

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
        const groups = [...groupByNode(audience.clientIds)].filter(([nodeId]) => !this.isOwn(nodeId));
        return groups.map(([nodeId, clientIds]) => ({
          channel: this.channels.node(nodeId),
          forWhom: { kind: 'clients', clientIds },
        }));
      }
      default:
        return audience satisfies never;
    }
  }

  #send(channel: string, payload: Buffer, connection: RedisConnection): Promise<unknown> {
    if (!isCluster(connection)) return this.#batchFor(connection).add(channel, payload);
    if (this.channels.isInterest(channel)) return connection.spublish(channel, payload);
    // A PUBLISH may go to any master and ioredis takes turns: what one is told, and then another, changes places.
    const master = connection.nodes('master').find(({ status }) => status === 'ready');
    return (master ?? connection).publish(channel, payload);
  }
}

/** What is published in one turn of the event loop goes to Redis in one write. */
class Batch {
  readonly #pipeline;
  readonly #answered: Promise<void>;
  #isSent = false;
  #answer!: (answers: Promise<void>) => void;

  constructor(
    readonly connection: RedisConnection,
    private readonly ended: () => void,
  ) {
    this.#pipeline = connection.pipeline();
    this.#answered = new Promise((resolve) => (this.#answer = resolve));
    setImmediate(() => this.send());
  }

  add(channel: string, payload: Buffer): Promise<void> {
    this.#pipeline.publish(channel, payload);
    return this.#answered;
  }

  send(): void {
    if (this.#isSent) return;
    this.#isSent = true;
    this.ended();
    this.#answer(this.#exec());
  }

  async #exec(): Promise<void> {
    for (const [error] of (await this.#pipeline.exec()) ?? []) if (error) throw error;
  }
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
