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

/** Each publication is encoded once on a node, for those that are here and for those that come back. */
export class PublicationCache {
  readonly #messages = new WeakMap<LogEntry, OutgoingMessage>();

  messageOf(room: string, epoch: string, entry: LogEntry): OutgoingMessage {
    const known = this.#messages.get(entry);
    if (known) return known;
    const message = new OutgoingMessage(encodeAt(room, epoch, entry));
    this.#messages.set(entry, message);
    return message;
  }
}
