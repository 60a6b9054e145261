import type { Clock } from '../clock.js';
import { Channels } from '../cluster/channels.js';
import { databaseOf, isCluster, type RedisConnection } from '../cluster/redis-connections.js';
import { inTime } from '../deadline.js';
import type { RoomPosition } from '../protocol/message.js';
import { type Announcement, writeAnnouncement } from './announcement.js';
import { checkPlace, checkRead } from './log-answers.js';
import { LogUnavailableError, UnknownOutcomeError } from './log-errors.js';
import type { Appended, AppendOptions, LogRead, ReadOptions, RoomLog } from './room-log.js';

/** How long one call may take, in ms. */
const ANSWER_MS = 5_000;
/** Messages that the log hasn't answered yet, of all rooms. */
const MAX_BYTES_UNDER_WAY = 67_108_864;

/** The application's own log. It only stores: what it has stored is announced here. Nobody waits for ever when it doesn't answer. */
export class AnnouncedRoomLog implements RoomLog {
  #bytesUnderWay = 0;

  constructor(
    private readonly log: RoomLog,
    /** Tells the nodes that follow the room. If that gets lost, they find it out by their check. */
    private readonly announce: (room: string, said: Announcement) => void,
    private readonly clock: Pick<Clock, 'wall' | 'after'>,
    private readonly answerMs = ANSWER_MS,
  ) {}

  async append(room: string, frame: string, options: AppendOptions = {}): Promise<Appended> {
    if (this.#bytesUnderWay > MAX_BYTES_UNDER_WAY) throw new LogUnavailableError('too much waits for it already');
    this.#bytesUnderWay += frame.length;
    try {
      return await inTime(
        this.clock,
        this.answerMs,
        this.#append(room, frame, options),
        () => new UnknownOutcomeError(this.#silence),
      );
    } finally {
      this.#bytesUnderWay -= frame.length;
    }
  }

  read(room: string, options: ReadOptions): Promise<LogRead> {
    return this.#ask(async () => checkRead(await this.log.read(room, options)));
  }

  top(rooms: readonly string[]): Promise<RoomPosition[]> {
    return this.#ask(async () => {
      const places = await this.log.top(rooms);
      return rooms.map((_room, at) => checkPlace(places[at] as RoomPosition, 'top'));
    });
  }

  clear(room: string): Promise<RoomPosition> {
    const late = (): Error => new UnknownOutcomeError(this.#silence, 'Clear the history again.');
    return inTime(this.clock, this.answerMs, this.#clear(room), late);
  }

  get #silence(): string {
    return `the log didn't answer within ${this.answerMs} ms`;
  }

  #ask<T>(work: () => Promise<T>): Promise<T> {
    return inTime(this.clock, this.answerMs, work(), () => new LogUnavailableError(this.#silence));
  }

  /** Announces it also when the answer comes late. */
  async #append(room: string, frame: string, options: AppendOptions): Promise<Appended> {
    const appended = checkPlace(await this.log.append(room, frame, options), 'append');
    const { epoch, offset, isDuplicate } = appended;
    const { session } = options;
    if (!isDuplicate)
      this.announce(room, { kind: 'stored', epoch, offset, storedAt: this.clock.wall(), session, frame });
    return appended;
  }

  async #clear(room: string): Promise<RoomPosition> {
    const position = checkPlace(await this.log.clear(room), 'clear');
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
