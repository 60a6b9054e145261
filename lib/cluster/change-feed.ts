import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import type { ClientNews, Move, NewsPiece } from './client-news.js';
import type { ClientRecord } from './client-record.js';
import type { OwnNews } from './field-writer.js';
import type { NodeIdentity } from './node-identity.js';
import { goodbyesOf, MAX_NEWS, piecesOf } from './news-pieces.js';
import type { Registry } from './registry.js';

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

export interface ChangeFeedParts {
  readonly clock: Clock;
  readonly node: Pick<NodeIdentity, 'id'>;
  /** Undefined where there are no other nodes. */
  readonly registry: Pick<Registry, 'hasTold' | 'changed'> | undefined;
  /** Settles when the piece was handed over, or failed. */
  publish(piece: NewsPiece): Promise<unknown>;
  failed(error: Error, place: string): void;
}

/** Which of a client's own fields changed. */
interface ChangedFields {
  hasOtherUser: boolean;
  keys: Set<string> | undefined;
}

interface Pending extends ChangedFields {
  userId: string | number | undefined;
  describe: (() => ClientRecord) | undefined;
  moves: Move[];
  came: ClientNews['came'];
  /** The first so many moves only say in which rooms a client that returned is. */
  formerMoves: number;
}

/** Changes of own fields that wait. Moves don't. */
interface Held extends ChangedFields {
  readonly change: LocalChange;
}

/**
 * Announces changes of this node's clients to the other nodes. Changes of one turn go out together, and so do those
 * made while the last event is under way. Only the last state of each client is sent, so many changes cost little more
 * than one. Messages go first.
 */
export class ChangeFeed {
  #pending = new Map<string, Pending>();
  /** Changes of own fields that wait for `FIELDS_EVERY_MS`. */
  #held = new Map<string, Held>();
  readonly #toldFields = new Set<string>();
  #isSending = false;
  #isScheduled = false;
  #stopTimer: (() => void) | undefined;
  #idle: (() => void)[] = [];

  constructor(private readonly parts: ChangeFeedParts) {}

  add(change: LocalChange): void {
    const { clientId, describe, moves = [], hasOtherUser = false, keys, isAsked } = change;
    const fields: ChangedFields = { hasOtherUser, keys: undefined };
    for (const key of keys ?? []) (fields.keys ??= new Set()).add(key);
    if (!describe) this.#held.delete(clientId);
    const mayWait = isAsked && describe && (hasOtherUser || fields.keys) && this.#toldFields.has(clientId);
    if (!mayWait) return this.#pend(change, fields);
    this.#hold(change, fields);
    if (moves.length > 0) this.#pend(change, NO_FIELDS); // where it is doesn't wait
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

  #pend({ clientId, userId, describe, moves = [], came }: LocalChange, fields: ChangedFields): void {
    let one = this.#pending.get(clientId);
    if (!one) {
      one = { userId, describe, moves: [], hasOtherUser: false, keys: undefined, came: undefined, formerMoves: 0 };
      this.#pending.set(clientId, one);
    }
    one.userId = userId;
    if (came !== 'returned') one.describe = describe; // otherwise the record that is known is newer
    one.came ??= came;
    for (const move of moves) one.moves.push(move);
    if (came === 'returned') one.formerMoves = one.moves.length;
    addFields(one, fields);
    this.#schedule();
  }

  #hold(change: LocalChange, fields: ChangedFields): void {
    const held = this.#held.get(change.clientId);
    const { hasOtherUser, keys } = held ?? { hasOtherUser: false, keys: undefined };
    const one = { change, hasOtherUser, keys };
    addFields(one, fields);
    this.#held.set(change.clientId, one);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isSending) return;
    this.#isScheduled = true;
    this.parts.clock.soon(
      guarded('telling of clients', this.parts.failed, () => {
        this.#isScheduled = false;
        this.#run();
      }),
    );
  }

  #run(): void {
    if (this.#isSending) return;
    this.#isSending = true;
    this.#sendAll()
      .catch((error: unknown) => this.parts.failed(error as Error, 'telling of clients'))
      .finally(() => {
        this.#isSending = false;
        for (const resolve of this.#idle.splice(0)) resolve();
      });
  }

  async #sendAll(): Promise<void> {
    while (this.#pending.size > 0) for (const piece of piecesOf(this.#take(MAX_NEWS))) await this.#send(piece);
  }

  #send(news: readonly OwnNews[]): Promise<void> {
    const version = this.parts.registry?.changed(news);
    return this.#publish({ nodeId: this.parts.node.id, version, news });
  }

  async #publish(piece: NewsPiece): Promise<void> {
    // counted by the bus; the other nodes see the gap and read Redis
    await this.parts.publish(piece).catch(() => undefined);
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

  #newsOf(clientId: string, pending: Pending): OwnNews | undefined {
    const { userId, describe, moves, hasOtherUser, keys, came, formerMoves } = pending;
    const common = {
      clientId,
      userId,
      moves,
      came,
      ...(came === 'returned' && { movesSince: moves.slice(formerMoves) }),
    };
    const hasTold = this.parts.registry?.hasTold(clientId) ?? true;
    if (!describe) return hasTold || came || moves.length > 0 ? { ...common, isGone: true } : undefined;
    if (!hasTold || came) {
      this.#held.delete(clientId);
      return { ...common, record: describe(), isGone: false };
    }
    if (!hasOtherUser && !keys) return moves.length > 0 ? { ...common, isGone: false } : undefined;
    this.#noteFields(clientId);
    const now = describe();
    return { ...common, fields: fieldsOf(now, hasOtherUser, keys), now, isGone: false };
  }

  #noteFields(clientId: string): void {
    this.#toldFields.add(clientId);
    const release = guarded('telling of clients', this.parts.failed, () => this.#release());
    this.#stopTimer ??= this.parts.clock.after(FIELDS_EVERY_MS, release);
  }

  #release(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#toldFields.clear();
    for (const { change, ...fields } of this.#held.values()) this.#pend({ ...change, moves: [] }, fields);
    this.#held.clear();
  }
}

const NO_FIELDS: ChangedFields = { hasOtherUser: false, keys: undefined };

function addFields(to: ChangedFields, { hasOtherUser, keys }: ChangedFields): void {
  to.hasOtherUser ||= hasOtherUser;
  if (!keys) return;
  if (!to.keys) to.keys = keys;
  else for (const key of keys) to.keys.add(key);
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
