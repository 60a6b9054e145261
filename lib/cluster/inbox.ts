import type { BusCounters, BusReceiver } from './bus-receiver.js';
import { type EventMark, originOf, readEvent, readJson, readPlainJson } from './bus-input.js';
import type { Channels } from './channels.js';
import { markOf } from './client-news.js';
import { open } from './envelope.js';
import { ALIVE, NEWS, readAlive } from './event-groups.js';
import { type IncomingSequences, wasThere } from './incoming-sequences.js';
import type { SharedClock } from './shared-clock.js';
import { readTails, TAILS } from './tails.js';
import type { Way } from './transport.js';

export interface InboxOptions {
  /** False for a channel that this node left: messages under way still arrive. */
  takes(channel: string, way: Way): boolean;
  /** A probe of this node came back. */
  probed(number: number, way: Way): void;
  /** When this node began to listen on a channel. Undefined if it doesn't. */
  wantedSince(channel: string): number | undefined;
  /** True for this node's id, and for those it had before. */
  isOwn(nodeId: string): boolean;
  now(): number;
  /** A message seems stale, or the clock of Redis was set. */
  doubt(): void;
  failed(error: Error, place: string): void;
}

/**
 * Reads the messages of other nodes. Drops those that are stale or second copies, and counts those that are missing.
 */
export class Inbox {
  constructor(
    private readonly channels: Channels,
    private readonly time: SharedClock,
    private readonly sequences: IncomingSequences,
    private readonly counters: BusCounters,
    private readonly receiver: BusReceiver,
    private readonly options: InboxOptions,
  ) {}

  readonly receive = (channel: string, payload: Buffer, way: Way): void => {
    const { receiver, counters } = this;
    const meaning = this.channels.meaningOf(channel);
    if (meaning.kind === 'foreign' || !this.options.takes(channel, way)) return;
    if (meaning.kind === 'probe') return this.options.probed(Number(payload), way);
    if (meaning.kind === 'log') return receiver.logged(meaning.roomName, payload.toString());
    if (meaning.kind === 'event') return this.#receiveEvent(channel, payload);
    if (meaning.kind === 'plain') {
      const message = readPlainJson(payload);
      return message === undefined ? void counters.junk++ : receiver.plainEvent(meaning.name, message, payload);
    }
    const envelope = open(payload);
    if (!envelope) {
      counters.junk++;
      return;
    }
    const audience = envelope.header.audience ?? meaning.audience;
    const { nodeId, sequence, sentAt, except, copyId, partsId, isVolatile, conflateKey, origin } = envelope.header;
    if (this.options.isOwn(nodeId)) return; // our own message: our sockets already had it
    const now = this.options.now();
    const publisher = this.sequences.of(origin ?? nodeId, now);
    (origin === undefined ? publisher : this.sequences.of(nodeId, now)).heardAt = now;
    const missing = publisher.gapBefore(channel, sequence, this.#hadAll(channel, envelope.header.begunMsAgo, now));
    if (missing > 0) this.#miss(missing, nodeId);
    const isLate = missing < 0; // a newer one has been delivered
    if (isLate || this.time.isStale(sentAt, now)) {
      counters.stale++;
      if (!isLate) this.options.doubt();
      return;
    }
    const { copies } = publisher;
    if (copyId !== undefined && audience?.kind === 'rooms' && copies.note(copyId, now)) return;
    if (!audience) return this.#receiveOrder(nodeId, envelope.frame);
    const isFirst = partsId === undefined ? undefined : copies.partOf(partsId, now);
    receiver.deliver({ audience, except, frame: envelope.frame, isVolatile, conflateKey }, isFirst);
  };

  #hadAll(channel: string, begunMsAgo: number | undefined, now: number): boolean {
    return begunMsAgo !== undefined && wasThere(now - (this.options.wantedSince(channel) ?? now), begunMsAgo);
  }

  /** @throws {JunkError} */
  #receiveEvent(channel: string, payload: Buffer): void {
    const from = originOf(payload);
    if (from !== undefined && this.options.isOwn(from)) return; // it was raised here already
    const event = readEvent(payload);
    if (!event) return void this.counters.junk++;
    const { name, message, mark } = event;
    if (name === TAILS) return this.#receiveTails(message);
    if (name === ALIVE) this.#receiveAlive(message);
    if (mark && !this.#isNext(mark, channel)) return;
    const change = name === NEWS ? markOf(message) : undefined; // changes of a node have numbers of their own
    if (change && (this.options.isOwn(change.origin) || !this.#isNext(change, NEWS))) return;
    this.receiver.event(name, message);
  }

  /** False for an event that comes after a newer one. Counts what is missing before it. */
  #isNext({ origin, sequence }: EventMark, channel: string): boolean {
    const missing = this.sequences.of(origin, this.options.now()).gapBefore(channel, sequence);
    if (missing > 0) this.#miss(missing, origin);
    if (missing < 0) this.counters.stale++;
    return missing >= 0;
  }

  /** A node says how many changes it has announced. @throws {JunkError} */
  #receiveAlive(message: unknown): void {
    const { nodeId, digest } = readAlive(message);
    const isWanted = this.options.wantedSince(this.channels.presence) !== undefined;
    if (!isWanted || this.options.isOwn(nodeId)) return;
    const missing = this.sequences.of(nodeId, this.options.now()).gapUpTo(NEWS, digest.version);
    if (missing > 0) this.#miss(missing, nodeId);
  }

  /** @throws {JunkError} */
  #receiveTails(message: unknown): void {
    const { origin, tails } = readTails(message, this.channels.head);
    if (this.options.isOwn(origin)) return;
    const now = this.options.now();
    let missing = 0;
    for (const tail of tails) {
      const since = this.options.wantedSince(tail.channel);
      if (since !== undefined) missing += this.sequences.gapAtEnd(origin, tail, since, now);
    }
    if (missing > 0) this.#miss(missing, origin);
  }

  #miss(count: number, nodeId: string): void {
    this.counters.missing += count;
    this.options.failed(new Error(`${count} messages of node ${nodeId} never came.`), 'a message of the bus');
  }

  #receiveOrder(nodeId: string, payload: Buffer): void {
    const order = readJson(payload);
    if (order === undefined) this.counters.junk++;
    else this.receiver.order(nodeId, order);
  }
}
