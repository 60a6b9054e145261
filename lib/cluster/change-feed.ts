import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { type ClientNews, type Move, type NewsPiece, writePiece } from './client-news.js';
import type { OwnNews } from './own-entry.js';
import type { ClientRecord } from './client-record.js';

/** What goes out as one event, in bytes: longer news would hold up the messages behind them. */
const MAX_PIECE_BYTES = 65_536;
/** What the news of one client cost besides their names and values, and one move. */
const NEWS_BYTES = 80;
const MOVE_BYTES = 8;
/** Own fields that a client changes itself are told at once, then no sooner than so many ms later: the last values count. */
const FIELDS_EVERY_MS = 100;

/** Something changed of a client of this node. */
export interface LocalChange {
  readonly clientId: string;
  /** Who it is, for the events. */
  readonly userId: string | number | undefined;
  /** What is kept of it, when it is told. Undefined for one that is gone. */
  readonly describe: (() => ClientRecord) | undefined;
  readonly moves?: readonly Move[];
  /** Its user is another, or has other claims. */
  readonly hasOtherUser?: boolean;
  /** Metadata that was written or removed. */
  readonly keys?: Iterable<string>;
  readonly came?: ClientNews['came'];
  /** The client itself wanted it: it may want much. */
  readonly isAsked?: boolean;
}

export interface ChangeFeedHost {
  readonly clock: Clock;
  nodeId(): string;
  /** Whether the others were told of this client; true where nobody keeps count. */
  hasTold(clientId: string): boolean;
  /** Writes it down. @returns the number of this change; undefined where nobody keeps count */
  number(news: readonly OwnNews[]): number | undefined;
  /** Settles when it is handed over, or can't be. */
  publish(piece: unknown): Promise<unknown>;
  failed(error: Error, place: string): void;
}

interface Pending {
  userId: string | number | undefined;
  describe: (() => ClientRecord) | undefined;
  moves: Move[];
  hasOtherUser: boolean;
  keys: Set<string> | undefined;
  came: ClientNews['came'];
}

/**
 * Tells the others what changes of this node's clients. What changes in one turn, and while the piece before is under way, goes
 * out together, and of each client only the last: many changes cost little more than one. Messages overtake the rest.
 */
export class ChangeFeed {
  #pending = new Map<string, Pending>();
  /** Only own fields of clients that told of some a moment ago. */
  #held = new Map<string, Pending>();
  readonly #toldFields = new Set<string>();
  #isSending = false;
  #isScheduled = false;
  #stopTimer: (() => void) | undefined;
  #idle: (() => void)[] = [];

  constructor(private readonly host: ChangeFeedHost) {}

