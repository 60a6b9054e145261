import { RoomNameInvalidError } from '../errors.js';
import { isRoomName } from '../protocol/names.js';
import type { ServerMessage } from './greeting.js';
import type { Link } from './link.js';
import { Rejoin } from './rejoin.js';
import type { RejoinOptions } from './rejoin.js';
import { RoomMemory } from './room-memory.js';
import type { JoinRoomDetails } from './room-memory.js';
import type { SocketLike } from './socket-like.js';

/** What the server says about a joined room: its name, and whatever else it tells. */
export interface JoinedRoom {
  roomName: string;
  [key: string]: unknown;
}

/** Sends one request of type `system`. */
type Ask = (action: string, data: object) => Promise<unknown>;

/** The rooms of one client: joined and left by requests, remembered over reconnects. */
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
    // A join that was on its way may have been answered in between.
    this.#forget(roomName);
  }

  /** Joins them again on a new connection. Resolves when each was tried once; those that failed are tried on. */
  rejoin(link: Link<SocketLike>, options: RejoinOptions): Promise<void> {
    this.#rejoin = new Rejoin(link, this.#memory, options);
    return this.#rejoin.triedAll;
  }

  /** The server put this client out of a room: it must not come back by itself. */
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
