import type { LogEntry, LogRead } from '../history/room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import type { PresenceSnapshot, PresenceStore, UserChange } from './presence-store.js';

/** A user as others see it. */
export interface PresentUser {
  /** The id under which it authenticated. Of an anonymous connection, its client id. */
  userId: string;
  /** What it said of itself last. Null if nothing. */
  data: unknown;
  /** Its connections in the room when this was told. Those that ended a moment ago count, too. */
  connections: number;
}

/**
 * Who is in a room, as this node has heard. Its reader follows the versions of the store as it would follow a log that keeps
 * only its newest entry: whatever is missed, the whole is read again.
 */
export class RoomView {
  readonly users = new Map<string, PresentUser>();
  position: RoomPosition | undefined;
  #read: PresenceSnapshot | undefined;

  constructor(
    private readonly store: Pick<PresenceStore, 'read' | 'top'>,
    private readonly room: string,
  ) {}

  /** @returns the users that may differ */
  apply({ epoch, offset }: RoomPosition, { frame }: Pick<LogEntry, 'frame'>): string[] {
    this.position = { epoch, offset };
    const changes = JSON.parse(frame) as UserChange[];
    for (const [userId, connections, data] of changes)
      if (connections > 0) this.users.set(userId, { userId, data, connections });
      else this.users.delete(userId);
    return changes.map(([userId]) => userId);
  }

  /** Takes what was read last. @returns the users that may differ */
  replace(): string[] {
    const read = this.#read;
    if (!read) return [];
    const touched = new Set([...this.users.keys(), ...read.users.keys()]);
    this.users.clear();
    for (const [userId, { connections, data }] of read.users)
      this.users.set(userId, { userId, connections, data: JSON.parse(data) as unknown });
    this.position = { epoch: read.epoch, offset: read.version };
    return [...touched];
  }

  /** For its reader: the place to begin with. */
  async top(): Promise<RoomPosition> {
    if (this.position) return this.store.top(this.room);
    const { epoch, version } = (this.#read = await this.store.read(this.room));
    this.replace();
    return { epoch, offset: version };
  }

  /** For its reader: nothing older than the newest can be read. */
  async read(): Promise<LogRead> {
    const { epoch, version: top, now } = (this.#read = await this.store.read(this.room));
    return { epoch, top, first: top + 1, entries: [], isComplete: false, now };
  }
}