  add({ clientId, userId, describe, moves = [], hasOtherUser = false, keys, came, isAsked }: LocalChange): void {
    const mayWait = isAsked && describe !== undefined && moves.length === 0;
    const known = this.#pending.get(clientId) ?? this.#held.get(clientId);
    const one: Pending = known ?? {
      userId,
      describe,
      moves: [],
      hasOtherUser: false,
      keys: undefined,
      came: undefined,
    };
    one.userId = userId;
    if (came !== 'returned') one.describe = describe; // else what is known is newer
    one.hasOtherUser ||= hasOtherUser;
    one.came ??= came;
    for (const move of moves) one.moves.push(move);
    for (const key of keys ?? []) (one.keys ??= new Set()).add(key);
    if (this.#pending.has(clientId)) return;
    if (mayWait && this.#toldFields.has(clientId)) return void this.#held.set(clientId, one);
    this.#held.delete(clientId);
    this.#pending.set(clientId, one);
    this.#schedule();
  }

  /** All of these left, with their node. Resolves when the others were told, or can't be. */
  async announceEnd(nodeId: string, records: readonly ClientRecord[], reason: string): Promise<void> {
    await this.drained();
    for (const piece of piecesOf(goodbyesOf(records))) await this.#publish({ nodeId, version: undefined, reason, news: piece });
  }

  /** Everything that changed goes out now, however much it is. */
  settle(): void {
    this.#release();
    for (const piece of piecesOf(this.#take(Infinity))) void this.#send(piece);
  }

  /** Resolves when nothing is left to be told. */
  async drained(): Promise<void> {
    this.#release();
    this.#run();
    if (this.#isSending) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Nothing is told any more. */
  stop(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#pending.clear();
    this.#held.clear();
    this.#toldFields.clear();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isSending) return;
    this.#isScheduled = true;
    this.host.clock.soon(
      guarded('telling of clients', this.host.failed, () => {
        this.#isScheduled = false;
        this.#run();
      }),
    );
  }

  #run(): void {
    if (this.#isSending) return;
    this.#isSending = true;
    this.#sendAll()
      .catch((error: unknown) => this.host.failed(error as Error, 'telling of clients'))
      .finally(() => {
        this.#isSending = false;
        for (const resolve of this.#idle.splice(0)) resolve();
      });
  }

  async #sendAll(): Promise<void> {
    while (this.#pending.size > 0)
      for (const piece of piecesOf(this.#take(MAX_PIECE_BYTES / NEWS_BYTES))) await this.#send(piece);
  }

  #send(news: readonly OwnNews[]): Promise<void> {
    const version = this.host.number(news);
    return this.#publish({ nodeId: this.host.nodeId(), version, news });
  }

  async #publish(piece: NewsPiece): Promise<void> {
    await this.host.publish(writePiece(piece)).catch(() => undefined); // counted by the bus; others see the gap and read
  }

  #take(most: number): OwnNews[] {
    const news: OwnNews[] = [];
    for (const [clientId, pending] of this.#pending) {
      if (news.length >= most) break;
      this.#pending.delete(clientId);
      const one = this.#newsOf(clientId, pending);
      if (one) news.push(one);
    }
    return news;
  }

  #newsOf(clientId: string, { userId, describe, moves, hasOtherUser, keys, came }: Pending): OwnNews | undefined {
    const common = { clientId, userId, moves, came };
    const hasTold = this.host.hasTold(clientId);
    if (!describe) return hasTold || came || moves.length > 0 ? { ...common, isGone: true } : undefined;
    if (!hasTold || came) return { ...common, record: describe(), isGone: false };
    if (!hasOtherUser && !keys) return moves.length > 0 ? { ...common, isGone: false } : undefined;
    this.#noteFields(clientId);
    const now = describe();
    return { ...common, fields: fieldsOf(now, hasOtherUser, keys), now, isGone: false };
  }

  #noteFields(clientId: string): void {
    this.#toldFields.add(clientId);
    const release = guarded('telling of clients', this.host.failed, () => this.#release());
    this.#stopTimer ??= this.host.clock.after(FIELDS_EVERY_MS, release);
  }

  #release(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#toldFields.clear();
    for (const [clientId, one] of this.#held) this.#pending.set(clientId, one);
    this.#held.clear();
    if (this.#pending.size > 0) this.#schedule();
  }
}

function fieldsOf({ user, metadata }: ClientRecord, hasOtherUser: boolean, keys: Set<string> = new Set()) {
  const kept = [...keys].filter((key) => Object.hasOwn(metadata, key));
  const removed = [...keys].filter((key) => !Object.hasOwn(metadata, key));
  return {
    ...(hasOtherUser && { user }),
    ...(kept.length > 0 && { metadata: Object.fromEntries(kept.map((key) => [key, metadata[key]])) }),
    ...(removed.length > 0 && { removed }),
  };
}

/** Made when their turn comes: those of a whole node would take long. */
function* goodbyesOf(records: readonly ClientRecord[]): Iterable<OwnNews> {
  for (const { clientId, user, rooms } of records) {
    const moves = rooms.map((roomName) => ({ roomName, isIn: false }));
    yield { clientId, userId: user?.userId, moves, isGone: true };
  }
}

function* piecesOf(news: Iterable<OwnNews>): Generator<OwnNews[]> {
  let piece: OwnNews[] = [];
  let bytes = 0;
  let rooms = new Set<string>();
  for (const one of news) {
    bytes += bytesOf(one, rooms);
    if (bytes > MAX_PIECE_BYTES && piece.length > 0) {
      yield piece;
      piece = [];
      rooms = new Set();
      bytes = bytesOf(one, rooms);
    }
    piece.push(one);
  }
  if (piece.length > 0) yield piece;
}

function bytesOf({ clientId, userId, moves, record, fields }: OwnNews, rooms: Set<string>): number {
  let bytes = NEWS_BYTES + clientId.length + String(userId).length + MOVE_BYTES * moves.length;
  for (const { roomName } of moves) {
    if (!rooms.has(roomName)) bytes += 3 * roomName.length;
    rooms.add(roomName);
  }
  for (const values of [record, fields]) if (values) bytes += Buffer.byteLength(JSON.stringify(values));
  return bytes;
}
