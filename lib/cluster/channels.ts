import type { Audience } from '../protocol/delivery.js';
import { USER_EVENTS, CLIENT_EVENTS } from './event-groups.js';

/** A room, a user or a log whose messages only some nodes want. */
export interface Interest {
  /** `log`: publications of a room with history. */
  kind: 'room' | 'user' | 'log';
  name: string;
}

/** What a channel is for. */
export type ChannelMeaning =
  | { kind: 'delivery'; audience: Audience | undefined }
  /** Announcements of a room's log. */
  | { kind: 'log'; roomName: string }
  /** Events of our nodes and emitters; the message contains the name. */
  | { kind: 'event' }
  /** Probes that a node sends to itself. */
  | { kind: 'probe' }
  /** JSON of another program, on a channel with the event's name. */
  | { kind: 'plain'; name: string }
  | { kind: 'foreign' };

const PROBE = { kind: 'probe' } as const;
const EVENT = { kind: 'event' } as const;
const TO_ALL = { kind: 'delivery', audience: { kind: 'all' } } as const;
const ID_END = '.';
/** Marks our own channels. Other programs publish on channels without it. */
const OWN = '$';

/** A client id begins with the id of its node, so that any process can address it without asking. */
export const clientIdOf = (nodeId: string, unique: string): string => `${nodeId}${ID_END}${unique}`;

/** The node that accepted this client. Undefined for an id that no node made. */
export function nodeIdOf(clientId: string): string | undefined {
  const end = clientId.indexOf(ID_END);
  return end > 0 ? clientId.slice(0, end) : undefined;
}

/**
 * The beginning of all channels of an application. It ends at the first `:`, so that no prefix is the beginning of
 * another. It contains the database: pub/sub of one Redis has no walls between databases.
 */
export function channelHead(prefix: string, database: number): string {
  const name = prefix.replace(/[%:@]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
  return database === 0 ? `${name}:` : `${name}@${database}:`;
}

const INTERESTS = ['room:', 'user:', 'node:', 'log:'].map((kind) => OWN + kind);

/** True for a channel that only some nodes want, of any application. */
export function isInterest(channel: string): boolean {
  const start = channel.indexOf(':') + 1;
  return INTERESTS.some((beginning) => channel.startsWith(beginning, start));
}

/** The names of an application's channels. */
export class Channels {
  /** Deliveries for every node. */
  readonly all: string;
  /** The application's own events. Every node receives them. */
  readonly events: string;
  /** Events of clients. A node receives them if it keeps a copy of the registry or has a subscriber for them. */
  readonly presence: string;
  /** Events of users in rooms. Only nodes with a subscriber for them receive them. */
  readonly people: string;
  readonly #room: string;
  readonly #user: string;
  readonly #node: string;
  readonly #pulse: string;
  readonly #log: string;
  /** The beginning of all of them. */
  readonly head: string;

  constructor(prefix: string, database = 0) {
    const head = channelHead(prefix, database);
    this.head = head;
    this.all = `${head}${OWN}all`;
    this.events = `${head}${OWN}events`;
    this.presence = `${head}${OWN}presence`;
    this.people = `${head}${OWN}people`;
    this.#room = `${head}${OWN}room:`;
    this.#user = `${head}${OWN}user:`;
    this.#node = `${head}${OWN}node:`;
    this.#pulse = `${head}${OWN}pulse:`;
    this.#log = `${head}${OWN}log:`;
  }

  /** The channels that a node needs besides rooms and users. @param events names of events */
  vital(nodeId: string, events: readonly string[]): string[] {
    const plain = events.flatMap((event) =>
      CLIENT_EVENTS.has(event) || USER_EVENTS.has(event) ? [] : (this.plain(event) ?? []),
    );
    const presence = events.some((event) => CLIENT_EVENTS.has(event)) ? [this.presence] : [];
    const people = events.some((event) => USER_EVENTS.has(event)) ? [this.people] : [];
    return [this.all, this.events, this.node(nodeId), ...presence, ...people, ...plain];
  }

  node(nodeId: string): string {
    return this.#node + nodeId;
  }

  /** Channels that only this node uses: one of ordinary pub/sub, then any number of sharded ones. */
  *probes(nodeId: string): Iterable<string> {
    yield `${this.#node}${nodeId}:0`;
    yield this.#pulse + nodeId;
    for (let number = 1; ; number++) yield `${this.#node}${nodeId}:${number}`;
  }

  /** The channel on which nodes and emitters raise this event. */
  eventsOf(event: string): string {
    if (USER_EVENTS.has(event)) return this.people;
    return CLIENT_EVENTS.has(event) ? this.presence : this.events;
  }

  /** The channel on which other programs raise this event. Undefined for a name that only we may raise. */
  plain(name: string): string | undefined {
    return name.startsWith(OWN) ? undefined : this.head + name;
  }

  interest({ kind, name }: Interest): string {
    // Braces put a log's channel into the slot of its keys, so that one script can use both.
    if (kind === 'log') return `${this.#log}{${name}}`;
    return (kind === 'room' ? this.#room : this.#user) + name;
  }

  /** What this channel is for. On a node's own channel, the header names the receivers. */
  meaningOf(channel: string): ChannelMeaning {
    if (channel === this.presence || channel === this.events || channel === this.people) return EVENT;
    if (channel === this.all) return TO_ALL;
    if (channel.startsWith(this.#room)) {
      return { kind: 'delivery', audience: { kind: 'rooms', roomNames: [channel.slice(this.#room.length)] } };
    }
    if (channel.startsWith(this.#user)) {
      return { kind: 'delivery', audience: { kind: 'users', userIds: [channel.slice(this.#user.length)] } };
    }
    if (channel.startsWith(this.#node)) {
      return channel.includes(':', this.#node.length) ? PROBE : { kind: 'delivery', audience: undefined };
    }
    if (channel.startsWith(this.#pulse)) return PROBE;
    if (channel.startsWith(this.#log)) return { kind: 'log', roomName: channel.slice(this.#log.length + 1, -1) };
    const name = channel.slice(this.head.length);
    return channel.startsWith(this.head) && !name.startsWith(OWN) ? { kind: 'plain', name } : { kind: 'foreign' };
  }
}
