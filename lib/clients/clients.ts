import type { Clock } from '../clock.js';
import type { ClientNews } from '../cluster/client-news.js';
import type { ClientRecord } from '../cluster/client-record.js';
import type { ReplicaView } from '../cluster/replica.js';
import type { ServerSocket } from '../connection/server-socket.js';
import { closeSocket } from '../connection/closing.js';
import { ClientNotFoundError } from '../errors.js';
import { keepable } from '../json-value.js';
import type { WebSocketUser } from '../protocol/message.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import { type ClientChange, type ClientChanges, type Origin, recordOf } from './client-changes.js';
import type { ClientListChanges } from './client-list.js';
import type { ClientTable } from './client-table.js';
import { JoinsUnderWay } from './joins-under-way.js';
import type { OtherNodes } from './other-nodes.js';
import type { ClientOwner, RoomOwner } from './owners.js';
import { type ClientSurroundings, type NewClient, RegisteredClient } from './registered-client.js';
import { NO_CHANGE, type RoomChange, type RoomTable } from './room-table.js';
import { isSameUser, isUser, keepableUser } from './users.js';

/** A join, with the data about the client that comes with it. */
export interface Joining {
  readonly roomName: string;
  /** The new user. Undefined if it stays the same. */
  readonly user?: WebSocketUser | undefined;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** @default true */
  readonly isListed?: boolean;
}

export interface ClientsParts {
  readonly table: ClientTable;
  readonly rooms: RoomTable;
  readonly surroundings: ClientSurroundings;
  readonly changes: ClientChanges;
  readonly list: ClientListChanges;
  readonly local: Pick<LocalDelivery, 'clientIds'>;
  readonly others: OtherNodes;
  readonly clock: Pick<Clock, 'after'>;
  failed(error: unknown, place: string): void;
}

const NOTHING: Pick<ClientChange, 'metadata' | 'rooms' | 'whyLeft' | 'isListed'> = {
  metadata: new Map(),
  rooms: NO_CHANGE,
  whyLeft: 'removed',
  isListed: true,
};

/**
 * Owns all that is known about clients: who is connected, with which user, metadata and rooms, on this node and on the
 * other nodes. Each method changes the tables and passes the change on, once.
 */
export class Clients implements ClientOwner, RoomOwner, ReplicaView {
  readonly table: ClientTable;
  readonly rooms: RoomTable;
  readonly joins = new JoinsUnderWay();

  constructor(private readonly parts: ClientsParts) {
    this.table = parts.table;
    this.rooms = parts.rooms;
  }

  /** Replaces a client with the same id. @throws {NotSerializableError} */
  add(record: NewClient, origin: Origin): RegisteredClient {
    const client = new RegisteredClient(record, this.parts.surroundings);
    this.remove(client.clientId, origin);
    this.table.add(client);
    this.parts.changes.added(client);
    return client;
  }

  /** The hooks of a client of this node have finished, so the other nodes may know it. */
  connected(client: RegisteredClient): void {
    this.parts.changes.connected(client);
  }

  /**
   * Removes a client from its rooms and from the tables, but leaves its socket as it is. Does nothing for an unknown
   * id.
   */
  remove(clientId: string, origin: Origin = 'elsewhere'): void {
    const client = this.table.get(clientId);
    if (!client || (client.ws && origin === 'elsewhere')) return; // another node can't have it: it is here
    this.table.remove(clientId);
    this.parts.changes.removed(client, this.rooms.leaveAll(clientId), origin);
  }

  /** Closes a client's socket on any node, and removes the client at once. */
  disconnect(clientId: string, code: number, reason: string): void {
    const client = this.table.get(clientId);
    if (client?.ws) {
      this.parts.changes.dismissed(client);
      const { connection } = client.ws as ServerSocket;
      if (connection) return connection.close(code, reason);
      closeSocket(client.ws, this.parts.clock, code, reason);
      return this.remove(clientId, 'here');
    }
    this.remove(clientId);
    this.parts.others.tellNodeOf(client, { op: 'disconnect', clientId, code, reason }, 'disconnectClient');
  }

  /** @throws {ReservedKeyError} @throws {NotSerializableError} */
  update(clientId: string, key: string, data: unknown, origin: Origin): void {
    const client = this.table.get(clientId);
    if (!client) {
      const kept = RegisteredClient.keepable(key, data);
      return void this.parts.others.tellNodeOf(client, { op: 'update', clientId, key, data: kept }, 'updateClient');
    }
    const metadata = new Map([[key, client.setMetadata(key, data)]]);
    this.parts.changes.changed({ ...NOTHING, client, metadata }, origin);
  }

  /** @throws {NotSerializableError} */
  identify(clientId: string, given: WebSocketUser | null, origin: Origin): void {
    const client = this.table.get(clientId);
    if (!client) return;
    const user = keepableUser(given);
    const userBefore = this.table.identify(client, user);
    this.parts.changes.changed({ ...NOTHING, client, userBefore }, client.ws ? origin : 'elsewhere');
  }

  /** @throws {RoomNameInvalidError} @throws {RoomLimitError} */
  checkJoin(clientId: string, roomName: string): void {
    this.rooms.check(clientId, roomName, this.table.get(clientId) !== undefined);
  }

