/** How a client appears in a room. For an authenticated connection, the server sets `userId`. */
export interface JoinRoomDetails {
  username?: string;
  userType?: string;
  userId?: string | number;
}

/** The rooms to join again after a reconnect, in the order they were joined last. */
export class RoomMemory {
  readonly #rooms = new Map<string, JoinRoomDetails>();

  get names(): ReadonlySet<string> {
    return new Set(this.#rooms.keys());
  }

  has(roomName: string): boolean {
    return this.#rooms.has(roomName);
  }

  detailsOf(roomName: string): JoinRoomDetails {
    return this.#rooms.get(roomName) ?? {};
  }

  /** A server with one room per client keeps the room joined last, so it must stay last here. */
  remember(roomName: string, details: JoinRoomDetails): void {
    this.#rooms.delete(roomName);
    this.#rooms.set(roomName, details);
  }

  forget(roomName: string): boolean {
    return this.#rooms.delete(roomName);
  }

  clear(): void {
    this.#rooms.clear();
  }
}
