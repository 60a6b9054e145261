import type { Cluster } from '../cluster/cluster.js';
import type { ClientRecord, ReplicaView } from '../cluster/replica.js';
import { guarded } from '../guarded.js';
import { encode } from '../json-value.js';
import { isUserId } from '../protocol/names.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import type { WebSocketUser } from '../protocol/message.js';
import type { RoomListener, WebSocketRoomManager } from './room-manager.js';
import type { ClientListener, WebSocketClientManager } from './client-manager.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import type { RegisteredClient } from './registered-client.js';

export interface PresenceHost {
  readonly clients: WebSocketClientManager;
  readonly rooms: WebSocketRoomManager;
  readonly local: LocalDelivery;
  readonly cluster: Cluster;
  /** Closes a socket of this node and forgets its client. */
  closeHere(client: RegisteredClient, code: number, reason: string): void;
  /** A client of another node. */
  isElsewhere(clientId: string): boolean;
  sendTo(clientId: string, message: { type: string; action: string; data: unknown }): void;
  listChanged(event?: string, isWanted?: boolean): void;
  failed(error: unknown, place: string): void;
}

/**
 * Keeps what is known of clients in step: the managers (everybody), the delivery's lists (this node's sockets) and the
 * cluster. A change of a client of this node goes out to the others; what they tell of theirs comes in here; a change that
 * this node wants of a client elsewhere becomes an order to its node.
 */
export class ClientSync implements ClientListener, RoomListener, ReplicaView {
  /** What happens now is told by another node, and no news to it. */
  #isReplicating = false;
  /** What happens now was asked for by the client: its reply says so, a push would say it twice. */
  #isAskedFor = false;
  /** The client that is leaving just now. */
  #leaving: string | undefined;

  constructor(private readonly host: () => PresenceHost) {}

  /** A client of this node is ready to be known. */
  connected(client: RegisteredClient): void {
    const { clientId, lastActivity } = client;
    this.host().cluster.changed(clientId, () => recordOf(client), Event.ClientConnected, {
      ...userOf(client),
      lastActivity,
    });
  }

  /** A client of this node is gone. */
  disconnected(client: RegisteredClient): void {
    const { clients, rooms, cluster } = this.host();
    const { clientId } = client;
    const wasKnown = clients.getClient({ clientId }) === client;
    this.#leaving = clientId;
    rooms.removeClientFromAllRooms({ clientId });
    this.#leaving = undefined;
    clients.removeClient(clientId);
    if (wasKnown) cluster.changed(clientId, undefined, Event.ClientDisconnected, userOf(client));
  }

  leaveByItself({ clientId }: { clientId: string }, roomName: string): void {
    this.#isAskedFor = true;
    try {
      this.host().rooms.removeClientFromRoom({ clientId, roomName });
    } finally {
      this.#isAskedFor = false;
    }
  }

  /** The clients of this node, for the registry. */
  *ownRecords(): Iterable<ClientRecord> {
    const { clients, local } = this.host();
    for (const clientId of local.clientIds()) {
      const client = clients.getClient({ clientId });
      if (client) yield recordOf(client as RegisteredClient);
    }
  }

  added({ clientId, ws, user }: RegisteredClient): void {
    const { local } = this.host();
    if (!ws) return;
    local.add(clientId, ws);
    if (user) local.identify(clientId, user.userId);
  }

  removed({ clientId, user }: RegisteredClient): void {
    const { local } = this.host();
    if (user) local.unidentify(clientId, user.userId);
    local.remove(clientId);
  }

  identified(client: RegisteredClient, before: WebSocketUser | null): void {
    const { local, cluster } = this.host();
    const { clientId, user } = client;
    if (!local.has(clientId)) return;
    if (String(before?.userId) !== String(user?.userId)) {
      // else its channel would be left and joined again
      if (before) local.unidentify(clientId, before.userId);
      if (user) local.identify(clientId, user.userId);
    }
    cluster.changed(clientId, () => recordOf(client));
  }

