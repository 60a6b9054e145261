import type { LogEntry, LogRead } from '../history/room-log.js';
import type { PresentUser, RoomPosition } from '../protocol/message.js';
import type { AnnouncedChange, PresenceSize, PresenceSnapshot, PresenceStore } from './presence-store.js';

export type { PresentUser };

/**
 * Who is in a room, as this node has heard. Its reader follows the versions of the store as it would follow a log that keeps
 * only its newest entry: whatever is missed, the whole is read again. Of a crowded room it only knows how many there are.
 */
export class RoomView {
  readonly users = new Map<string, PresentUser>();
  position: RoomPosition | undefined;
  /** How many users are in the room. */
  total = 0;
  /** There are too many to tell who they are. */
  isCrowded = false;
  /** There are few again, and who they are has yet to be read. */
  isListDue = false;
  /** Grows when the users changed in another way than by `apply()`. */
  listNumber = 0;
  /** Up to here, changes are in the list already. */
  #listVersion = 0;
  #read: PresenceSnapshot | undefined;
  /** Those who wait for a place. */
  #waiting: { place: RoomPosition; done: () => void }[] = [];

  constructor(
    private readonly store: Pick<PresenceStore, 'read' | 'top'>,
    private readonly room: string,
    private readonly most: PresenceSize,
  ) {}

  /** @returns the users that may differ */
  apply({ epoch, offset }: RoomPosition, { frame }: Pick<LogEntry, 'frame'>): string[] {
    this.#moveTo({ epoch, offset });
    if (offset <= this.#listVersion) return [];
    const [size, ...changes] = JSON.parse(frame) as AnnouncedChange;
    this.#resize(size);
    if (this.isCrowded || this.isListDue) return [];
    for (const [userId, connections, data] of changes)
      if (connections > 0) this.users.set(userId, { userId, data, connections });
      else this.users.delete(userId);
    return changes.map(([userId]) => userId);
  }

  /** Resolves when the view is as new as that, or in another epoch. */
  async reached(place: RoomPosition): Promise<void> {
    if (!this.#isBefore(place)) return;
    await new Promise<void>((done) => this.#waiting.push({ place, done }));
  }

  /** Takes what was read last. */
  replace(): void {
    const read = this.#read;
    if (!read) return;
    this.#take(read);
    this.#moveTo({ epoch: read.epoch, offset: read.version });
  }

  /** Takes the users of what was read last, if they are due. An older list lacks changes that were heard while it was read. */
  fill(): void {
    const { position } = this;
    const read = this.#read;
    if (!read?.users || !this.isListDue || read.epoch !== position?.epoch || read.version < position.offset) return;
    this.#take(read); // the position stays: the reader comes to it
  }

  /** For its reader: the place to begin with. */
  async top(): Promise<RoomPosition> {
    if (this.position) return this.store.top(this.room);
    const { epoch, version } = (this.#read = await this.store.read(this.room, this.most));
    this.replace();
    return { epoch, offset: version };
  }

  /** For its reader: nothing older than the newest can be read. */
  async read(): Promise<LogRead> {
    const { epoch, version: top, now } = (this.#read = await this.store.read(this.room, this.most));
    return { epoch, top, first: top + 1, entries: [], isComplete: false, now };
  }

  /** Whoever waits for it goes on when the caller is done. */
  #moveTo(position: RoomPosition): void {
    this.position = position;
    for (const { place, done } of this.#waiting) if (!this.#isBefore(place)) done();
    this.#waiting = this.#waiting.filter(({ place }) => this.#isBefore(place));
  }

  #isBefore({ epoch, offset }: RoomPosition): boolean {
    return this.position?.epoch === epoch && this.position.offset < offset;
  }

  #take({ version, size, users }: PresenceSnapshot): void {
    this.listNumber++;
    this.#resize(size);
    this.users.clear();
    for (const [userId, { connections, data }] of users ?? [])
      this.users.set(userId, { userId, connections, data: JSON.parse(data) as unknown });
    this.isListDue = false;
    this.#listVersion = version;
  }

  #resize({ users, bytes }: PresenceSize): void {
    this.total = users;
    const wasCrowded = this.isCrowded;
    this.isCrowded = users > this.most.users || bytes > this.most.bytes;
    if (this.isCrowded) this.users.clear();
    this.isListDue = !this.isCrowded && (wasCrowded || this.isListDue);
  }
}
