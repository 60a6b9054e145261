import type { BusCounters, BusReceiver } from './bus-receiver.js';
import { readEvent, readJson } from './bus-input.js';
import type { Channels } from './channels.js';
import { open } from './envelope.js';
import type { IncomingSequences } from './sequences.js';
import { isStale, type SharedClock } from './shared-clock.js';
import type { Way } from './transport.js';

export interface InboxOptions {
  /** False for a channel that was given up: what is on its way still comes. */
  takes(channel: string, way: Way): boolean;
  /** What this node told itself came back. */
  probed(number: number, way: Way): void;
  /** This node, under any id it had. */
  isOwn(nodeId: string): boolean;
  failed(error: Error, place: string): void;
}

/** Reads what arrives: whose it is, whether something before it is missing, whether it came in time and only once. */
export class Inbox {
  constructor(
    private readonly channels: Channels,
    private readonly time: SharedClock,
    private readonly sequences: IncomingSequences,
    private readonly counters: BusCounters,
    private readonly receiver: BusReceiver,
    private readonly options: InboxOptions,
  ) {}

  receive(channel: string, payload: Buffer, way: Way): void {
    const { receiver, counters } = this;
    const meaning = this.channels.meaningOf(channel);
    if (meaning.kind === 'foreign' || !this.options.takes(channel, way)) return;
    if (meaning.kind === 'probe') return this.options.probed(Number(payload), way);
    if (meaning.kind === 'log') return receiver.logged(meaning.roomName, payload.toString());
    if (meaning.kind === 'event') {
      const event = readEvent(payload);
      if (event) receiver.event(event.name, event.message);
      else counters.junk++;
      return;
    }
    if (meaning.kind === 'plain') {
      return this.#receiveJson(payload, (message) => receiver.plainEvent(meaning.name, message));
    }
    const envelope = open(payload);
    if (!envelope) {
      counters.junk++;
      return;
    }
    const audience = envelope.header.audience ?? meaning.audience;
    const { nodeId, sequence, sentAt, except, copyId, isVolatile, conflateKey } = envelope.header;
    if (this.options.isOwn(nodeId)) return; // our own echo: our sockets had it first
    const publisher = this.sequences.of(nodeId);
    const missing = publisher.gapBefore(channel, sequence);
    if (missing > 0) {
      counters.missing += missing;
      this.options.failed(new Error(`${missing} messages of node ${nodeId} never came.`), 'a message of the bus');
    }
    const now = this.time.now();
    publisher.heardAt = now;
    if (isStale(sentAt, now)) {
      counters.stale++;
      return;
    }
    if (copyId !== undefined && audience?.kind === 'rooms' && publisher.noteCopy(copyId)) return;
    if (audience) receiver.deliver({ audience, except, frame: envelope.frame, isVolatile, conflateKey });
    else this.#receiveJson(envelope.frame, (order) => receiver.order(nodeId, order));
  }

  #receiveJson(payload: Buffer, receive: (value: unknown) => void): void {
    const value = readJson(payload);
    if (value === undefined) this.counters.junk++;
    else receive(value);
  }
}
