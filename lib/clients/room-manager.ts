import { Logger } from '@nestjs/common';
import { RoomLimitError, RoomNameInvalidError } from '../errors.js';
import { keepable } from '../json-value.js';
import { isRoomName } from '../protocol/names.js';

/** Told of every change, after it happened. */
export interface RoomListener {
  joined?(clientId: string, roomName: string, user: unknown): void;
  /** `moved`: out of this room because only one is allowed and the client joined another. */
  left?(clientId: string, roomName: string, reason: 'removed' | 'moved'): void;
  /** The change should show in the public client list. */
  changed?(): void;
}

export interface RoomManagerOptions {
  clientCanJoinMultipleRooms?: boolean;
  maxPerClient?: number;
  /** Who may be in a room at all: a client that left is gone for good. @default everybody */
  isConnected?: (clientId: string) => boolean;
  listener?: RoomListener;
}

const NONE: ReadonlySet<string> = new Set();

/**
 * Who is in which room: two maps that mirror each other. Every method is O(1) or O(its result); a room exists while it
 * has members.
 */
export class WebSocketRoomManager {
  /** Room names to the ids of their members. For reading: change it through the methods. */
  readonly rooms = new Map<string, Set<string>>();
  readonly #roomsOf = new Map<string, Set<string>>();
  readonly #single: boolean;
  readonly #maxPerClient: number;
  readonly #isConnected: (clientId: string) => boolean;
  readonly #listener: RoomListener;

  constructor({
    clientCanJoinMultipleRooms = true,
    maxPerClient = Infinity,
    isConnected = () => true,
    listener = {},
  }: RoomManagerOptions = {}) {
    this.#single = !clientCanJoinMultipleRooms;
    this.#maxPerClient = maxPerClient;
    this.#isConnected = isConnected;
    this.#listener = listener;
  }

  /**
   * Puts a client into a room; a no-op when it is in already, or when it is no longer connected.
   * @param params.user data of the user, kept with the client unless it authenticated
   * @param params.broadcast whether to push the client list. @default true
   * @throws {RoomNameInvalidError} @throws {RoomLimitError} @throws {NotSerializableError} for a user without a JSON form
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
    this.checkJoin({ clientId, roomName });
    if (user !== undefined) keepable(user, 'user'); // what would be refused later is refused before the first change
    if (this.isClientInRoom({ clientId, roomName }) || !this.#isConnected(clientId)) return;
    if (this.#single) this.#leaveAll(clientId, 'moved');

    add(this.rooms, roomName, clientId);
    add(this.#roomsOf, clientId, roomName);
    this.#listener.joined?.(clientId, roomName, user);
    if (broadcast) this.#listener.changed?.();
  }

  /**
   * Says whether `addClientToRoom()` would refuse the room now. Changes nothing.
   * @throws {RoomNameInvalidError} @throws {RoomLimitError}
   */
  checkJoin({ clientId, roomName }: { clientId: string; roomName: string }): void {
    if (!isRoomName(roomName)) throw new RoomNameInvalidError();
    const joined = this.#roomsOf.get(clientId);
    if (this.#single || !joined || joined.has(roomName)) return;
    if (joined.size >= this.#maxPerClient && this.#isConnected(clientId)) throw new RoomLimitError(this.#maxPerClient);
  }

  /** Takes a client out of a room; a no-op when it isn't in. */
  removeClientFromRoom({
    roomName,
    clientId,
    broadcast = true,
  }: {
    roomName: string;
    clientId: string;
    broadcast?: boolean;
  }): void {
    if (this.#leave(clientId, roomName, 'removed') && broadcast) this.#listener.changed?.();
  }

  /** Takes a client out of every room it is in. */
  removeClientFromAllRooms({ clientId }: { clientId: string }): void {
    if (!this.#roomsOf.has(clientId)) return;
    this.#leaveAll(clientId, 'removed');
    this.#listener.changed?.();
  }

  isClientInRoom({ clientId, roomName }: { clientId: string; roomName: string }): boolean {
    return this.rooms.get(roomName)?.has(clientId) ?? false;
  }

  /** The ids of a room's members; empty for a room that doesn't exist. */
  getRoomClients({ roomName }: { roomName: string }): string[] {
    return [...(this.rooms.get(roomName) ?? NONE)];
  }

  /** The rooms of a client, the one it joined last at the end. */
  getClientRooms({ clientId }: { clientId: string }): string[] {
    return [...(this.#roomsOf.get(clientId) ?? NONE)];
  }

  /** Logs every room and the number of its members. */
  printRooms(): void {
    const lines = [...this.rooms].map(([roomName, members]) => `${roomName} (${members.size})`);
    new Logger(WebSocketRoomManager.name).log(
      `${lines.length} rooms${lines.length > 0 ? `: ${lines.join(', ')}` : ''}`,
    );
  }

  /** Forgets every room without telling anybody. */
  cleanup(): void {
    this.rooms.clear();
    this.#roomsOf.clear();
  }

  #leaveAll(clientId: string, reason: 'removed' | 'moved'): void {
    for (const roomName of this.getClientRooms({ clientId })) this.#leave(clientId, roomName, reason);
  }

  #leave(clientId: string, roomName: string, reason: 'removed' | 'moved'): boolean {
    if (!remove(this.rooms, roomName, clientId)) return false;
    remove(this.#roomsOf, clientId, roomName);
    this.#listener.left?.(clientId, roomName, reason);
    return true;
  }
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  const values = map.get(key);
  if (values) values.add(value);
  else map.set(key, new Set([value]));
}

function remove(map: Map<string, Set<string>>, key: string, value: string): boolean {
  const values = map.get(key);
  if (!values?.delete(value)) return false;
  if (values.size === 0) map.delete(key);
  return true;
}
