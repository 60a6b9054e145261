import { ClientNotFoundError } from '../errors.js';
import { keepable } from '../json-value.js';
import type { WebSocketUser } from '../protocol/message.js';
import { ClientTable } from './client-table.js';
import { type ClientSurroundings, type NewClient, RegisteredClient } from './registered-client.js';
import { keepableUser } from './users.js';
import type { ClientOwner, RoomOwner } from './owners.js';
import { type RoomRules, RoomTable } from './room-table.js';

/** Options of a client manager without a server. */
export type ClientManagerOptions = Partial<ClientSurroundings>;

/** Called after every change. */
export interface RoomListener {
  joined?(clientId: string, roomName: string, user: unknown): void;
  /** `moved`: only one room is allowed, and the client joined another. */
  left?(clientId: string, roomName: string, reason: 'removed' | 'moved'): void;
  /** True if the change should show in the public client list. */
  changed?(): void;
}

/** Options of a room manager without a server. */
export interface RoomManagerOptions extends RoomRules {
  /** Whether a client may be in a room at all. @default everybody may */
  isConnected?: (clientId: string) => boolean;
  listener?: RoomListener;
}

const ALONE: ClientSurroundings = {
  roomsOf: () => [],
  publicFields: ['clientId'],
  isPublicRoom: () => true,
  send: (clientId) => {
    throw new ClientNotFoundError(clientId);
  },
};

/** The clients of a manager without a server. Nobody is notified. */
export class ClientsByHand implements ClientOwner {
  readonly table = new ClientTable();
  readonly #surroundings: ClientSurroundings;

  constructor(options: ClientManagerOptions) {
    this.#surroundings = { ...ALONE, ...options };
  }

  add(record: NewClient): RegisteredClient {
    const client = new RegisteredClient(record, this.#surroundings);
    this.table.remove(client.clientId);
    this.table.add(client);
    return client;
  }

  remove(clientId: string): void {
    this.table.remove(clientId);
  }

  update(clientId: string, key: string, data: unknown): void {
    this.table.get(clientId)?.setMetadata(key, data);
  }

  identify(clientId: string, user: WebSocketUser | null): void {
    const client = this.table.get(clientId);
    if (client) this.table.identify(client, keepableUser(user));
  }

  disconnect(clientId: string, code: number, reason: string): void {
    this.table.remove(clientId)?.ws?.close(code, reason);
  }

  showList(): void {
    // There is nobody to push it to.
  }

  removeAll(): void {
    this.table.clear();
  }
}

/** The rooms of a manager without a server. */
export class RoomsByHand implements RoomOwner {
  readonly rooms: RoomTable;
  readonly #isConnected: (clientId: string) => boolean;
  readonly #listener: RoomListener;

  constructor({ isConnected = () => true, listener = {}, ...rules }: RoomManagerOptions) {
    this.rooms = new RoomTable(rules);
    this.#isConnected = isConnected;
    this.#listener = listener;
  }

  checkJoin(clientId: string, roomName: string): void {
    this.rooms.check(clientId, roomName, this.#isConnected(clientId));
  }

  joinById(clientId: string, roomName: string, user: unknown, isListed: boolean): void {
    this.checkJoin(clientId, roomName);
    keepable(user, 'user');
    if (!this.#isConnected(clientId)) return;
    const { joined, left } = this.rooms.join(clientId, roomName);
    for (const before of left) this.#listener.left?.(clientId, before, 'moved');
    if (joined.length === 0) return;
    this.#listener.joined?.(clientId, roomName, user);
    if (isListed) this.#listener.changed?.();
  }

  leave(clientId: string, roomName: string, _origin: unknown, isListed: boolean): void {
    this.#left(clientId, this.rooms.leave(clientId, roomName).left, isListed);
  }

  leaveAll(clientId: string): void {
    this.#left(clientId, this.rooms.leaveAll(clientId).left, true);
  }

  emptyRooms(): void {
    this.rooms.clear();
  }

  #left(clientId: string, left: readonly string[], isListed: boolean): void {
    for (const roomName of left) this.#listener.left?.(clientId, roomName, 'removed');
    if (left.length > 0 && isListed) this.#listener.changed?.();
  }
}
