import type { PresentUser, RoomPosition, WebSocketMessage } from '../protocol/message.js';

/** How a client appears in a room. For an authenticated connection, the server sets `userId`. */
export interface JoinRoomDetails {
  username?: string;
  userType?: string;
  userId?: string | number;
}

/** Where a client begins in a room with history. */
export interface RoomStart {
  /** The last place that the application knows. What came after it follows, or `history.recovered` is false. */
  since?: RoomPosition | undefined;
  /** Without a place: how many of the newest messages to send. */
  tail?: number | undefined;
  /** False: what this client publishes to the room doesn't come back to it. @default true */
  echo?: boolean | undefined;
}

/** What a client is told about who is in a room, and what it shows of its user. The server needs a `presence` rule for the room. */
export interface RoomPresenceOptions {
  /** True: who is there, see `room.presence`. `'count'`: only how many users. @default false */
  presence?: boolean | 'count' | undefined;
  /** What others see of this user: JSON of at most `dataBytes` (1 KiB). With several connections, that of the newest counts. @default null */
  presenceData?: unknown;
}

/** The options of `client.joinRoom()` and `room.join()`. */
export interface JoinRoomOptions extends JoinRoomDetails, RoomStart, RoomPresenceOptions {}

/** The server's description of a joined room. */
export interface JoinedRoom {
  roomName: string;
  [key: string]: unknown;
}

/** Why a room's data must be loaded again. */
export interface RoomReset {
  roomName: string;
  /**
   * `expired`, `too-far-behind`, `other-epoch` or `ahead`; `restart`, `cleared` or `hole` if the server found out by
   * itself.
   */
  reason: string;
  /** The place from which the room continues. */
  position: RoomPosition | undefined;
  /** Milliseconds over which the loads of all clients should spread. */
  withinMs: number;
}

/** What `loadState` returns: the place that the server read before it read the state. */
export interface LoadedState {
  position: RoomPosition | undefined;
}

export interface ClientRoomOptions extends RoomPresenceOptions {
  /** Where the first join begins. @default what comes from now on */
  history?: RoomStart;
  /**
   * Loads the room's state and shows it. Called before the first join, and whenever missed messages can't be sent. The server
   * reads `service.position(room)` first and the data after it; what is published meanwhile follows. When it fails, its
   * error is reported, and it is called again after 0.5–30 s; a join waits for it. @default none
   */
  loadState?: () => LoadedState | Promise<LoadedState>;
}

/**
 * `idle` before `join()`; `joining` until the server has answered; `live` while messages come; `suspended` without a connection;
 * `resuming` after a reconnect, until the server has answered; `resetting` while the state is loaded again; `left` after
 * `leave()`, `disconnect()` or a refusal for good.
 */
export type ClientRoomState = 'idle' | 'joining' | 'live' | 'suspended' | 'resuming' | 'resetting' | 'left';

export interface ClientRoomEvents {
  /** What was published to a room with history, or by `publish()` to any room. Comes after the handlers of its route. */
  message: (
    data: unknown,
    context: { message: WebSocketMessage; at: { room: string } & Partial<RoomPosition> },
  ) => unknown;
  /** The server knew the place of a join, after a reconnect or from `since`: all that was missed follows. `missed` may be 0. */
  recovered: (params: { roomName: string; missed: number }) => unknown;
  /** Missed messages can't be sent: load the room's data again. With `loadState`, the client does it by itself. */
  reset: (params: RoomReset) => unknown;
  state: (params: { state: ClientRoomState }) => unknown;
}

export interface ClientRoomPresenceEvents {
  /** A user came with its first connection in the whole cluster. */
  joined: (user: PresentUser) => unknown;
  /** The data of a user changed. */
  updated: (user: PresentUser) => unknown;
  /** The last connection of a user left, and it didn't come back within the server's grace. The listener gets its last entry. */
  left: (user: PresentUser) => unknown;
  /** The map is complete: after each join and reconnect, and whenever the server sent only `total`. Comes after the differences. */
  synced: (params: { total: number }) => unknown;
}

/**
 * Who is in a room: users by id, this client's own included. Only the server changes it. Empty if the server sends only the number.
 * An anonymous page is the same user after a reload or a reconnect. Each tab is a user of its own.
 */
export interface ClientRoomPresence extends ReadonlyMap<string, PresentUser> {
  /** How many users there are: more than `size` if the server sends only the number. */
  readonly total: number;
  /** True without a connection, and until the server has said who is there. The map then shows how it was before. */
  readonly isStale: boolean;
  /** The id of this client's own user in the map, as the server said with the last join. */
  readonly ownId: string | undefined;
  /** @returns a function that removes the listener. Its errors go to the client's `error` event. */
  on<E extends keyof ClientRoomPresenceEvents>(event: E, listener: ClientRoomPresenceEvents[E]): () => void;
}

export interface RoomPublishOptions {
  /** Without a connection it waits for one, and it is sent again after a lost connection, as `request()` does. @default false */
  retry?: boolean;
  /** The same key is published once, however often it is asked for. 1–128 characters. @default with `retry` a new one */
  key?: string;
  /** False: this client doesn't get it back. @default as the room was joined */
  echo?: boolean;
}

/** A handle of a room. The client may be in the room or not. */
export interface ClientRoom {
  readonly name: string;
  /** `live` while messages arrive. See {@link ClientRoomState}. */
  readonly state: ClientRoomState;
  /** The last place seen in a room with history. */
  readonly position: RoomPosition | undefined;
  /** Who is in the room. Empty without the option `presence`. */
  readonly presence: ClientRoomPresence;
  /**
   * Joins the room, and joins it again after every reconnect. Without a connection it waits for the next one.
   * @throws {RemoteError} {TimeoutError} {ConnectionError} The room is then not joined again, unless it was joined before.
   * @throws {InvalidStateError} when there is a newer handle of the room
   */
  join(details?: JoinRoomOptions): Promise<JoinedRoom>;
  /**
   * Leaves the room. It is forgotten at once, and without a connection, too. Resolves when the server has heard it, which is asked again
   * and again, or at the end of the connection.
   */
  leave(): Promise<void>;
  /**
   * Publishes to all members. The server decides (`rooms.authorizePublish`).
   * @returns its place in a room with history
   * @throws {RemoteError} {TimeoutError} {ConnectionError}, and with `retry` {QueueFullError} {ExpiredError}
   */
  publish(data: unknown, options?: RoomPublishOptions): Promise<Partial<RoomPosition> & { isDuplicate?: boolean }>;
  /**
   * Changes what others see of this user, now and after every later join. If the room isn't live, it is sent with the next join.
   * @throws {RemoteError} e.g. `PRESENCE_DATA_TOO_LARGE` @throws {TimeoutError} {ConnectionError}
   */
  updatePresence(data: unknown): Promise<void>;
  /** @returns a function that removes the listener. Its errors go to the client's `error` event. */
  on<E extends keyof ClientRoomEvents>(event: E, listener: ClientRoomEvents[E]): () => void;
}
