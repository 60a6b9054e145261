import type { Clock } from '../clock.js';
import type { LocalDelivery } from '../outbound/local-delivery.js';
import { LogUnavailableError } from './log-errors.js';
import { areNext, type LogEntry, type RoomLog } from './room-log.js';
import type { RoomReader } from './room-reader.js';
import type { Turns } from './turns.js';

export interface CatchUpParts {
  log: Pick<RoomLog, 'read'>;
  local: Pick<LocalDelivery, 'isIn' | 'setApart' | 'putBack' | 'giveUp' | 'whenBelow'>;
  /** The room's reader, as long as the room has members here. */
  readerOf(roomName: string): RoomReader | undefined;
  send(clientId: string, roomName: string, epoch: string, entries: readonly LogEntry[]): void;
  turns: Turns;
  clock: Clock;
  /** What may be queued for a client at once. */
  pieceBytes: number;
  failed(error: unknown, place: string): void;
}

/** A member and how far it has got. */
interface Behind {
  readonly clientId: string;
  readonly roomName: string;
  readonly epoch: string;
  offset: number;
  isOver: boolean;
}

const MAX_ENTRIES = 500;
const RETRY_MS = 500;

/**
 * Members that missed more than may be queued at once. They get it in pieces, each once they have taken the one before, from memory
 * or from the log; what is live comes behind it in the same way. Nothing is kept for them here but their place.
 */
export class CatchUps {
  readonly #ofRoom = new Map<string, Map<string, Behind>>();

  constructor(private readonly parts: CatchUpParts) {}

  /** How many are behind. */
  get size(): number {
    return [...this.#ofRoom.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** From here on the member gets everything after `offset` by this way, until it has got all. */
  start(clientId: string, roomName: string, epoch: string, offset: number): void {
    this.end(clientId, roomName);
    const behind = { clientId, roomName, epoch, offset, isOver: false };
    const ofRoom = this.#ofRoom.get(roomName) ?? new Map<string, Behind>();
    this.#ofRoom.set(roomName, ofRoom.set(clientId, behind));
    this.parts.local.setApart(clientId, roomName);
    void this.#run(behind);
  }

  /** The member starts again, or has got everything: from now on it gets live messages as others do. */
  end(clientId: string, roomName: string): void {
    const ofRoom = this.#ofRoom.get(roomName);
    const behind = ofRoom?.get(clientId);
    if (!ofRoom || !behind) return;
    behind.isOver = true;
    ofRoom.delete(clientId);
    if (ofRoom.size === 0) this.#ofRoom.delete(roomName);
    this.parts.local.putBack(clientId, roomName);
  }

  /** A new epoch of the room has begun. */
  endAll(roomName: string): void {
    for (const clientId of this.#ofRoom.get(roomName)?.keys() ?? []) this.end(clientId, roomName);
  }

  async #run(behind: Behind): Promise<void> {
    const { turns, clock } = this.parts;
    while (!behind.isOver) {
      try {
        await turns.take(behind.clientId, () => this.#sendPiece(behind));
      } catch (error) {
        if (!(error instanceof LogUnavailableError)) return this.#fail(behind, error);
        // The room's reader says so, and goes on trying, too.
        await new Promise<void>((resolve) => clock.after(RETRY_MS, () => resolve()));
      }
    }
  }

  async #sendPiece(behind: Behind): Promise<void> {
    const { local, pieceBytes } = this.parts;
    await local.whenBelow(behind.clientId, pieceBytes);
    if (!this.#goesOn(behind)) return;
    const entries = await this.#next(behind);
    if (!this.#goesOn(behind)) return;
    const { clientId, roomName, epoch } = behind;
    if (!entries) return this.#giveUp(behind);
    this.parts.send(clientId, roomName, epoch, entries);
    behind.offset = entries.at(-1)?.offset ?? behind.offset;
    if (behind.offset === this.parts.readerOf(roomName)?.position?.offset) this.end(clientId, roomName);
  }

  /** It would have to miss something, so it is disconnected. When it comes back, its join says what it can still get. */
  #giveUp({ clientId, roomName }: Behind): void {
    this.end(clientId, roomName);
    this.parts.local.giveUp(clientId);
  }

  #fail(behind: Behind, error: unknown): void {
    this.#giveUp(behind);
    this.parts.failed(error, 'what a member missed');
  }

  #goesOn(behind: Behind): boolean {
    const { clientId, roomName } = behind;
    if (!behind.isOver && !this.parts.local.isIn(clientId, roomName)) this.end(clientId, roomName);
    return !behind.isOver;
  }

  /** @returns undefined when what comes next isn't kept any more */
  async #next({ roomName, epoch, offset }: Behind): Promise<LogEntry[] | undefined> {
    const { log, readerOf, pieceBytes } = this.parts;
    const reader = readerOf(roomName);
    if (reader?.position?.epoch !== epoch) throw new LogUnavailableError('this node is finding its place');
    const atHand = reader.since(offset);
    if (atHand) return firstOf(atHand, pieceBytes).slice(0, MAX_ENTRIES);
    const read = await log.read(roomName, { since: offset, limit: MAX_ENTRIES, maxBytes: pieceBytes });
    if (read.epoch !== epoch) {
      await reader.sync(); // resets the room, if the log has begun anew
      throw new LogUnavailableError('the log began a new epoch');
    }
    const isGone = read.entries.length === 0 && read.top > offset;
    if (isGone || !areNext(read.entries, offset)) return undefined;
    const top = reader.position?.offset ?? 0;
    return read.entries.filter((entry) => entry.offset <= top);
  }
}

/** Those that fit, one at least. */
export function firstOf(entries: readonly LogEntry[], maxBytes: number): LogEntry[] {
  let bytes = 0;
  const end = entries.findIndex(({ frame }, at) => (bytes += Buffer.byteLength(frame)) > maxBytes && at > 0);
  return entries.slice(0, end < 0 ? undefined : end);
}
