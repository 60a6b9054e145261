import type { Clock } from '../clock.js';
import { encodeMessage } from '../outbound/outgoing.js';
import { OutgoingMessage } from '../outbound/outgoing-message.js';
import type { LogEntry } from './room-log.js';

/** The client frame with its place: `{ …, "at": { room, epoch, offset } }`. */
export function encodeAt(room: string, epoch: string, { frame, offset }: Pick<LogEntry, 'frame' | 'offset'>): string {
  return `${frame.slice(0, -1)},"at":${JSON.stringify({ room, epoch, offset })}}`;
}

/** A place alone: what lies there is of the client itself, which doesn't want it back. */
const PASSED = encodeMessage({ type: 'system', action: 'at' });

export const passedAt = (room: string, epoch: string, { offset }: Pick<LogEntry, 'offset'>): OutgoingMessage =>
  new OutgoingMessage(encodeAt(room, epoch, { frame: PASSED, offset }));

/** How long what was encoded is kept at least after its last use, in ms. At most it is twice as long. */
const KEEP_MS = 5_000;

/**
 * Each publication is encoded once on a node for its members, and once for those that come back at about the same time. Encoded and
 * framed it takes four times as much as its text, so it isn't kept for longer.
 */
export class PublicationCache {
  #young = new WeakMap<LogEntry, OutgoingMessage>();
  #old = new WeakMap<LogEntry, OutgoingMessage>();
  #isAging = false;
  #isUsed = false;

  constructor(private readonly clock: Pick<Clock, 'after'>) {}

  /** Of one that was never asked for before. */
  encode(room: string, epoch: string, entry: LogEntry): OutgoingMessage {
    return this.#keep(entry, new OutgoingMessage(encodeAt(room, epoch, entry)));
  }

  messageOf(room: string, epoch: string, entry: LogEntry): OutgoingMessage {
    const known = this.#young.get(entry);
    if (known) return known;
    const older = this.#old.get(entry);
    return older ? this.#keep(entry, older) : this.encode(room, epoch, entry);
  }

  #keep(entry: LogEntry, message: OutgoingMessage): OutgoingMessage {
    this.#young.set(entry, message);
    this.#isUsed = true;
    if (!this.#isAging) this.#age();
    return message;
  }

  #age(): void {
    this.#isAging = this.#isUsed;
    if (!this.#isUsed) return;
    this.clock.after(KEEP_MS, () => {
      this.#old = this.#young;
      this.#young = new WeakMap();
      this.#age();
    });
    this.#isUsed = false;
  }
}
