import type { ClientRecord } from '../cluster/client-record.js';
import type { LocalChange } from '../cluster/change-feed.js';
import type { Cluster } from '../cluster/cluster.js';
import type { WebSocketUser } from '../protocol/message.js';
import { isUserId } from '../protocol/names.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import type { Outgoing } from '../outbound/outgoing.js';
import type { Presence } from '../presence/presence.js';
import type { ClientListChanges } from './client-list.js';
import type { OtherNodes } from './other-nodes.js';
import type { RegisteredClient } from './registered-client.js';
import type { RoomChange } from './room-table.js';

/**
 * Where a change comes from. `here`: server code, on this node or by an order of another. `asked`: the client itself,
 * which gets a reply. `elsewhere`: the node that has the client.
 */
export type Origin = 'here' | 'asked' | 'elsewhere';

/** All changes of one client at one moment. */
export interface ClientChange {
  readonly client: RegisteredClient;
  /** The user before. Undefined if the user is the same. */
  readonly userBefore?: WebSocketUser | null | undefined;
  /** The new value of each changed metadata key. Undefined means removed. */
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly rooms: RoomChange;
  /** `moved`: only one room is allowed, and the client joined another. */
  readonly whyLeft: 'removed' | 'moved';
  /** False if the public client list needn't show it yet. */
  readonly isListed: boolean;
}

/** The only place that passes changes on: to delivery, the cluster, the client itself and the public list. */
export class ClientChanges {
  constructor(
    private readonly local: LocalDelivery,
    private readonly cluster: Cluster,
    private readonly outgoing: Outgoing,
    private readonly list: ClientListChanges,
    private readonly others: OtherNodes,
    /** Undefined without rooms with presence. */
    private readonly presence: Presence | undefined,
  ) {}

  added({ clientId, ws, user }: RegisteredClient): void {
    if (ws) {
      this.local.add(clientId, ws);
      if (user) this.local.identify(clientId, user.userId);
    }
    this.list.changed('connected');
  }

  /** The hooks of a client of this node have finished, so the other nodes may know it. */
  connected(client: RegisteredClient): void {
    this.cluster.changed({ ...factsOf(client), came: 'connected' });
  }

  changed(change: ClientChange, origin: Origin): void {
    const { client, rooms } = change;
    if (rooms.joined.length > 0) client.roomName = rooms.joined.at(-1) as string;
    else if (rooms.left.length > 0) client.roomName = client.rooms.at(-1) ?? null;
    if (origin !== 'elsewhere' && client.ws) {
      this.#tellDelivery(change);
      if (this.presence) this.#tellPresence(change, this.presence);
      this.#tellCluster(change, origin === 'asked');
      if (origin === 'here' || change.whyLeft === 'moved') this.#tellClient(change);
    } else if (origin !== 'elsewhere') this.#order(change);
    this.#tellList(change);
  }

  /** @param left the rooms it was in */
  removed(client: RegisteredClient, { left }: RoomChange, origin: Origin): void {
    const { clientId, user, ws } = client;
    if (ws) this.presence?.ended(client, left, false);
    client.roomName = null;
    for (const roomName of left) this.local.leave(clientId, roomName);
    if (user) this.local.unidentify(clientId, user.userId);
    this.local.remove(clientId);
    if (ws && origin !== 'elsewhere') {
      const moves = left.map((roomName) => ({ roomName, isIn: false }));
      this.cluster.changed({ ...factsOf(client), describe: undefined, moves });
    }
    this.list.changed('disconnected');
  }

  /** A client of this node sent its session: for others it may be another user now. */
  named(client: RegisteredClient): void {
    this.presence?.identified(client);
  }

  /** The connection of the client will end, and nobody waits for the client to come back. */
  dismissed(client: RegisteredClient): void {
    this.presence?.ended(client, client.rooms, true);
  }

  #tellDelivery({ client: { clientId, user }, userBefore, rooms }: ClientChange): void {
    // With the same id, its channel would be left and joined again.
    if (userBefore !== undefined && String(userBefore?.userId) !== String(user?.userId)) {
      if (userBefore) this.local.unidentify(clientId, userBefore.userId);
      if (user) this.local.identify(clientId, user.userId);
    }
    for (const roomName of rooms.left) this.local.leave(clientId, roomName);
    for (const roomName of rooms.joined) this.local.join(clientId, roomName);
  }

  #tellPresence({ client, userBefore, rooms }: ClientChange, presence: Presence): void {
    for (const roomName of rooms.left) presence.left(client.clientId, roomName);
    for (const roomName of rooms.joined) presence.joined(client, roomName);
    if (userBefore !== undefined) presence.identified(client);
  }

  #tellCluster({ client, userBefore, metadata, rooms }: ClientChange, isAsked: boolean): void {
    this.cluster.changed({
      ...factsOf(client),
      moves: [
        ...rooms.left.map((roomName) => ({ roomName, isIn: false })),
        ...rooms.joined.map((roomName) => ({ roomName, isIn: true })),
      ],
      hasOtherUser: userBefore !== undefined,
      keys: metadata.keys(),
      isAsked,
    });
  }

  #tellClient({ client: { clientId }, rooms, whyLeft }: ClientChange): void {
    for (const roomName of rooms.left) {
      const message = { type: 'system', action: 'leftRoom', data: { roomName, reason: whyLeft } };
      this.outgoing.toThisNode({ kind: 'clients', clientIds: [clientId] }, message, { volatile: false });
    }
  }

  /** Sends a change that server code made here to the client's own node. */
  #order({ client: { clientId }, metadata, rooms }: ClientChange): void {
    for (const [key, data] of metadata) this.others.tell({ op: 'update', clientId, key, data }, 'updateClient');
    for (const roomName of rooms.left) this.others.tell({ op: 'leave', clientId, roomName }, 'removeClientFromRoom');
    for (const roomName of rooms.joined)
      this.others.tell({ op: 'join', clientId, request: { roomName } }, 'addClientToRoom');
  }

  #tellList({ userBefore, metadata, rooms, isListed }: ClientChange): void {
    if (userBefore !== undefined || this.list.shows(metadata.keys())) this.list.changed('updated');
    if (isListed && (rooms.joined.length > 0 || rooms.left.length > 0)) this.list.changed('rooms');
  }
}

/** What every node knows about a client. */
export function recordOf(client: RegisteredClient): ClientRecord {
  const { clientId, user, rooms, lastActivity } = client;
  return { clientId, user, metadata: client.metadata(), rooms, lastActivity };
}

const factsOf = (client: RegisteredClient): Pick<LocalChange, 'clientId' | 'userId' | 'describe'> => ({
  clientId: client.clientId,
  userId: userIdOf(client),
  describe: () => recordOf(client),
});

/** The application may have replaced the user by anything. */
function userIdOf({ user }: RegisteredClient): string | number | undefined {
  try {
    return isUserId(user?.userId) ? user.userId : undefined;
  } catch {
    return undefined; // a getter threw
  }
}
