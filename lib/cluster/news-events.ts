import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { errorOf } from '../protocol/thrown.js';
import { WebSocketRedisSubscriberEvent as Event } from '../protocol/events.js';
import type { ClientNews, NewsPiece } from './client-news.js';

/** Events are raised for this long in one turn, in ms. Half of the 10 ms of a turn, because other long work may be under way. */
const STEP_MS = 5;
/** News of more clients than this don't wait: they are raised at once, before more is read. */
const MAX_WAITING = 200_000;

export interface NewsListener {
  /** Whether anybody subscribes to this event. */
  hears(event: string): boolean;
  event(event: string, message: object): void;
}

const EVENTS = [Event.ClientConnected, Event.ClientJoinedRoom, Event.ClientLeftRoom, Event.ClientDisconnected];

/** Turns news into events for subscribers, in order, in small steps. */
export class NewsEvents {
  #waiting: NewsPiece[] = [];
  /** Position within the first piece that waits. */
  #next = 0;
  #count = 0;
  #isScheduled = false;
  readonly #step: () => void;

  constructor(
    private readonly listener: NewsListener,
    private readonly clock: Clock,
    private readonly failed: (error: Error, place: string) => void,
    /** False if events don't name the node. */
    private readonly hasNodes: boolean,
  ) {
    this.#step = guarded('events of clients', failed, () => {
      this.#isScheduled = false;
      this.#raise(STEP_MS);
    });
  }

  push(piece: NewsPiece): void {
    if (!EVENTS.some((event) => this.listener.hears(event))) return;
    this.#waiting.push(piece);
    this.#count += piece.news.length;
    if (this.#isScheduled && this.#count <= MAX_WAITING) return;
    this.#raise(this.#count <= MAX_WAITING ? STEP_MS : Infinity);
  }

  #raise(ms: number): void {
    const until = this.clock.now() + ms;
    for (;;) {
      const piece = this.#waiting[0];
      if (!piece) return;
      const one = piece.news[this.#next++];
      if (one) {
        this.#count--;
        this.#raiseOf(piece, one);
      } else {
        this.#waiting.shift();
        this.#next = 0;
      }
      if (this.clock.now() >= until) break;
    }
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    this.clock.soon(this.#step);
  }

  #raiseOf({ nodeId, reason }: NewsPiece, { clientId, userId, moves, record, came, isGone }: ClientNews): void {
    const why = came === 'returned' ? 'node-returned' : reason;
    const facts = {
      clientId,
      ...(userId !== undefined && { userId }),
      ...(this.hasNodes && { nodeId }),
      ...(why !== undefined && { reason: why }),
    };
    if (came) this.#event(Event.ClientConnected, { ...facts, lastActivity: record?.lastActivity });
    for (const { roomName, isIn } of moves)
      this.#event(isIn ? Event.ClientJoinedRoom : Event.ClientLeftRoom, { ...facts, roomName });
    if (isGone) this.#event(Event.ClientDisconnected, facts);
  }

  #event(event: string, message: object): void {
    try {
      this.listener.event(event, message);
    } catch (thrown) {
      this.failed(errorOf(thrown), event);
    }
  }
}
