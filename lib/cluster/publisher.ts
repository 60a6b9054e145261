import type { Clock } from '../clock.js';
import { notSerializable } from '../json-value.js';
import type { Audience, Delivery } from '../protocol/delivery.js';
import { isRoomName } from '../protocol/names.js';
import { isWellFormed } from '../protocol/text.js';
import { isText, writeEvent, writeReadable } from './bus-input.js';
import { type Channels, nodeIdOf } from './channels.js';
import { type Header, seal } from './envelope.js';
import { PublishQueue } from './publish-queue.js';
import type { SharedClock } from './shared-clock.js';
import { TAILS, writeTails } from './tails.js';
import { MAX_TAILS, OutgoingSequences } from './outgoing-sequences.js';
import type { Outlet } from './transport.js';

/** How many rooms an envelope names at most. If each named all, many rooms would cost the square of their number. */
const MAX_ROOMS = 32;
/** What the client ids of an envelope take, about. Nodes drop one whose header is above 4 MiB. */
const MAX_CLIENT_BYTES = 1_048_576;
/** For each character, and for what stands around an id. */
const ID_BYTES = 3;

/** Where an envelope goes, and what its header says if the channel alone doesn't. */
interface Route extends Pick<Header, 'audience' | 'except' | 'copyId' | 'partsId'> {
  channel: string;
}

export interface PublisherOptions {
  clock: Clock;
  /** The first id of the node, under which its publications are numbered. */
  origin: string;
  /** Whether an id is this node's: its clients need no bus. @default never */
  isOwn?: (nodeId: string) => boolean;
  /** Called for each publication that wasn't handed over. Never throws. */
  lost?: (error: Error) => void;
  /** Most bytes that may wait or be under way. @default 67108864 */
  maxBytes?: number | undefined;
}

/**
 * Writes deliveries, orders and events for the transport, for a node and for an emitter. Each method's promise settles
 * when its message was handed over; nobody has to handle a rejection.
 */
export class Publisher {
  readonly #sequences = new OutgoingSequences();
  readonly #origin: string;
  readonly #lost: (error: Error) => void;
  readonly #isOwn: (nodeId: string) => boolean;
  readonly #queue: PublishQueue;
  readonly #clock: Clock;
  #lastCopyId = 0;

  constructor(
    private readonly channels: Channels,
    private readonly outlet: Outlet,
    private readonly time: SharedClock,
    { clock, origin, isOwn = () => false, lost = () => undefined, maxBytes }: PublisherOptions,
  ) {
    this.#clock = clock;
    this.#origin = origin;
    this.#isOwn = isOwn;
    this.#lost = lost;
    this.#queue = new PublishQueue(outlet, { clock, lost, maxBytes });
  }

  publish({ audience, except, frame, isVolatile, conflateKey }: Delivery, nodeId: string): Promise<unknown> {
    const routes = this.#routes(audience, except?.filter(isText));
    const now = this.#clock.now();
    const sentAt = this.time.now(now);
    const origin = this.#originOf(nodeId);
    const answers = routes.map(({ channel, ...more }) => {
      const sequence = this.#sequences.next(channel);
      const begunMsAgo = this.#sequences.begunMsAgo(channel, now);
      const header = { nodeId, sequence, sentAt, isVolatile, conflateKey, origin, begunMsAgo, ...more };
      return this.#queue.push(channel, seal(header, frame));
    });
    return answers.length === 1 ? (answers[0] as Promise<unknown>) : quietly(Promise.all(answers));
  }

