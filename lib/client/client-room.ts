import type { RoomPosition, WebSocketMessage } from '../protocol/message.js';

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

/** The options of `client.joinRoom()` and `room.join()`. */
export interface JoinRoomOptions extends JoinRoomDetails, RoomStart {}

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

export interface ClientRoomOptions {
  /** Where the first join begins. @default what comes from now on */
  history?: RoomStart;
  /**
   * Loads the room's state and shows it. Called before the first join, and whenever what was missed can't be had. The server
   * reads `service.position(room)` first and the data after it; what is published meanwhile follows. When it fails, the first
   * join rejects; later it is reported and called again, after 0.5–30 s. @default none
   */
  loadState?: () => LoadedState | Promise<LoadedState>;
}

/**
 * `idle` before `join()`; `joining` until the server has answered; `live` while messages come; `suspended` without a connection;
 * `resuming` until the server has answered to a new connection; `resetting` while the state is loaded again; `left` after
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
  /** What came after the place of a join, or while the room was live, can't be had. `loadState` is called by itself. */
  reset: (params: RoomReset) => unknown;
  state: (params: { state: ClientRoomState }) => unknown;
}

export interface RoomPublishOptions {
  /** Without a connection it waits for one, and it is sent again after a lost connection, as `request()` does. @default false */
  retry?: boolean;
  /** The same key is published once, however often it is asked for. 1–128 characters. @default with `retry` a new one */
  key?: string;
  /** False: to all members but this client. @default as the room was joined */
  echo?: boolean;
}

/** A room of a client, whether it is in it or not. */
export interface ClientRoom {
  readonly name: string;
  readonly state: ClientRoomState;
  /** The last place seen in a room with history. */
  readonly position: RoomPosition | undefined;
  /**
   * Joins the room, and joins it again after every reconnect. Without a connection it waits for the next one.
   * @throws {RemoteError} {TimeoutError} {ConnectionError} The room is then not joined again, unless it was joined before.
   * @throws what `loadState` throws @throws {InvalidStateError} when another handle has the room, or it was left meanwhile
   */
  join(details?: JoinRoomOptions): Promise<JoinedRoom>;
  /** Leaves the room. It is forgotten at once, whatever the server answers, and without a connection, too. */
  leave(): Promise<void>;
  /**
   * Publishes to all members. The server decides (`rooms.authorizePublish`).
   * @returns its place in a room with history
   * @throws {RemoteError} {TimeoutError} {ConnectionError}, and with `retry` {QueueFullError} {ExpiredError}
   */
  publish(data: unknown, options?: RoomPublishOptions): Promise<Partial<RoomPosition> & { isDuplicate?: boolean }>;
  /** @returns a function that removes the listener. Its errors go to the client's `error` event. */
  on<E extends keyof ClientRoomEvents>(event: E, listener: ClientRoomEvents[E]): () => void;
}
