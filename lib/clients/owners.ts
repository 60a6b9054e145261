import type { WebSocketUser } from '../protocol/message.js';
import type { Origin } from './client-changes.js';
import type { ClientTable } from './client-table.js';
import type { NewClient, RegisteredClient } from './registered-client.js';
import type { RoomTable } from './room-table.js';

/** The owner of the clients, as a client manager needs it. */
export interface ClientOwner {
  readonly table: ClientTable;
  add(record: NewClient, origin: Origin): RegisteredClient;
  remove(clientId: string, origin: Origin): void;
  update(clientId: string, key: string, data: unknown, origin: Origin): void;
  identify(clientId: string, user: WebSocketUser | null, origin: Origin): void;
  disconnect(clientId: string, code: number, reason: string): void;
  /** Pushes the public client list even if nothing has changed. */
  showList(event: string): void;
  /** Removes every client, but leaves its socket as it is. */
  removeAll(): void;
}

/** The owner of the rooms, as a room manager needs it. */
export interface RoomOwner {
  readonly rooms: RoomTable;
  checkJoin(clientId: string, roomName: string): void;
  joinById(clientId: string, roomName: string, user: unknown, isListed: boolean): void;
  leave(clientId: string, roomName: string, origin: Origin, isListed: boolean): void;
  leaveAll(clientId: string, origin: Origin): void;
  /** Takes every client of this node out of its rooms. */
  emptyRooms(): void;
}
