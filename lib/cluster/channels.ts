import type { Audience } from '../protocol/delivery.js';
import { PRESENCE } from './presence-events.js';

/** Something that only nodes with such a member want to hear of. */
export interface Interest {
  /** `log`: what is published to a room that keeps it. */
  kind: 'room' | 'user' | 'log';
  name: string;
}

/** What a channel turned out to be. */
export type ChannelMeaning =
  | { kind: 'delivery'; audience: Audience | undefined }
  /** What the log of a room announces. */
  | { kind: 'log'; roomName: string }
  /** Events of our own nodes and emitters: the name is inside. */
  | { kind: 'event' }
  /** What a node tells itself, to hear whether it can be heard. */
  | { kind: 'probe' }
  /** JSON of another program, on a channel that has the event's name. */
  | { kind: 'plain'; name: string }
  | { kind: 'foreign' };

const PROBE = { kind: 'probe' } as const;
const ID_END = '.';
/** Marks our own channels: other programs publish on channels without it. */
const OWN = '$';

/** A client id begins with the id of the node that accepted it, so that any process can address it without asking. */
export const clientIdOf = (nodeId: string, unique: string): string => `${nodeId}${ID_END}${unique}`;

/** The node that accepted this client; undefined for an id that none of our nodes made. */
export function nodeIdOf(clientId: string): string | undefined {
  const end = clientId.indexOf(ID_END);
  return end > 0 ? clientId.slice(0, end) : undefined;
}

/**
 * What all channels of an application begin with. It ends at the first `:` of the channel, and what stands before is one
 * application's alone: no prefix is the beginning of another's channels, and databases of one Redis, for which pub/sub
 * knows no walls, are told apart.
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
  /** Deliveries for everybody. */
  readonly all: string;
  /** The application's own events: every node hears them, whatever their names. */
  readonly events: string;
  /** Who comes and goes: heard by nodes that keep a copy of the others' clients, or have a subscriber for it. */
  readonly presence: string;
  readonly #room: string;
  readonly #user: string;
  readonly #node: string;
  readonly #pulse: string;
  readonly #log: string;
  /** What all of them begin with. */
  readonly head: string;

  constructor(prefix: string, database = 0) {
    const head = channelHead(prefix, database);
    this.head = head;
    this.all = `${head}${OWN}all`;
    this.events = `${head}${OWN}events`;
    this.presence = `${head}${OWN}presence`;
    this.#room = `${head}${OWN}room:`;
    this.#user = `${head}${OWN}user:`;
    this.#node = `${head}${OWN}node:`;
    this.#pulse = `${head}${OWN}pulse:`;
    this.#log = `${head}${OWN}log:`;
  }

  /** What a node needs to hear, besides rooms and users. @param events by their names */
  vital(nodeId: string, events: readonly string[]): string[] {
    const plain = events.flatMap((event) => (PRESENCE.has(event) ? [] : (this.plain(event) ?? [])));
    const presence = events.some((event) => PRESENCE.has(event)) ? [this.presence] : [];
    return [this.all, this.events, this.node(nodeId), ...presence, ...plain];
  }

  node(nodeId: string): string {
    return this.#node + nodeId;
  }

  /** Channels that only this node uses: any number of interests, and one of ordinary pub/sub. */
  *probes(nodeId: string): Iterable<string> {
    yield `${this.#node}${nodeId}:0`;
    yield this.#pulse + nodeId;
    for (let number = 1; ; number++) yield `${this.#node}${nodeId}:${number}`;
  }

  /** Where our own raise this event. */
  eventsOf(event: string): string {
    return PRESENCE.has(event) ? this.presence : this.events;
  }

  /** Where other programs raise an event by its name. Undefined for a name that only our own may raise. */
  plain(name: string): string | undefined {
    return name.startsWith(OWN) ? undefined : this.head + name;
  }

  interest({ kind, name }: Interest): string {
    // Braces put a log's channel into the slot of its keys, so that one script can do both.
    if (kind === 'log') return `${this.#log}{${name}}`;
    return (kind === 'room' ? this.#room : this.#user) + name;
  }

  /** What arrives on this channel. A node's own channel says in its header whom a delivery is for. */
  meaningOf(channel: string): ChannelMeaning {
    if (channel === this.all) return { kind: 'delivery', audience: { kind: 'all' } };
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
    if (channel === this.events || channel === this.presence) return { kind: 'event' };
    const name = channel.slice(this.head.length);
    return channel.startsWith(this.head) && !name.startsWith(OWN) ? { kind: 'plain', name } : { kind: 'foreign' };
  }
}