  updated(client: RegisteredClient, key: string, data: unknown): void {
    const { local, cluster } = this.host();
    const { clientId } = client;
    if (this.#isReplicating) return;
    if (local.has(clientId)) cluster.changed(clientId, () => recordOf(client));
    else this.#order(cluster.order({ op: 'update', clientId, key, data }), 'updateClient');
  }

  disconnect(client: RegisteredClient, code: number, reason: string): void {
    const { local, cluster, closeHere } = this.host();
    const { clientId } = client;
    if (local.has(clientId)) return closeHere(client, code, reason);
    this.remove(clientId);
    this.#order(cluster.order({ op: 'disconnect', clientId, code, reason }), 'disconnectClient');
  }

  disconnectUnknown(clientId: string, code: number, reason: string): void {
    const { cluster, isElsewhere } = this.host();
    if (isElsewhere(clientId))
      this.#order(cluster.order({ op: 'disconnect', clientId, code, reason }), 'disconnectClient');
  }

  listChanged(event?: string, isWanted?: boolean): void {
    this.host().listChanged(event, isWanted);
  }

  joined(clientId: string, roomName: string, user: unknown): void {
    const { clients, local, cluster } = this.host();
    const client = clients.getClient({ clientId }) as RegisteredClient | undefined;
    if (!client) return;
    client.roomName = roomName;
    if (this.#isReplicating) return;
    if (!local.has(clientId)) {
      this.#order(cluster.order({ op: 'join', clientId, request: { roomName } }), 'addClientToRoom');
      return;
    }
    local.join(clientId, roomName);
    if (!client.user && isUser(user)) clients.setUser({ clientId, user });
    cluster.changed(clientId, () => recordOf(client), Event.ClientJoinedRoom, { roomName, ...userOf(client) });
  }

  left(clientId: string, roomName: string, reason: 'removed' | 'moved'): void {
    const { clients, rooms, local, cluster, sendTo } = this.host();
    const client = clients.getClient({ clientId }) as RegisteredClient | undefined;
    if (!client) return;
    client.roomName = rooms.getClientRooms({ clientId }).at(-1) ?? null;
    if (this.#isReplicating) return;
    if (!local.has(clientId)) {
      this.#order(cluster.order({ op: 'leave', clientId, roomName }), 'removeClientFromRoom');
      return;
    }
    local.leave(clientId, roomName);
    const facts = { roomName, ...userOf(client) };
    if (this.#leaving === clientId) return cluster.tell(clientId, Event.ClientLeftRoom, facts);
    cluster.changed(clientId, () => recordOf(client), Event.ClientLeftRoom, facts);
    if (!this.#isAskedFor) sendTo(clientId, { type: 'system', action: 'leftRoom', data: { roomName, reason } });
  }

  changed(): void {
    this.host().listChanged('rooms');
  }

  /** Another node has this client, so. */
  put(record: ClientRecord): void {
    const { clientId, user, metadata, rooms, lastActivity } = record;
    const { clients, rooms: roomManager, local, cluster } = this.host();
    if (local.has(clientId)) return; // it can't be there: it is here
    this.#replicate(() => {
      const known = clients.getClient({ clientId }) as RegisteredClient | undefined;
      const client = known ?? clients.addClient({ clientId, ws: null, lastActivity, user });
      if (!known) {
        client.serveBy({
          ask: async (type, action, data, timeoutMs = 10_000) => {
            encode({ data }); // as the client's own node would
            return cluster.order({ op: 'request', clientId, type, action, data, timeoutMs }, timeoutMs + 1_000);
          },
        });
      } else if (known.user?.userId !== user?.userId) clients.setUser({ clientId, user });
      else known.user = user; // its claims may be newer
      for (const key of Object.keys(client.metadata())) {
        if (!Object.hasOwn(metadata, key)) clients.updateClient({ clientId, key, data: undefined });
      }
      for (const [key, data] of Object.entries(metadata)) {
        this.#tolerate(() => clients.updateClient({ clientId, key, data }));
      }
      const wanted = new Set(rooms);
      for (const roomName of client.rooms) {
        if (!wanted.has(roomName)) roomManager.removeClientFromRoom({ clientId, roomName });
      }
      for (const roomName of wanted) this.#tolerate(() => roomManager.addClientToRoom({ clientId, roomName }));
    });
  }

  /** Another node no longer has this client. */
  remove(clientId: string): void {
    const { clients, rooms, local } = this.host();
    if (local.has(clientId)) return;
    this.#replicate(() => {
      rooms.removeClientFromAllRooms({ clientId });
      clients.removeClient(clientId);
    });
  }

  /** What another node says must not break this one. */
  #replicate(change: () => void): void {
    this.#isReplicating = true;
    this.#tolerate(change);
    this.#isReplicating = false;
  }

  /** A name that isn't allowed here is passed over and reported; the rest is taken. */
  #tolerate(change: () => void): void {
    guarded('the registry', (error, place) => this.host().failed(error, place), change)();
  }

  #order(order: Promise<unknown>, place: string): void {
    order.catch((error: unknown) => this.host().failed(error, `${place} on another node`));
  }
}

function recordOf(client: RegisteredClient): ClientRecord {
  const { clientId, user, rooms, lastActivity } = client;
  return { clientId, user, metadata: client.metadata(), rooms, lastActivity };
}

const userOf = ({ user }: RegisteredClient): { userId?: string | number } => (user ? { userId: user.userId } : {});

const isUser = (value: unknown): value is WebSocketUser =>
  typeof value === 'object' && value !== null && isUserId((value as Partial<WebSocketUser>).userId);
