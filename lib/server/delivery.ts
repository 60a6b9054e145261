import type { WebSocket } from 'ws';
import type { Interest } from '../cluster/channels.js';
import type { Audience, Delivery } from '../protocol/delivery.js';
import { OutgoingMessage } from './outgoing-message.js';
import type { ServerSocket } from './server-socket.js';

/** Told when this node gets its first member of a room or connection of a user, and when it loses the last. */
export interface InterestListener {
  wanted(interest: Interest): void;
  unwanted(interest: Interest): void;
}

/** What a message is handed to: the outbox of a socket of this node. */
export interface Recipient {
  readonly clientId: string;
  push(message: OutgoingMessage): void;
}

const NOBODY: ReadonlySet<Recipient> = new Set();

/**
 * Hands an encoded message to this node's sockets, whoever published it. Keeps its own lists of them, so that a message for
 * a room costs what its members here cost, however many are elsewhere.
 */
export class LocalDelivery {
  readonly #recipients = new Map<string, Recipient>();
  readonly #membersOf = new Map<string, Set<Recipient>>();
  readonly #connectionsOf = new Map<string, Set<Recipient>>();

  constructor(private readonly listener: InterestListener) {}

  /** True for a client whose socket is on this node. */
  has(clientId: string): boolean {
    return this.#recipients.has(clientId);
  }

  clientIds(): Iterable<string> {
    return this.#recipients.keys();
  }

  add(clientId: string, ws: WebSocket): void {
    this.#recipients.set(clientId, (ws as ServerSocket).outbox ?? new ForeignSocket(clientId, ws));
  }

  remove(clientId: string): void {
    this.#recipients.delete(clientId);
  }

  join(clientId: string, roomName: string): void {
    const recipient = this.#recipients.get(clientId);
    if (recipient && addTo(this.#membersOf, roomName, recipient))
      this.listener.wanted({ kind: 'room', name: roomName });
  }

  leave(clientId: string, roomName: string): void {
    const recipient = this.#recipients.get(clientId);
    if (recipient && removeFrom(this.#membersOf, roomName, recipient))
      this.listener.unwanted({ kind: 'room', name: roomName });
  }

  identify(clientId: string, userId: string | number): void {
    const recipient = this.#recipients.get(clientId);
    const name = String(userId);
    if (recipient && addTo(this.#connectionsOf, name, recipient)) this.listener.wanted({ kind: 'user', name });
  }

  unidentify(clientId: string, userId: string | number): void {
    const recipient = this.#recipients.get(clientId);
    const name = String(userId);
    if (recipient && removeFrom(this.#connectionsOf, name, recipient)) this.listener.unwanted({ kind: 'user', name });
  }

  /** Hands the same bytes to every local member, once each. */
  deliver({ audience, except, frame, isVolatile, conflateKey }: Delivery): void {
    const message = new OutgoingMessage(frame, isVolatile, conflateKey);
    const recipients = this.#recipientsOf(audience);
    if (except && except.length > 0) {
      const excluded = new Set(except);
      for (const recipient of recipients) if (!excluded.has(recipient.clientId)) recipient.push(message);
    } else {
      for (const recipient of recipients) recipient.push(message);
    }
  }

  #recipientsOf(audience: Audience): Iterable<Recipient> {
    switch (audience.kind) {
      case 'all':
        return this.#recipients.values();
      case 'clients':
        return pick(this.#recipients, audience.clientIds);
      case 'users':
        return membersOfAny(this.#connectionsOf, audience.userIds.map(String));
      case 'rooms':
        return membersOfAny(this.#membersOf, audience.roomNames);
      default:
        return audience satisfies never;
    }
  }
}

/** A socket that the application registered by hand: it has no outbox. */
class ForeignSocket implements Recipient {
  constructor(
    readonly clientId: string,
    private readonly ws: WebSocket,
  ) {}

  push({ payload }: OutgoingMessage): void {
    if (this.ws.readyState === this.ws.OPEN) this.ws.send(payload, { binary: false });
  }
}

function pick(recipients: ReadonlyMap<string, Recipient>, clientIds: readonly string[]): Iterable<Recipient> {
  const picked = new Set<Recipient>();
  for (const clientId of clientIds) {
    const recipient = recipients.get(clientId);
    if (recipient) picked.add(recipient);
  }
  return picked;
}

function membersOfAny(map: ReadonlyMap<string, ReadonlySet<Recipient>>, keys: readonly string[]): Iterable<Recipient> {
  const [only] = keys;
  if (only !== undefined && keys.length === 1) return map.get(only) ?? NOBODY;
  const members = new Set<Recipient>();
  for (const key of keys) for (const recipient of map.get(key) ?? NOBODY) members.add(recipient);
  return members;
}

/** @returns true when it is the first of this key */
function addTo(map: Map<string, Set<Recipient>>, key: string, recipient: Recipient): boolean {
  const recipients = map.get(key);
  if (recipients) recipients.add(recipient);
  else map.set(key, new Set([recipient]));
  return !recipients;
}

/** @returns true when it was the last of this key */
function removeFrom(map: Map<string, Set<Recipient>>, key: string, recipient: Recipient): boolean {
  const recipients = map.get(key);
  if (!recipients?.delete(recipient) || recipients.size > 0) return false;
  return map.delete(key);
}
