import type { LocalDelivery } from '../outbound/local-delivery.js';
import { encodeMessage } from '../outbound/outgoing.js';
import { OutgoingMessage } from '../outbound/outgoing-message.js';
import type { Attachment, Resumption } from './attach.js';
import type { Logs } from './compose-logs.js';
import type { HistoryRule } from './history-rule.js';
import type { LogEntry } from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import { PublicationCache } from './publications.js';
import type { RoomReceiver } from './room-readers.js';
import type { ResetReason } from './room-reader.js';

/** When a room is reset, all its members ask the application for its data. This spreads them: one in a millisecond. */
const LEAST_SPREAD_MS = 1_000;
const MOST_SPREAD_MS = 30_000;

/** Delivers messages to the members of rooms with history, also those that members missed. */
export class History implements RoomReceiver {
  readonly #cache = new PublicationCache();
  /** The last `attach()` of each client that waits for its turn. */
  readonly #attaching = new Map<string, Promise<void>>();

  constructor(
    private readonly logs: Pick<Logs, 'rules' | 'readers'>,
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
}
