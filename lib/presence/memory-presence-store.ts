import type { Announcement } from '../history/announcement.js';
import type { RoomPosition } from '../protocol/message.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import type {
  AnnouncedChange,
  PresenceApplied,
  PresenceBatch,
  PresenceBelief,
  PresenceChange,
  PresenceCheck,
  PresenceSize,
  PresenceSnapshot,
  PresenceStore,
  StoredUser,
  UserChange,
} from './presence-store.js';

export interface MemoryPresenceStoreParts {
  newEpoch(): string;
  /** Called for each version of a room, in order. */
  announce(room: string, said: Announcement): void;
  /** Raises an event of a user. */
  raise(event: string, message: { roomName: string; userId: string }): void;
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
  /** Of the users' ids and data. */
  bytes: number;
  /** The number of each node's last batch. */
  batches: Map<string, number>;
  usedAt: number;
}

/** Its readers ask for its version more often. */
const FORGOTTEN_AFTER_MS = 60_000;

const ALL: PresenceSize = { users: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };
const NOBODY: Readonly<User> = { connections: 0, data: 'null', dataAt: 0 };

/** Presence in a process without Redis. A room that nobody is in for a while is forgotten. */
export class MemoryPresenceStore implements PresenceStore {
  readonly #rooms = new Map<string, Room>();

  constructor(private readonly parts: MemoryPresenceStoreParts) {}

  async apply(name: string, { nodeId, number, isWhole, changes }: PresenceBatch): Promise<PresenceApplied> {
    const room = this.#open(name);
    if (number <= (room.batches.get(nodeId) ?? 0)) return this.#answer(room, nodeId);
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

  async read(name: string, most: PresenceSize = ALL): Promise<PresenceSnapshot> {
    const { epoch, version, users, bytes } = this.#open(name);
    const isFew = users.size <= most.users && bytes <= most.bytes;
    const copy = (): PresenceSnapshot['users'] =>
      new Map(Array.from(users, ([userId, { connections, data }]) => [userId, { connections, data }]));
    const size = { users: users.size, bytes };
    return { epoch, version, now: this.parts.now(), size, users: isFew ? copy() : undefined };
  }

  async check(nodeId: string, beliefs: readonly PresenceBelief[]): Promise<PresenceCheck> {
    const doubtful: string[] = [];
    const nodeIds = new Set<string>();
    for (const { room: name, epoch, own } of beliefs) {
      const room = this.#open(name);
      if (room.epoch !== epoch || this.#answer(room, nodeId).own !== own) doubtful.push(name);
      for (const other of await this.nodesIn(name)) if (other !== nodeId) nodeIds.add(other);
    }
    return { doubtful, nodeIds };
  }

  async nodesIn(name: string): Promise<string[]> {
    return [...new Set(Array.from(this.#open(name).connections.values(), ({ nodeId }) => nodeId))];
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
      room = { epoch, version: 0, connections: new Map(), users: new Map(), bytes: 0, batches: new Map(), usedAt: 0 };
      this.#rooms.set(name, room);
    }
    room.usedAt = this.parts.now();
    return room;
  }

  #change(room: Room, nodeId: string, change: PresenceChange, before: Map<string, User>): void {
    const { kind, clientId, userId, data, awayMs } = change;
    if ((kind === 'out' || kind === 'again') && room.connections.get(clientId)?.nodeId === nodeId)
      remove(room, clientId, before);
    if (kind === 'out') return;
    const known = room.connections.get(clientId);
    const now = this.parts.now();
    if (known?.userId !== userId) {
      if (known) remove(room, clientId, before);
      touch(room, userId, before).connections++;
    }
    room.connections.set(clientId, { nodeId, userId, graceEnd: awayMs > 0 ? now + awayMs : 0 });
    const user = touch(room, userId, before);
    if (data === undefined || (kind === 'kept' && change.dataAt <= user.dataAt)) return;
    user.data = data;
    user.dataAt = kind === 'kept' ? change.dataAt : Math.max(now, user.dataAt);
  }

  #close(name: string, room: Room, nodeId: string, before: Map<string, User>): PresenceApplied {
    const changes: UserChange[] = [];
    const raised: [event: string, userId: string][] = [];
    for (const [userId, then] of before) {
      const user = room.users.get(userId) ?? NOBODY;
      if (user.connections === 0) room.users.delete(userId);
      room.bytes += bytesOf(userId, user) - bytesOf(userId, then);
      if (user.connections !== then.connections || user.data !== then.data)
        changes.push([userId, user.connections, JSON.parse(user.data)]);
      if (user.connections > 0 && then.connections === 0) raised.push([Event.UserJoined, userId]);
      else if (user.connections === 0 && then.connections > 0) raised.push([Event.UserLeft, userId]);
    }
    if (changes.length > 0) this.#announce(name, room, [{ users: room.users.size, bytes: room.bytes }, ...changes]);
    for (const [event, userId] of raised) this.parts.raise(event, { roomName: name, userId });
    return this.#answer(room, nodeId);
  }

  #announce(name: string, room: Room, change: AnnouncedChange): void {
    const frame = JSON.stringify(change);
    const place = { epoch: room.epoch, offset: ++room.version };
    this.parts.announce(name, { kind: 'stored', ...place, storedAt: 0, session: undefined, frame });
  }

  #answer({ epoch, version, connections }: Room, nodeId: string): PresenceApplied {
    let own = 0;
    for (const connection of connections.values()) if (connection.nodeId === nodeId) own++;
    return { epoch, version, now: this.parts.now(), own };
  }
}

const bytesOf = (userId: string, { connections, data }: User): number =>
  connections > 0 ? Buffer.byteLength(JSON.stringify(userId)) + Buffer.byteLength(data) : 0;

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
  const user = touch(room, userId, before);
  user.connections--;
  // A user that comes back in the same batch has no data yet.
  if (user.connections === 0) Object.assign(user, NOBODY);
}
