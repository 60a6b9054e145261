import type { LocalDelivery } from '../outbound/local-delivery.js';
import { encodeMessage } from '../outbound/outgoing.js';
import { OutgoingMessage } from '../outbound/outgoing-message.js';
import { JunkError } from '../cluster/bus-input.js';
import type { Audience, Delivery } from '../protocol/delivery.js';
import type { WebSocketMessage } from '../protocol/message.js';
import { InvalidMessageError } from '../errors.js';
import type { Attachment, Resumption } from './attach.js';
import type { Logs } from './compose-logs.js';
import type { HistoryRule } from './history-rule.js';
import type { Appended, LogEntry } from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import { encodeAt, PublicationCache } from './publications.js';
import type { RoomReceiver } from './room-readers.js';
import type { ResetReason } from './room-reader.js';

export interface PublishOptions {
  /** Publishes only once within `keyTtlMs`, however often it is called. 1–128 characters. */
  key?: string;
  /** A growing number. In `last` mode, a version that isn't newer than the kept one is ignored. */
  version?: number;
}

/** A message as `history()` returns it. */
export interface Publication extends WebSocketMessage {
  at: { room: string; epoch: string; offset: number };
}

export interface HistoryPage {
  epoch: string;
  /** The newest place. */
  offset: number;
  /** The oldest that is kept; `offset + 1` if there is none. */
  first: number;
  /** Oldest first, or newest first with `reverse`. */
  entries: Publication[];
  /** There are more between the bounds. */
  more: boolean;
}

export interface HistoryQuery {
  /** At most 100. @default 100 */
  limit?: number;
  /** Only messages after this place. */
  since?: RoomPosition;
  /** Only messages before this place. */
  before?: RoomPosition;
  /** Newest first. @default false */
  reverse?: boolean;
}

const MAX_PAGE = 100;
/** The size of one page. */
const PAGE_BYTES = 262_144;
/** When a room is reset, all its members ask the application for its data. This spreads them: one in a millisecond. */
const LEAST_SPREAD_MS = 1_000;
const MOST_SPREAD_MS = 30_000;

/** Rooms with history: publishing, reading, and members that come back. */
export class History implements RoomReceiver {
  readonly #cache = new PublicationCache();
  /** The last `attach()` of each client that waits for its turn. */
  readonly #attaching = new Map<string, Promise<void>>();

  constructor(
    private readonly logs: Pick<Logs, 'rules' | 'log' | 'readers'>,
    private readonly local: LocalDelivery,
  ) {}

  ruleOf(roomName: string): HistoryRule | undefined {
    return this.logs.rules.of(roomName);
  }

  start(): void {
    this.logs.readers.start(this);
  }

