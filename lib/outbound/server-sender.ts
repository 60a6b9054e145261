import type { Cluster } from '../cluster/cluster.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import type { Audience } from '../protocol/delivery.js';
import type { WebSocketMessage } from '../protocol/message.js';
import { disconnectUserHere } from '../clients/bus-events.js';
import type { WebSocketClientManager } from '../clients/client-manager.js';
import type { Outgoing } from './outgoing.js';
import type { SendOptions } from '../protocol/delivery.js';
import type { RoomPublisher } from '../history/room-publisher.js';
import type { Presence } from '../presence/presence.js';
import type { Sender } from './sender.js';

/**
 * Sends to this node's sockets at once, and to the other nodes over the bus. Mistakes of the caller are thrown
 * synchronously.
 */
export class ServerSender implements Sender {
  constructor(
    private readonly outgoing: Outgoing,
    private readonly cluster: Cluster,
    private readonly clients: WebSocketClientManager,
    readonly history: RoomPublisher | undefined,
    readonly presence: Presence | undefined,
  ) {}

  /** @throws {InvalidMessageError} @throws {NotSerializableError} */
  send(audience: Audience, message: WebSocketMessage, options?: SendOptions): Promise<unknown> {
    return this.outgoing.send(audience, message, options);
  }

  /** @throws {NotSerializableError} */
  emit(channel: string, data: unknown): Promise<unknown> {
    return this.cluster.raise(channel, data);
  }

  disconnect(clientId: string, code: number | undefined, reason: string | undefined): Promise<unknown> {
    this.clients.disconnectClient(clientId, { code, reason });
    return Promise.resolve();
  }

  disconnectUser(userId: string | number, code: number, reason: string): Promise<unknown> {
    disconnectUserHere(this.clients, userId, { code, reason });
    return this.cluster.emit(Event.DisconnectUser, { userId, code, reason });
  }
}
