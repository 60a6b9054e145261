import { RoomLimitError, RoomNameInvalidError } from '../errors.js';
import { isRoomName } from '../protocol/names.js';
import { addTo, empty, ReadOnlyTable, removeFrom } from './read-only.js';

export interface RoomRules {
  /** False: joining a room leaves the one before. @default true */
  clientCanJoinMultipleRooms?: boolean;
  /** @default Infinity */
  maxPerClient?: number;
}

/** How a client's rooms changed. */
export interface RoomChange {
  readonly joined: readonly string[];
  readonly left: readonly string[];
}

export const NO_CHANGE: RoomChange = { joined: [], left: [] };
const NONE: ReadonlySet<string> = new Set();

/**
 * Rooms and members as two maps that mirror each other. No I/O; each change returns what it did. Every method is O(1)
 * or O(its result). A room exists while it has members.
 */
export class RoomTable {
  /** The members of each room, by client id. Applications read it, too. */
  readonly members = new ReadOnlyTable();
  readonly #roomsOf = new Map<string, Set<string>>();
  readonly #isSingle: boolean;
  readonly #maxPerClient: number;

  constructor({ clientCanJoinMultipleRooms = true, maxPerClient = Infinity }: RoomRules = {}) {
    this.#isSingle = !clientCanJoinMultipleRooms;
    this.#maxPerClient = maxPerClient;
  }

  has(clientId: string, roomName: string): boolean {
    return this.members.get(roomName)?.has(clientId) ?? false;
  }

  membersOf(roomName: string): string[] {
    return [...(this.members.get(roomName) ?? NONE)];
  }

  /** The last one it joined is at the end. */
  roomsOf(clientId: string): string[] {
    return [...(this.#roomsOf.get(clientId) ?? NONE)];
  }

  /**
   * Throws if the client may not join.
   * @param isConnected a client that isn't connected is never refused: it joins nothing
   * @throws {RoomNameInvalidError} @throws {RoomLimitError}
   */
  check(clientId: string, roomName: string, isConnected: boolean): void {
    if (!isRoomName(roomName)) throw new RoomNameInvalidError();
    const joined = this.#roomsOf.get(clientId);
    if (!isConnected || this.#isSingle || !joined || joined.has(roomName)) return;
    if (joined.size >= this.#maxPerClient) throw new RoomLimitError(this.#maxPerClient);
  }

  join(clientId: string, roomName: string): RoomChange {
    if (this.has(clientId, roomName)) return NO_CHANGE;
    const left = this.#isSingle ? this.#leaveAll(clientId) : [];
    this.#join(clientId, roomName);
    return { joined: [roomName], left };
  }

  leave(clientId: string, roomName: string): RoomChange {
    return this.#leave(clientId, roomName) ? { joined: [], left: [roomName] } : NO_CHANGE;
  }

  leaveAll(clientId: string): RoomChange {
    return this.#roomsOf.has(clientId) ? { joined: [], left: this.#leaveAll(clientId) } : NO_CHANGE;
  }

  /** Sets the rooms of a client. The rules of this node don't apply. */
  replace(clientId: string, roomNames: readonly string[]): RoomChange {
    const wanted = new Set(roomNames);
    const left = this.roomsOf(clientId).filter((roomName) => !wanted.has(roomName));
    const joined = [...wanted].filter((roomName) => !this.has(clientId, roomName));
    for (const roomName of left) this.#leave(clientId, roomName);
    for (const roomName of joined) this.#join(clientId, roomName);
    return { joined, left };
  }

  /** Applies moves in order. The rules of this node don't apply. */
  move(clientId: string, moves: readonly { roomName: string; isIn: boolean }[]): RoomChange {
    const joined: string[] = [];
    const left: string[] = [];
    for (const { roomName, isIn } of moves) {
      if (isIn === this.has(clientId, roomName)) continue;
      if (isIn) this.#join(clientId, roomName);
      else this.#leave(clientId, roomName);
      (isIn ? joined : left).push(roomName);
    }
    return { joined, left };
  }

  clear(): void {
    empty(this.members);
    this.#roomsOf.clear();
  }

  #join(clientId: string, roomName: string): void {
    addTo(this.members, roomName, clientId);
    addTo(this.#roomsOf, clientId, roomName);
  }

  #leave(clientId: string, roomName: string): boolean {
    return removeFrom(this.members, roomName, clientId) && removeFrom(this.#roomsOf, clientId, roomName);
  }

  #leaveAll(clientId: string): string[] {
    const left = this.roomsOf(clientId);
    for (const roomName of left) this.#leave(clientId, roomName);
    return left;
  }
}
