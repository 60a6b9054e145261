import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { type ClientNews, type Move, type NewsPiece, writePiece } from './client-news.js';
import type { OwnNews } from './own-entry.js';
import type { ClientRecord } from './client-record.js';

/** Most bytes of one event. A longer one would hold up the messages behind it. */
const MAX_PIECE_BYTES = 65_536;
/** What an entry for one client costs besides names and values, and what one move costs, in bytes. */
const NEWS_BYTES = 80;
const MOVE_BYTES = 8;
/**
 * A client may change its own fields often. The first change goes out at once, the next ones after this time, with the
 * last values.
 */
const FIELDS_EVERY_MS = 100;

/** A change of a client of this node. */
export interface LocalChange {
  readonly clientId: string;
  /** Named in the events. */
  readonly userId: string | number | undefined;
  /** Makes the client's record when it is published. Undefined for a client that is gone. */
  readonly describe: (() => ClientRecord) | undefined;
  readonly moves?: readonly Move[];
  /** The client has another user, or its user has other claims. */
  readonly hasOtherUser?: boolean;
  /** Metadata keys that were written or removed. */
  readonly keys?: Iterable<string>;
  readonly came?: ClientNews['came'];
  /** The client asked for it itself, perhaps very often. */
  readonly isAsked?: boolean;
}

export interface ChangeFeedHost {
  readonly clock: Clock;
  nodeId(): string;
  /** Whether other nodes know this client. True without a registry. */
  hasTold(clientId: string): boolean;
  /** Writes the change down. @returns its number; undefined without a registry */
  number(news: readonly OwnNews[]): number | undefined;
  /** Settles when the piece was handed over, or failed. */
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
 * Announces changes of this node's clients to the other nodes. Changes of one turn go out together, and so do those
 * made while the last event is under way. Only the last state of each client is sent, so many changes cost little more
 * than one. Messages go first.
 */
export class ChangeFeed {
  #pending = new Map<string, Pending>();
  /** Changes of own fields that wait for `FIELDS_EVERY_MS`. */
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
    if (came !== 'returned') one.describe = describe; // otherwise the record that is known is newer
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

  /** Announces that all these clients are gone with their node. Resolves when that was handed over, or failed. */
  async announceEnd(nodeId: string, records: readonly ClientRecord[], reason: string): Promise<void> {
    await this.drained();
    for (const piece of piecesOf(goodbyesOf(records)))
      await this.#publish({ nodeId, version: undefined, reason, news: piece });
  }

  /** Publishes everything that waits, now. */
  settle(): void {
    this.#release();
    for (const piece of piecesOf(this.#take(Infinity))) void this.#send(piece);
  }

  /** Resolves when nothing waits. */
  async drained(): Promise<void> {
    this.#release();
    this.#run();
    if (this.#isSending) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Drops what waits, and publishes nothing more. */
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
    // counted by the bus; the other nodes see the gap and read Redis
    await this.host.publish(writePiece(piece)).catch(() => undefined);
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