  /**
   * Puts a client into a room and stores what the join says about it, as one change.
   * @throws {ClientNotFoundError} @throws {RoomNameInvalidError} @throws {RoomLimitError}
   */
  join(clientId: string, { roomName, user: given, metadata = {}, isListed = true }: Joining, origin: Origin): void {
    const client = this.table.get(clientId);
    if (!client) throw new ClientNotFoundError(clientId);
    this.checkJoin(clientId, roomName);
    const user = keepableUser(given);
    const userBefore = user && !isSameUser(client.user, user) ? this.table.identify(client, user) : undefined;
    const updated = new Map<string, unknown>();
    for (const [key, data] of Object.entries(metadata))
      if (!RegisteredClient.keeps(client, key, data)) updated.set(key, client.setMetadata(key, data));
    const rooms = this.rooms.join(clientId, roomName);
    if (userBefore === undefined && updated.size === 0 && rooms === NO_CHANGE) return;
    this.parts.changes.changed({ client, userBefore, metadata: updated, rooms, whyLeft: 'moved', isListed }, origin);
  }

  /** For code that only knows the client's id. Does nothing if it isn't connected. @throws like `join()` */
  joinById(clientId: string, roomName: string, given: unknown, isListed: boolean): void {
    this.checkJoin(clientId, roomName);
    const kept: unknown = keepable(given, 'user');
    const client = this.table.get(clientId);
    if (!client)
      return void this.parts.others.tellNodeOf(
        client,
        { op: 'join', clientId, request: { roomName } },
        'addClientToRoom',
      );
    if (this.rooms.has(clientId, roomName)) return;
    const user = client.ws && !client.user && isUser(kept) ? kept : undefined;
    this.join(clientId, { roomName, isListed, user }, 'here');
  }

  leave(clientId: string, roomName: string, origin: Origin, isListed = true): void {
    this.joins.left(clientId, origin, roomName);
    if (this.rooms.has(clientId, roomName))
      this.#left(clientId, isListed, origin, () => this.rooms.leave(clientId, roomName));
    else if (origin === 'here')
      this.parts.others.tellNodeOf(
        this.table.get(clientId),
        { op: 'leave', clientId, roomName },
        'removeClientFromRoom',
      );
  }

  leaveAll(clientId: string, origin: Origin): void {
    this.joins.left(clientId, origin);
    const isTold =
      origin === 'here' &&
      this.parts.others.tellNodeOf(this.table.get(clientId), { op: 'leaveAll', clientId }, 'removeClientFromAllRooms');
    this.#left(clientId, true, isTold ? 'elsewhere' : origin, () => this.rooms.leaveAll(clientId));
  }

  /** Another node's data must not break this node. */
  readonly #passedOver = (error: unknown): void => this.parts.failed(error, 'the registry');

  /** Stores what another node says about its client. */
  put(record: ClientRecord, news?: ClientNews): void {
    if (this.table.get(record.clientId)?.ws) return; // another node can't have it: it is here
    try {
      this.#adopt(record, news);
    } catch (error) {
      this.parts.failed(error, 'the registry');
    }
  }

  /** The clients of this node, for the registry. */
  *ownRecords(): Iterable<ClientRecord> {
    for (const clientId of this.parts.local.clientIds()) {
      const client = this.table.get(clientId);
      if (client) yield recordOf(client);
    }
  }

  /** A client of this node, for the registry. Undefined for a client that isn't connected here. */
  ownRecord(clientId: string): ClientRecord | undefined {
    const client = this.table.get(clientId);
    return client?.ws ? recordOf(client) : undefined;
  }

  showList(event: string): void {
    this.parts.list.changed(event, true);
  }

  removeAll(): void {
    for (const { clientId } of this.table.all()) this.remove(clientId, 'here');
  }

  emptyRooms(): void {
    for (const clientId of this.parts.local.clientIds()) this.leaveAll(clientId, 'here');
  }

  /** Forgets the clients of other nodes after `stop()`. Nobody is left to notify. */
  clear(): void {
    this.table.clear();
    this.rooms.clear();
  }

  #left(clientId: string, isListed: boolean, origin: Origin, leave: () => RoomChange): void {
    const rooms = leave();
    const client = this.table.get(clientId);
    if (client && rooms !== NO_CHANGE) this.parts.changes.changed({ ...NOTHING, client, rooms, isListed }, origin);
  }

  /** @param news what is new in the record. If it is undefined, everything may be new */
  #adopt({ clientId, user, metadata, rooms, lastActivity }: ClientRecord, news: ClientNews | undefined): void {
    const known = this.table.get(clientId);
    const client = known ?? this.add({ clientId, ws: null, lastActivity, user }, 'elsewhere');
    if (!known) client.serveBy(this.parts.others.askerOf(clientId));
    let userBefore: WebSocketUser | null | undefined;
    if (client.user !== user) {
      if (known && String(known.user?.userId) !== String(user?.userId)) userBefore = this.table.identify(client, user);
      client.user = user; // its claims may be newer
    }
    const isWhole = !known || !news || news.record !== undefined;
    const updated =
      isWhole || news.fields ? RegisteredClient.adopt(client, metadata, this.#passedOver) : NOTHING.metadata;
    const moved = isWhole ? this.rooms.replace(clientId, rooms) : this.rooms.move(clientId, news.moves);
    const { whyLeft, isListed } = NOTHING;
    this.parts.changes.changed({ client, userBefore, metadata: updated, rooms: moved, whyLeft, isListed }, 'elsewhere');
  }
}
