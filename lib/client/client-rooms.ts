import { RoomNameInvalidError } from '../errors.js';
import { isRoomName } from '../protocol/names.js';
import type { ServerMessage } from './greeting.js';
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

/** Sends one request of type `system`. */
type Ask = (action: string, data: object) => Promise<unknown>;

/** The rooms of one client. It remembers them over reconnects. */
export class ClientRooms {
  readonly #memory = new RoomMemory();
  readonly #ask: Ask;
  #rejoin: Rejoin | undefined;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  get names(): ReadonlySet<string> {
    return this.#memory.names;
  }

  async join(roomName: string, { username, userType, userId }: JoinRoomDetails): Promise<JoinedRoom> {
    assertRoomName(roomName);
    const details = { username, userType, userId };
    const response = await this.#ask('joinRoom', { ...details, roomName });
    this.#memory.remember(roomName, details);
    this.#rejoin?.forget(roomName);
    return { ...dataOf(response), roomName };
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
  rejoin(link: Link<SocketLike>, options: RejoinOptions): Promise<void> {
    this.#rejoin = new Rejoin(link, this.#memory, options);
    return this.#rejoin.triedAll;
  }

  /** The server removed this client from a room: the client must not join it again by itself. */
  noteLeft({ type, action, data }: ServerMessage): void {
    if (type !== 'system' || action !== 'leftRoom') return;
    const { roomName } = (data ?? {}) as { roomName?: unknown };
    if (typeof roomName === 'string') this.#forget(roomName);
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

/** The reply of `system/joinRoom` is `{ success, data }`. */
function dataOf(response: unknown): Record<string, unknown> {
  const { data } = (response ?? {}) as { data?: unknown };
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
}