  /** The next message of a room, for the members on this node. */
  deliver(roomName: string, epoch: string, entry: LogEntry): void {
    this.local.toRoom(roomName, this.#cache.messageOf(roomName, epoch, entry));
  }

  reset(roomName: string, { epoch, offset }: RoomPosition, reason: ResetReason): void {
    const withinMs = Math.min(MOST_SPREAD_MS, Math.max(LEAST_SPREAD_MS, this.local.membersIn(roomName)));
    const data = { roomName, epoch, offset, reason, withinMs };
    const frame = encodeMessage({ type: 'system', action: 'roomReset', data });
    this.local.toRoom(roomName, new OutgoingMessage(frame));
  }

  /**
   * Makes a client of this node a member. `enter` adds it and answers it; what it missed follows in the same turn.
   * Rooms of one client take turns, and each waits until the client has read most of the one before: otherwise its
   * buffer would overflow.
   * @throws {LogUnavailableError} and whatever `enter` throws: nothing has changed then
   */
  attach(
    clientId: string,
    roomName: string,
    rule: HistoryRule,
    resumption: Resumption,
    enter: (attachment: Attachment) => void,
  ): Promise<void> {
    const { readers } = this.logs;
    const isResumption = resumption.since !== undefined || resumption.tail !== undefined || rule.mode === 'last';
    const inTurn = async (): Promise<void> => {
      if (isResumption) await this.local.whenBelow(clientId, rule.recoverMaxBytes);
      await readers.attach(roomName, rule, resumption, (attachment) => {
        enter(attachment);
        const { epoch } = attachment.position;
        for (const entry of attachment.entries)
          this.local.toClient(clientId, this.#cache.messageOf(roomName, epoch, entry));
      });
    };
    if (!isResumption) return inTurn();
    const attaching = (this.#attaching.get(clientId) ?? Promise.resolve()).then(inTurn);
    const settled = attaching.catch(() => undefined); // for the next one in turn
    this.#attaching.set(clientId, settled);
    void settled.then(() => {
      if (this.#attaching.get(clientId) === settled) this.#attaching.delete(clientId);
    });
    return attaching;
  }

  /** @throws {InvalidMessageError} and what `RoomLog.append()` throws */
  publish(roomName: string, message: WebSocketMessage, options: PublishOptions = {}): Promise<Appended> {
    const { key, version } = options;
    if (key !== undefined && !(typeof key === 'string' && key.length >= 1 && key.length <= 128))
      throw new InvalidMessageError('The key must be a string of 1–128 characters.');
    if (version !== undefined && !Number.isFinite(version))
      throw new InvalidMessageError('The version must be a finite number.');
    return this.logs.log.append(roomName, encodeMessage(message), { key, version });
  }

  /** Publishes a copy to each room. @throws the error, if all of them failed */
  async publishToAll(roomNames: readonly string[], message: WebSocketMessage): Promise<void> {
    const results = await Promise.allSettled(roomNames.map((roomName) => this.publish(roomName, message)));
    const failures = results.filter((result) => result.status === 'rejected');
    if (failures.length > 0 && failures.length === results.length) throw failures[0]?.reason;
  }

  async position(roomName: string): Promise<RoomPosition> {
    const [position] = await this.logs.log.top([roomName]);
    return position as RoomPosition;
  }

  async page(
    roomName: string,
    { limit = MAX_PAGE, since, before, reverse = false }: HistoryQuery,
  ): Promise<HistoryPage> {
    const read = await this.logs.log.read(roomName, {
      limit: Math.min(Math.max(1, limit), MAX_PAGE),
      maxBytes: PAGE_BYTES,
      since: since?.offset,
      before: before?.offset,
      reverse,
    });
    const { epoch, top: offset, first } = read;
    // A place of another epoch is no bound here.
    const isOther = [since, before].some((place) => place !== undefined && place.epoch !== epoch);
    const entries = isOther
      ? []
      : read.entries.map((entry) => JSON.parse(encodeAt(roomName, epoch, entry)) as Publication);
    const [low, high] = [Math.max(first, (since?.offset ?? 0) + 1), Math.min(offset, (before?.offset ?? Infinity) - 1)];
    return { epoch, offset, first, entries, more: !isOther && entries.length < Math.max(0, high - low + 1) };
  }

  clear(roomName: string): Promise<RoomPosition> {
    return this.logs.log.clear(roomName);
  }

  /**
   * A sender that doesn't know the rule sent a message without a place: an emitter, another program, or a node with
   * other options. Members couldn't recover it, so it is refused.
   * @throws {JunkError}
   */
  refuseUnnumbered({ audience }: Pick<Delivery, 'audience'>): void {
    const [roomName] = this.roomsIn(audience);
    if (roomName !== undefined)
      throw new JunkError(
        `A message for the room "${roomName}", which keeps its messages, was left out: its sender doesn't know that. Give every ` +
          'node and emitter the same rooms.history.',
      );
  }

  /** The rooms of an audience that have a history. */
  roomsIn(audience: Audience): string[] {
    return audience.kind === 'rooms' ? audience.roomNames.filter((name) => this.ruleOf(name) !== undefined) : [];
  }
}
