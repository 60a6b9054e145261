import { Logger } from '@nestjs/common';
import type { Clock } from './clock.js';
import { obeyEvent } from './clients/bus-events.js';
import type { WebSocketClientManager } from './clients/client-manager.js';
import type { Clients } from './clients/clients.js';
import { describeForNode, type OrdersOfOthers } from './clients/orders-of-others.js';
import { JunkError } from './cluster/bus-input.js';
import type { ClientNews } from './cluster/client-news.js';
import type { IsFirst } from './cluster/copies.js';
import type { ClientRecord } from './cluster/client-record.js';
import type { Cluster } from './cluster/cluster.js';
import type { ClusterReceiver } from './cluster/cluster-receiver.js';
import type { Order } from './cluster/orders.js';
import { USER_EVENTS, CLIENT_EVENTS } from './cluster/event-groups.js';
import type { Subscribers } from './cluster/subscribers.js';
import type { Logs } from './history/compose-logs.js';
import type { History } from './history/history.js';
import type { RoomPublisher } from './history/room-publisher.js';
import type { IdempotentCalls } from './idempotency/idempotent-calls.js';
import type { Listeners } from './observe/listeners.js';
import type { ResolvedOptions } from './options/resolve-options.js';
import type { LocalDelivery } from './outbound/local-delivery.js';
import type { Outgoing } from './outbound/outgoing.js';
import type { People } from './presence/compose-presence.js';
import type { Delivery } from './protocol/delivery.js';
import { WebSocketRedisSubscriberEvent as Event } from './protocol/events.js';

export interface NodeParts {
  readonly options: Pick<ResolvedOptions, 'redis' | 'registry'>;
  readonly cluster: Cluster;
  readonly clients: Clients;
  readonly manager: WebSocketClientManager;
  readonly orders: OrdersOfOthers;
  readonly local: LocalDelivery;
  readonly outgoing: Outgoing;
  /** These three are undefined without rooms with history. */
  readonly logs: Logs | undefined;
  readonly history: History | undefined;
  readonly publisher: RoomPublisher | undefined;
  /** Undefined without rooms with presence. */
  readonly people: People | undefined;
  readonly subscribers: Subscribers;
  readonly listeners: Listeners;
  /** The replies to messages with a key. */
  readonly replies: IdempotentCalls;
  readonly clock: Pick<Clock, 'after'>;
}

/** A start that waits for Redis longer than this says so, in ms. */
const SAYS_SO_AFTER_MS = 2_000;

/** This server as a node: takes part in the cluster, and passes on what comes from other nodes. */
export class ServerNode implements ClusterReceiver {
  readonly describe = describeForNode;

  constructor(private readonly parts: NodeParts) {}

  /** Resolves when other nodes can be reached. */
  async start(): Promise<void> {
    const { options, cluster, logs, history, people, replies, clock } = this.parts;
    const startedInTime = clock.after(SAYS_SO_AFTER_MS, () => {
      if (options.redis)
        new Logger('WebSocketServer').warn('The start waits for Redis. Check that it runs, and the option "redis".');
    });
    try {
      await cluster.start(this, this.#wantedEvents());
      await Promise.all([logs?.start(), people?.start(), replies.start()]);
    } catch (error) {
      await this.stop().catch(() => undefined); // the first error says more
      throw error;
    } finally {
      startedInTime();
    }
    history?.start();
  }

  /** Ends a start that waits for a Redis that may never come. */
  async abandonStart(): Promise<void> {
    const { options, cluster } = this.parts;
    if (options.redis && cluster.state === 'starting') await cluster.stop();
  }

  /** Tells the other nodes that the clients of this one are leaving. */
  leave(): Promise<void> {
    return this.parts.cluster.leave();
  }

  /** Waits for what handlers still do for messages with a key. @param ms at most */
  finish(ms: number): Promise<void> {
    return this.parts.replies.finish(ms);
  }

  async stop(): Promise<void> {
    const { cluster, logs, people, clients, replies } = this.parts;
    await Promise.all([logs?.stop(), people?.stop(), replies.stop()]);
    await cluster.stop();
    clients.clear();
  }

  put(record: ClientRecord, news?: ClientNews): void {
    this.parts.clients.put(record, news);
  }

  remove(clientId: string): void {
    this.parts.clients.remove(clientId, 'elsewhere');
  }

  ownRecords(): Iterable<ClientRecord> {
    return this.parts.clients.ownRecords();
  }

  ownRecord(clientId: string): ClientRecord | undefined {
    return this.parts.clients.ownRecord(clientId);
  }

  deliver(delivery: Delivery, isFirst?: IsFirst): void {
    this.parts.publisher?.refuseUnnumbered(delivery);
    this.parts.local.deliver(delivery, isFirst);
  }

  event(channel: string, message: unknown, bytes?: Uint8Array): void {
    const { outgoing, manager, people, listeners } = this.parts;
    obeyEvent({ channel, message, bytes }, outgoing, manager, people?.presence);
    listeners.event(channel, message);
  }

  hears(event: string): boolean {
    return this.parts.subscribers.hears(event);
  }

  logged(roomName: string, text: string): void {
    const { logs, people } = this.parts;
    if (!logs?.heard(roomName, text) && !people?.heard(roomName, text))
      throw new JunkError(`The log of the room "${roomName}" announced something invalid.`);
  }

  reconnected(): void {
    this.parts.logs?.readers.catchUp();
    this.parts.people?.catchUp();
  }

  obey(order: Order): Promise<unknown> {
    return this.parts.orders.obey(order);
  }

  /** Without other nodes, or without a copy of them, events of clients are only received if a subscriber asks for them. */
  #wantedEvents(): string[] {
    const { options, subscribers } = this.parts;
    const events = Object.values(Event);
    const needsPresence = (options.redis && options.registry === 'replicated') || subscribers.wantsAll;
    const own = events.filter(
      (event) => (needsPresence || !CLIENT_EVENTS.has(event)) && (subscribers.wantsAll || !USER_EVENTS.has(event)),
    );
    return [...new Set([...own, ...subscribers.channels])];
  }
}
