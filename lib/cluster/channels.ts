import type { Audience } from '../protocol/delivery.js';

/** Something that only nodes with such a member want to hear of. */
export type Interest = { kind: 'room'; name: string } | { kind: 'user'; name: string };

/** What a channel turned out to be. */
export type ChannelMeaning =
  { kind: 'delivery'; audience: Audience | undefined } | { kind: 'event'; name: string } | { kind: 'foreign' };

const ID_END = '.';

/** A client id begins with the id of the node that accepted it, so that any process can address it without asking. */
export const clientIdOf = (nodeId: string, unique: string): string => `${nodeId}${ID_END}${unique}`;

/** The node that accepted this client; undefined for an id that none of our nodes made. */
export function nodeIdOf(clientId: string): string | undefined {
  const end = clientId.indexOf(ID_END);
  return end > 0 ? clientId.slice(0, end) : undefined;
}

/** The names of a prefix's channels. `$` marks our own: an event's name never begins with it. */
export class Channels {
  readonly all: string;
  readonly #room: string;
  readonly #user: string;
  readonly #node: string;
  readonly #event: string;

  constructor(prefix: string) {
    this.all = `${prefix}:$all`;
    this.#room = `${prefix}:$room:`;
    this.#user = `${prefix}:$user:`;
    this.#node = `${prefix}:$node:`;
    this.#event = `${prefix}:`;
  }

  node(nodeId: string): string {
    return this.#node + nodeId;
  }

  event(name: string): string {
    return this.#event + name;
  }

  interest({ kind, name }: Interest): string {
    return (kind === 'room' ? this.#room : this.#user) + name;
  }

  /** A channel that only some nodes want: spread over the shards of a Redis Cluster. */
  isInterest(channel: string): boolean {
    return [this.#room, this.#user, this.#node].some((beginning) => channel.startsWith(beginning));
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
    if (channel.startsWith(this.#node)) return { kind: 'delivery', audience: undefined };
    return channel.startsWith(this.#event)
      ? { kind: 'event', name: channel.slice(this.#event.length) }
      : { kind: 'foreign' };
  }
}
