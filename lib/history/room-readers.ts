import type { Clock } from '../clock.js';
import type { Announcement } from './announcement.js';
import { attach, type Attachment, type Resumption } from './attach.js';
import type { HistoryRule } from './history-rule.js';
import { RingBudget } from './ring.js';
import type { LogEntry, RoomLog } from './room-log.js';
import type { RoomPosition } from '../protocol/message.js';
import { type ResetReason, RoomReader } from './room-reader.js';
import { Steps } from '../steps.js';

export interface RoomReadersParts {
  log: Pick<RoomLog, 'top' | 'read'>;
  clock: Clock;
  /** Resolves when the room's announcements arrive here. The returned function ends that. */
  follow(room: string, heard: (said: Announcement) => void): Promise<() => void>;
  failed(error: Error, place: string): void;
}

/** Gets what readers find, for the members on this node. */
export interface RoomReceiver {
  /** The next message. */
  deliver(room: string, epoch: string, entry: LogEntry): void;
  /** Members must load the room's data again. */
  reset(room: string, position: RoomPosition, reason: ResetReason): void;
  /** The reader of the room has ended. */
  ended?(room: string): void;
}

/** Before the start there are no members. */
const NOBODY: RoomReceiver = { deliver: () => undefined, reset: () => undefined };

/** How long a reader outlives its last member, in ms: a client that reconnects finds it running. */
const LINGER_MS = 10_000;

interface Held {
  readonly room: string;
  reader: RoomReader;
  holds: number;
  cancelEnd: (() => void) | undefined;
}

/** The readers of this node: one for each room with history that has a member here, or had one a moment ago. */
export class RoomReaders {
  readonly #rooms = new Map<string, Held>();
  readonly #budget = new RingBudget();
  /** A member of thousands of rooms may have been the last one of each. */
  readonly #end: (held: Held) => void;
  #receiver = NOBODY;

  constructor(private readonly parts: RoomReadersParts) {
    const steps = new Steps(parts.clock, parts.failed);
    this.#end = steps.queue('the reader of a room', (held: Held) => {
      if (held.holds > 0 || held.cancelEnd || this.#rooms.get(held.room) !== held) return; // held again meanwhile
      this.#rooms.delete(held.room);
      held.reader.stop();
      this.#receiver.ended?.(held.room);
    });
  }

  get size(): number {
    return this.#rooms.size;
  }

  start(receiver: RoomReceiver): void {
    this.#receiver = receiver;
  }

  find(room: string): RoomReader | undefined {
    return this.#rooms.get(room)?.reader;
  }

  /** Keeps the room's reader running until `release()`. */
  hold(room: string, rule: HistoryRule): RoomReader {
    const held = this.#rooms.get(room) ?? this.#open(room, rule);
    held.holds++;
    held.cancelEnd?.();
    held.cancelEnd = undefined;
    if (held.holds === 1) held.reader.begin();
    return held.reader;
  }

  release(room: string): void {
    const held = this.#rooms.get(room);
    if (!held || --held.holds > 0) return;
    held.cancelEnd = this.parts.clock.after(LINGER_MS, () => {
      held.cancelEnd = undefined;
      this.#end(held);
    });
  }

  /** See `attach()`. Holds the reader meanwhile. A member must hold it, too. */
  async attach(
    room: string,
    rule: HistoryRule,
    resumption: Resumption,
    enter: (attachment: Attachment) => void,
  ): Promise<void> {
    const reader = this.hold(room, rule);
    try {
      await attach(reader, { log: this.parts.log, rule, room }, resumption, enter);
    } finally {
      this.release(room);
    }
  }

  /** The bus was away: reads what it would have brought. */
  catchUp(): void {
    for (const { reader } of this.#rooms.values()) if (reader.position) reader.repair();
  }

  stop(): void {
    for (const { reader, cancelEnd } of this.#rooms.values()) {
      cancelEnd?.();
      reader.stop();
    }
    this.#rooms.clear();
  }

  #open(room: string, rule: HistoryRule): Held {
    const { log, clock, follow, failed } = this.parts;
    const reader = new RoomReader({
      room,
      rule,
      log,
      clock,
      budget: this.#budget,
      follow,
      failed,
      deliver: (epoch, entry) => this.#receiver.deliver(room, epoch, entry),
      reset: (position, reason) => this.#receiver.reset(room, position, reason),
    });
    const held = { room, reader, holds: 0, cancelEnd: undefined };
    this.#rooms.set(room, held);
    return held;
  }
}
