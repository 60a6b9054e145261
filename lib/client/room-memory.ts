/** How a client wants to be seen in a room. The server overrides `userId` for a connection that authenticated. */
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

  /** A server with one room per client keeps the last one joined: so the last must stay last. */
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
