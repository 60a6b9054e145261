import { Logger } from '@nestjs/common';
import { type RoomManagerOptions, RoomsByHand } from './by-hand.js';
import type { RoomOwner } from './owners.js';

/**
 * The rooms and their members. A room exists while it has members. It reads what this node knows: with
 * `registry: 'replicated'` the members on all nodes, with `'local'` only those on this node.
 */
export class WebSocketRoomManager {
  /** The members of each room, by client id. Always up to date. It can only be read: changing it throws `InvalidStateError`. */
  readonly rooms: Map<string, Set<string>>;
  readonly #owner: RoomOwner;

  /** Inside a Nest application, inject it instead. */
  constructor(options: RoomManagerOptions = {}, owner: RoomOwner = new RoomsByHand(options)) {
    this.#owner = owner;
    this.rooms = owner.rooms.members;
  }

  /**
   * Scope: cluster. Puts a client into a room. Does nothing if it is a member already, or no longer connected.
   * @param params.user data of the user, kept with a client of this node unless it authenticated
   * @param params.broadcast whether to push the client list. @default true
   * @throws {RoomNameInvalidError} @throws {RoomLimitError}
   * @throws {NotSerializableError} for a user without a JSON form
   */
  addClientToRoom({
    clientId,
    user,
    roomName,
    broadcast = true,
  }: {
    clientId: string;
    user?: unknown;
    roomName: string;
    broadcast?: boolean;
  }): void {
    this.#owner.joinById(clientId, roomName, user, broadcast);
  }

  /**
   * Throws if `addClientToRoom()` would refuse the room now. Changes nothing.
   * @throws {RoomNameInvalidError} @throws {RoomLimitError}
   */
  checkJoin({ clientId, roomName }: { clientId: string; roomName: string }): void {
    this.#owner.checkJoin(clientId, roomName);
  }

  /** Scope: cluster. Takes a client out of a room. Does nothing if it isn't a member. */
  removeClientFromRoom({
    roomName,
    clientId,
    broadcast = true,
  }: {
    roomName: string;
    clientId: string;
    broadcast?: boolean;
  }): void {
    this.#owner.leave(clientId, roomName, 'here', broadcast);
  }

  /** Scope: cluster. Takes a client out of every room it is in, those included that this node doesn't know of yet. */
  removeClientFromAllRooms({ clientId }: { clientId: string }): void {
    this.#owner.leaveAll(clientId, 'here');
  }

  /** Scope: what this node knows. */
  isClientInRoom({ clientId, roomName }: { clientId: string; roomName: string }): boolean {
    return this.#owner.rooms.has(clientId, roomName);
  }

  /** Scope: what this node knows. The ids of a room's members; empty for a room that doesn't exist. */
  getRoomClients({ roomName }: { roomName: string }): string[] {
    return this.#owner.rooms.membersOf(roomName);
  }

  /** Scope: what this node knows. The rooms of a client, the last one it joined at the end. */
  getClientRooms({ clientId }: { clientId: string }): string[] {
    return this.#owner.rooms.roomsOf(clientId);
  }

  /** Logs every room and the number of its members. */
  printRooms(): void {
    const lines = [...this.rooms].map(([roomName, members]) => `${roomName} (${members.size})`);
    new Logger(WebSocketRoomManager.name).log(
      `${lines.length} rooms${lines.length > 0 ? `: ${lines.join(', ')}` : ''}`,
    );
  }

  /** Scope: this node. Takes every client of this node out of its rooms, as `removeClientFromAllRooms()` does. */
  cleanup(): void {
    this.#owner.emptyRooms();
  }
}
