import type { RoomPosition } from '../protocol/message.js';
import {
  type PresenceApplied,
  type PresenceBatch,
  type PresenceChange,
  type PresenceSnapshot,
  type PresenceStore,
  type StoredUser,
  type UserChange,
} from './presence-store.js';

export interface MemoryPresenceStoreParts {
  newEpoch(): string;
  /** Called for each version of a room, in order. */
  announce(room: string, said: { epoch: string; version: number; changes: UserChange[] }): void;
  now(): number;
}

interface Connection {
  nodeId: string;
  userId: string;
  /** 0 while it is connected. */
  graceEnd: number;
}

interface User extends StoredUser {
  dataAt: number;
}

interface Room {
  epoch: string;
  version: number;
  connections: Map<string, Connection>;
  users: Map<string, User>;
  /** The number of each node's last batch. */
  batches: Map<string, number>;
  usedAt: number;
}

/** Its readers ask for its version more often. */
const FORGOTTEN_AFTER_MS = 60_000;

const NOBODY: Readonly<User> = { connections: 0, data: 'null', dataAt: 0 };

/** Presence in a process without Redis. A room that nobody is in for a while is forgotten. */
export class MemoryPresenceStore implements PresenceStore {
  readonly #rooms = new Map<string, Room>();

  constructor(private readonly parts: MemoryPresenceStoreParts) {}

  async apply(name: string, { nodeId, number, isWhole, changes }: PresenceBatch): Promise<PresenceApplied> {
    const room = this.#open(name);
    if (number <= (room.batches.get(nodeId) ?? 0)) return this.#answer(room, nodeId, new Map());
    room.batches.set(nodeId, number);
    const before = new Map<string, User>();
    const listed = new Set<string>();
    for (const change of changes) {
      listed.add(change.clientId);
      this.#change(room, nodeId, change, before);
    }
    if (isWhole)
      for (const [clientId, connection] of room.connections)
        if (connection.nodeId === nodeId && !listed.has(clientId)) remove(room, clientId, before);
    return this.#close(name, room, nodeId, before);
  }

  async bury(name: string, nodeId: string): Promise<PresenceApplied> {
    const room = this.#open(name);
    const before = new Map<string, User>();
    for (const [clientId, connection] of room.connections)
      if (connection.nodeId === nodeId && connection.graceEnd <= this.parts.now()) remove(room, clientId, before);
    return this.#close(name, room, nodeId, before);
  }

  async read(name: string): Promise<PresenceSnapshot> {
    const { epoch, version, users } = this.#open(name);
    const copy = new Map(Array.from(users, ([userId, { connections, data }]) => [userId, { connections, data }]));
    return { epoch, version, now: this.parts.now(), users: copy };
  }

  async top(name: string): Promise<RoomPosition> {
    const { epoch, version: offset } = this.#open(name);
    return { epoch, offset };
  }

  /** How many rooms it knows. */
  get size(): number {
    return this.#rooms.size;
  }

  clear(): void {
    this.#rooms.clear();
  }

  /** Forgets rooms that nobody is in. Its owner calls it now and then. */
  sweep(): void {
    for (const [name, { connections, usedAt }] of this.#rooms)
      if (connections.size === 0 && this.parts.now() - usedAt >= FORGOTTEN_AFTER_MS) this.#rooms.delete(name);
  }

  #open(name: string): Room {
    let room = this.#rooms.get(name);
    if (!room) {
      const epoch = this.parts.newEpoch();
      room = { epoch, version: 0, connections: new Map(), users: new Map(), batches: new Map(), usedAt: 0 };
      this.#rooms.set(name, room);
    }
    room.usedAt = this.parts.now();
    return room;
  }

  #change(room: Room, nodeId: string, change: PresenceChange, before: Map<string, User>): void {
    const { kind, clientId, userId, data, awayMs } = change;
    const known = room.connections.get(clientId);
    if (kind === 'out') {
      if (known?.nodeId === nodeId) remove(room, clientId, before);
      return;
    }
    const now = this.parts.now();
    if (known?.userId !== userId) {
      if (known) remove(room, clientId, before);
      touch(room, userId, before).connections++;
    }
    room.connections.set(clientId, { nodeId, userId, graceEnd: awayMs > 0 ? now + awayMs : 0 });
    const user = touch(room, userId, before);
    if (data === undefined || (kind === 'kept' && change.dataAt <= user.dataAt)) return;
    user.data = data;
    user.dataAt = kind === 'in' ? Math.max(now, user.dataAt) : change.dataAt;
  }

  #close(name: string, room: Room, nodeId: string, before: Map<string, User>): PresenceApplied {
    const changes: UserChange[] = [];
    for (const [userId, then] of before) {
      const user = room.users.get(userId) ?? NOBODY;
      if (user.connections === 0) room.users.delete(userId);
      if (user.connections !== then.connections || user.data !== then.data)
        changes.push([userId, user.connections, JSON.parse(user.data)]);
    }
    if (changes.length > 0) this.parts.announce(name, { epoch: room.epoch, version: ++room.version, changes });
    return this.#answer(room, nodeId, before);
  }

  #answer(room: Room, nodeId: string, before: ReadonlyMap<string, User>): PresenceApplied {
    const joined: string[] = [];
    const left: string[] = [];
    for (const [userId, { connections }] of before) {
      const isHere = room.users.has(userId);
      if (isHere && connections === 0) joined.push(userId);
      else if (!isHere && connections > 0) left.push(userId);
    }
    const nodeIds = new Set<string>();
    let own = 0;
    for (const connection of room.connections.values()) {
      nodeIds.add(connection.nodeId);
      if (connection.nodeId === nodeId) own++;
    }
    const { epoch, version } = room;
    return { epoch, version, now: this.parts.now(), own, joined, left, nodeIds: [...nodeIds] };
  }
}

/** @returns the user, to be changed. Notes how it was before */
function touch({ users }: Room, userId: string, before: Map<string, User>): User {
  const user = users.get(userId) ?? { ...NOBODY };
  if (!before.has(userId)) before.set(userId, { ...user });
  users.set(userId, user);
  return user;
}

function remove(room: Room, clientId: string, before: Map<string, User>): void {
  const { userId } = room.connections.get(clientId) as Connection;
  room.connections.delete(clientId);
  touch(room, userId, before).connections--;
}
