import { wallMs } from '../clock.js';
import { Channels } from '../cluster/channels.js';
import { databaseOf, isCluster, type RedisConnection } from '../cluster/redis-connections.js';
import { type Announcement, writeAnnouncement } from './announcement.js';
import type { RoomPosition } from '../protocol/message.js';
import type { Appended, AppendOptions, LogRead, ReadOptions, RoomLog } from './room-log.js';

/** The application's own log. It only stores: what it has stored is announced here. */
export class AnnouncedRoomLog implements RoomLog {
  constructor(
    private readonly log: RoomLog,
    /** Tells the nodes that follow the room. If that gets lost, they find it out by their check. */
    private readonly announce: (room: string, said: Announcement) => void,
  ) {}

  async append(room: string, frame: string, options: AppendOptions = {}): Promise<Appended> {
    const appended = await this.log.append(room, frame, options);
    const { epoch, offset, isDuplicate } = appended;
    const { session } = options;
    if (!isDuplicate) this.announce(room, { kind: 'stored', epoch, offset, storedAt: wallMs(), session, frame });
    return appended;
  }

  read(room: string, options: ReadOptions): Promise<LogRead> {
    return this.log.read(room, options);
  }

  top(rooms: readonly string[]): Promise<RoomPosition[]> {
    return this.log.top(rooms);
  }

  async clear(room: string): Promise<RoomPosition> {
    const position = await this.log.clear(room);
    this.announce(room, { kind: 'cleared', epoch: position.epoch });
    return position;
  }
}

/** Publishes announcements as the scripts of the log in Redis do. */
export class Announcer {
  #channels: Channels | undefined;

  constructor(
    private readonly connection: () => RedisConnection,
    private readonly prefix: string,
    private readonly failed: (error: unknown, place: string) => void,
  ) {}

  /** Never throws: the message is stored. */
  announce(name: string, said: Announcement): void {
    this.#publish(name, writeAnnouncement(said)).catch((error: unknown) => this.failed(error, 'announcing a message'));
  }

  async #publish(name: string, text: string): Promise<unknown> {
    const connection = this.connection();
    // The number of the database is known once there is a connection.
    const channels = (this.#channels ??= new Channels(this.prefix, databaseOf(connection)));
    const channel = channels.interest({ kind: 'log', name });
    return isCluster(connection) ? connection.spublish(channel, text) : connection.publish(channel, text);
  }
}
