import { RoomNameInvalidError } from '../errors.js';
import { isRoomName } from '../protocol/names.js';
import type { RoomPosition } from '../protocol/message.js';
import { fieldsOf, readPosition, type ServerMessage } from './greeting.js';
import type { Link } from './link.js';
import { Rejoin } from './rejoin.js';
import type { RejoinOptions } from './rejoin.js';
import { RoomMemory } from './room-memory.js';
import type { JoinRoomDetails } from './room-memory.js';
import type { SocketLike } from './socket-like.js';

/** The server's description of a joined room. */
export interface JoinedRoom {
  roomName: string;
  [key: string]: unknown;
}

/** The options of `client.joinRoom()` about a room's history. */
export interface JoinRoomOptions extends JoinRoomDetails {
  /** The last place that the application knows. What came after it follows, or `history.recovered` is false. */
  since?: RoomPosition;
  /** Without a place: how many of the newest messages to send. */
  tail?: number;
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

/** Gets the events of rooms with history. */
export interface RoomEvents {
  recovered(params: { roomName: string; missed: number }): void;
  reset(params: RoomReset): void;
}

/** Sends one request of type `system`. */
type Ask = (action: string, data: object) => Promise<unknown>;

/** The rooms of one client. It remembers them over reconnects. */
export class ClientRooms {
  readonly #memory = new RoomMemory();
  /** Calls of `joinRoom()` that wait for their answer. What follows the answer may be read before it is handled. */
  readonly #joining = new Map<string, RoomPosition | undefined>();
  readonly #ask: Ask;
  readonly #events: RoomEvents;
  #rejoin: Rejoin | undefined;

  constructor(ask: Ask, events: RoomEvents) {
    this.#ask = ask;
    this.#events = events;
  }

  get names(): ReadonlySet<string> {
    return this.#memory.names;
  }

  async join(roomName: string, { username, userType, userId, since, tail }: JoinRoomOptions): Promise<JoinedRoom> {
    assertRoomName(roomName);
    const details = { username, userType, userId };
    this.#joining.set(roomName, undefined);
    try {
      const joined = fieldsOf(fieldsOf(await this.#ask('joinRoom', { ...details, roomName, since, tail })).data);
      const { epoch, offset, recovered } = fieldsOf(joined['history']);
      const seen = this.#joining.get(roomName);
      this.#memory.remember(roomName, details);
      this.#memory.moveTo(roomName, seen ?? (recovered ? since : readPosition({ epoch, offset })));
      this.#rejoin?.forget(roomName);
      return { ...joined, roomName };
    } finally {
      this.#joining.delete(roomName);
    }
  }

  positionOf(roomName: string): RoomPosition | undefined {
    return this.#joining.get(roomName) ?? this.#memory.positionOf(roomName);
  }

  async leave(roomName: string, isConnected: boolean): Promise<void> {
    assertRoomName(roomName);
    this.#forget(roomName);
    if (!isConnected) return;
    await this.#ask('leaveRoom', { roomName });
    // A pending join may have been answered in between.
    this.#forget(roomName);
  }

  /** Joins the rooms again on a new connection. Resolves when each was tried once; failed ones are retried. */
  rejoin(link: Link<SocketLike>, options: Omit<RejoinOptions, 'joined'>): Promise<void> {
    this.#rejoin = new Rejoin(link, this.#memory, {
      ...options,
      joined: (roomName, data) => this.#joinedAgain(roomName, data),
    });
    return this.#rejoin.triedAll;
  }

  /** Before any handler: if a handler throws, the message must not be repeated. */
  note({ type, action, data, at }: ServerMessage): void {
    const { room } = fieldsOf(at);
    if (typeof room === 'string') this.#seen(room, readPosition(at));
    if (type !== 'system') return;
    const { roomName, reason, withinMs } = fieldsOf(data);
    if (typeof roomName !== 'string') return;
    // The server removed this client from a room: the client must not join it again by itself.
    if (action === 'leftRoom') this.#forget(roomName);
    else if (action === 'roomReset') this.#reset(roomName, reason, readPosition(data), withinMs);
  }

  #seen(roomName: string, position: RoomPosition | undefined): void {
    if (this.#memory.has(roomName)) this.#memory.moveTo(roomName, position);
    else if (this.#joining.has(roomName)) this.#joining.set(roomName, position);
  }

  /** After a reconnect. What was missed follows and moves the position. */
  #joinedAgain(roomName: string, data: unknown): void {
    const { history } = fieldsOf(data);
    const { recovered, reason, missed } = fieldsOf(history);
    if (recovered === true) this.#events.recovered({ roomName, missed: Number(missed) });
    else if (this.#memory.positionOf(roomName)) this.#reset(roomName, reason, readPosition(history), 0);
    else this.#memory.moveTo(roomName, readPosition(history));
  }

  #reset(roomName: string, reason: unknown, position: RoomPosition | undefined, withinMs: unknown): void {
    if (!this.#memory.has(roomName)) return;
    this.#memory.moveTo(roomName, position);
    this.#events.reset({ roomName, reason: String(reason), position, withinMs: Number(withinMs) || 0 });
  }

  clear(): void {
    this.#memory.clear();
    this.#rejoin = undefined;
  }

  #forget(roomName: string): void {
    this.#memory.forget(roomName);
    this.#rejoin?.forget(roomName);
  }
}

function assertRoomName(roomName: string): void {
  if (!isRoomName(roomName)) throw new RoomNameInvalidError();
}
