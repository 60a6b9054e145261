import type { RoomPosition } from '../protocol/message.js';

/** How a client appears in a room. For an authenticated connection, the server sets `userId`. */
export interface JoinRoomDetails {
  username?: string;
  userType?: string;
  userId?: string | number;
}

/** The rooms to join again after a reconnect, in the order they were joined last, and the last place seen in each. */
export class RoomMemory {
  readonly #rooms = new Map<string, JoinRoomDetails>();
  readonly #positions = new Map<string, RoomPosition>();

  get names(): ReadonlySet<string> {
    return new Set(this.#rooms.keys());
  }

  has(roomName: string): boolean {
    return this.#rooms.has(roomName);
  }

  /** What is asked for when the room is joined again. */
  detailsOf(roomName: string): object {
    return { ...this.#rooms.get(roomName), since: this.#positions.get(roomName) };
  }

  positionOf(roomName: string): RoomPosition | undefined {
    return this.#positions.get(roomName);
  }

  /** From now on the client has seen everything up to here. */
  moveTo(roomName: string, position: RoomPosition | undefined): void {
    if (position) this.#positions.set(roomName, position);
    else this.#positions.delete(roomName);
  }

  /** A server with one room per client keeps the room joined last, so it must stay last here. */
  remember(roomName: string, details: JoinRoomDetails): void {
    this.#rooms.delete(roomName);
    this.#rooms.set(roomName, details);
  }

  forget(roomName: string): boolean {
    this.#positions.delete(roomName);
    return this.#rooms.delete(roomName);
  }

  clear(): void {
    this.#rooms.clear();
    this.#positions.clear();
  }
}
