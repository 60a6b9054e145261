import { OutgoingMessage } from '../outbound/outgoing-message.js';
import type { LogEntry } from './room-log.js';

/** The client's frame with its place: `{ …, "at": { room, epoch, offset } }`. */
export function encodeAt(room: string, epoch: string, { frame, offset }: LogEntry): string {
  return `${frame.slice(0, -1)},"at":${JSON.stringify({ room, epoch, offset })}}`;
}

/** Encodes each message once on a node, for live members and for those that come back. */
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