  order(to: string, order: unknown, nodeId: string): Promise<unknown> {
    const text = textOf(order, this.#lost, writeReadable);
    if (typeof text !== 'string') return text;
    const channel = this.channels.node(to);
    const header = {
      nodeId,
      sentAt: this.time.now(),
      sequence: this.#sequences.next(channel),
      origin: this.#originOf(nodeId),
    };
    return this.#queue.push(channel, seal(header, text));
  }

  /** Raises an event on all other nodes. They count it if it gets lost. @param text its JSON */
  emit(event: string, text: string): Promise<unknown> {
    const channel = this.channels.eventsOf(event);
    const mark = { origin: this.#origin, sequence: this.#sequences.next(channel) };
    return this.#queue.push(channel, writeEvent(event, text, mark));
  }

  /** The same without a number, for what the nodes notice in another way if it gets lost. */
  tell(event: string, text: string): Promise<unknown> {
    return this.#queue.push(this.channels.eventsOf(event), writeEvent(event, text));
  }

  /** Announces the last numbers of channels that fell silent. @param isEnd this process publishes nothing more */
  tellTails(isEnd = false): void {
    const tails = this.#sequences.tails(this.#clock.now(), isEnd);
    for (let start = 0; start < tails.length; start += MAX_TAILS)
      void this.tell(
        TAILS,
        JSON.stringify(writeTails(this.#origin, this.channels.head, tails.slice(start, start + MAX_TAILS))),
      );
  }

  /** Nothing more is published. Resolves when everything has been handed over. */
  finish(): Promise<void> {
    this.tellTails(true);
    this.outlet.flush();
    return this.#queue.drained();
  }

  /** Drops what waits for its turn. */
  abandon(reason: string): void {
    this.#queue.abandon(reason);
  }

  /** A node that was taken for dead has a new id, but keeps counting from where it was. */
  #originOf(nodeId: string): string | undefined {
    return nodeId === this.#origin ? undefined : this.#origin;
  }

  /**
   * The channels of a delivery, and what its header adds if the channel doesn't name the receivers. A name that no room or
   * user can have is skipped: with half of a surrogate pair, it would become another name's channel.
   */
  #routes(audience: Audience, except: readonly string[] | undefined): Route[] {
    switch (audience.kind) {
      case 'all':
        return [{ channel: this.channels.all, except }];
      case 'rooms':
        return this.#roomRoutes([...new Set(audience.roomNames)].filter(isRoomName), except);
      case 'users': {
        const names = [...new Set(audience.userIds.map(String))].filter(isWellFormed);
        return names.map((name) => ({ channel: this.channels.interest({ kind: 'user', name }), except }));
      }
      case 'clients': {
        const clientIds = new Set(audience.clientIds);
        for (const clientId of except ?? []) clientIds.delete(clientId);
        const groups = groupByNode(clientIds).filter(([nodeId]) => !this.#isOwn(nodeId));
        return groups.map(([nodeId, piece]) => ({
          channel: this.channels.node(nodeId),
          audience: { kind: 'clients', clientIds: piece },
        }));
      }
      default:
        return audience satisfies never;
    }
  }

  /**
   * A member of two rooms must get one copy. The first envelope of a part serves all rooms of the part. Where one room's
   * channel may be ahead of another's, each room is a part: an envelope would overtake what was published before it.
   */
  #roomRoutes(roomNames: string[], except: readonly string[] | undefined): Route[] {
    const size = this.outlet.hasOneOrder ? MAX_ROOMS : 1;
    const partsId = roomNames.length > size ? ++this.#lastCopyId : undefined;
    const routes: Route[] = [];
    for (let start = 0; start < roomNames.length; start += size) {
      const part = roomNames.slice(start, start + size);
      const several = part.length > 1 && {
        audience: { kind: 'rooms' as const, roomNames: part },
        copyId: ++this.#lastCopyId,
      };
      for (const name of part)
        routes.push({ channel: this.channels.interest({ kind: 'room', name }), except, partsId, ...several });
    }
    return routes;
  }
}

/** Writes JSON. A value that has no JSON form is counted as lost. @returns a rejection that nobody has to handle */
export function textOf(
  value: unknown,
  lost: (error: Error) => void,
  write = (what: unknown): string => JSON.stringify(what) ?? 'null',
): string | Promise<never> {
  try {
    return write(value);
  } catch (error) {
    const flaw = notSerializable(error);
    lost(flaw);
    return quietly(Promise.reject(flaw));
  }
}

/** Lets the caller ignore a rejection. */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** The clients of each node, in pieces that one envelope can name. An id that no node made is nobody's. */
function groupByNode(clientIds: Iterable<string>): [nodeId: string, clientIds: string[]][] {
  const groups: [nodeId: string, clientIds: string[]][] = [];
  const open = new Map<string, { piece: string[]; bytes: number }>();
  for (const clientId of clientIds) {
    const nodeId = isText(clientId) ? nodeIdOf(clientId) : undefined;
    if (nodeId === undefined) continue;
    const bytes = ID_BYTES * (clientId.length + 1);
    const group = open.get(nodeId);
    if (group && group.bytes + bytes <= MAX_CLIENT_BYTES) {
      group.piece.push(clientId);
      group.bytes += bytes;
    } else {
      const piece = [clientId];
      open.set(nodeId, { piece, bytes });
      groups.push([nodeId, piece]);
    }
  }
  return groups;
}
