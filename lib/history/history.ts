import type { Clock } from '../clock.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import { encodeMessage } from '../outbound/outgoing.js';
import { OutgoingMessage } from '../outbound/outgoing-message.js';
import type { Attachment, Resumption } from './attach.js';
import { CatchUps, firstOf } from './catch-up.js';
import type { Logs } from './compose-logs.js';
import type { HistoryRule } from './history-rule.js';
import type { LogEntry } from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import { passedAt, PublicationCache } from './publications.js';
import type { RoomReceiver } from './room-readers.js';
import type { ResetReason } from './room-reader.js';
import { Turns } from './turns.js';

/** When a room is reset, all its members ask the application for its data. This spreads them: one in a millisecond. */
const LEAST_SPREAD_MS = 1_000;
const MOST_SPREAD_MS = 30_000;

/** Delivers messages to the members of rooms with history, also those that members missed. */
export class History implements RoomReceiver {
  readonly #cache: PublicationCache;
  readonly #turns = new Turns();
  readonly #catchUps: CatchUps;
  readonly #pieceBytes: number;

  /** @param budgetBytes what may wait for a client. What it missed is queued a quarter of that at a time */
  constructor(
    private readonly logs: Pick<Logs, 'rules' | 'log' | 'readers'>,
    private readonly local: LocalDelivery,
    budgetBytes: number,
    clock: Clock,
    failed: (error: unknown, place: string) => void,
  ) {
    this.#cache = new PublicationCache(clock);
    this.#pieceBytes = Math.floor(budgetBytes / 4);
    this.#catchUps = new CatchUps({
      log: logs.log,
      local,
      readerOf: (roomName) => logs.readers.find(roomName),
      send: (...piece) => this.#send(...piece),
      turns: this.#turns,
      clock,
      pieceBytes: this.#pieceBytes,
      failed,
    });
  }

  ruleOf(roomName: string): HistoryRule | undefined {
    return this.logs.rules.of(roomName);
  }

  start(): void {
    this.logs.readers.start(this);
  }

  /** The next message of a room, for the members on this node. */
  deliver(roomName: string, epoch: string, entry: LogEntry): void {
    const { session } = entry;
    const own = session === undefined ? undefined : { session, message: passedAt(roomName, epoch, entry) };
    this.local.toRoom(roomName, this.#cache.encode(roomName, epoch, entry), own);
  }

  reset(roomName: string, { epoch, offset }: RoomPosition, reason: ResetReason): void {
    this.#catchUps.endAll(roomName);
    const withinMs = Math.min(MOST_SPREAD_MS, Math.max(LEAST_SPREAD_MS, this.local.membersIn(roomName)));
    const data = { roomName, epoch, offset, reason, withinMs };
    const frame = encodeMessage({ type: 'system', action: 'roomReset', data });
    this.local.toRoom(roomName, new OutgoingMessage(frame));
  }

  /**
   * Lets a client of this node in. `enter` makes it a member and answers it; what it missed follows in the same turn, as much as may
   * be queued at once, and the rest as it takes it. One room of a client after the other, each once the client has taken most of
   * what was queued before: it isn't closed for what it asked for.
   * @throws {LogUnavailableError} and what `enter` throws: nothing has changed then
   */
  attach(
    clientId: string,
    roomName: string,
    rule: HistoryRule,
    resumption: Resumption,
    enter: (attachment: Attachment) => void,
  ): Promise<void> {
    const isResumption = resumption.since !== undefined || resumption.tail !== undefined || rule.mode === 'last';
    const letIn = async (): Promise<void> => {
      if (isResumption) await this.local.whenBelow(clientId, this.#pieceBytes);
      await this.logs.readers.attach(roomName, rule, resumption, (attachment) => {
        enter(attachment);
        this.local.setEcho(clientId, roomName, resumption.echo !== false);
        this.#catchUps.end(clientId, roomName); // of an earlier join
        const { position, recovered, entries } = attachment;
        const piece = firstOf(entries, this.#pieceBytes);
        this.#send(clientId, roomName, position.epoch, piece);
        const reached = piece.at(-1)?.offset ?? (recovered ? resumption.since?.offset : undefined);
        // In `last` mode nothing more is owed: what lies between is worthless, or has aged out.
        if (rule.mode === 'log' && reached !== undefined && reached < position.offset)
          this.#catchUps.start(clientId, roomName, position.epoch, reached);
      });
    };
    return isResumption ? this.#turns.take(clientId, letIn) : letIn();
  }

  #send(clientId: string, roomName: string, epoch: string, entries: readonly LogEntry[]): void {
    const session = this.local.sessionOf(clientId);
    for (const entry of entries) {
      const isOwn = session !== undefined && entry.session === session;
      const message = isOwn ? passedAt(roomName, epoch, entry) : this.#cache.messageOf(roomName, epoch, entry);
      this.local.toClient(clientId, message);
    }
  }
}
