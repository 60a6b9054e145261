import type { WebSocket } from 'ws';
import type { Clock } from '../clock.js';
import type { Followed } from '../clients/followed.js';
import type { Audience, Delivery } from '../protocol/delivery.js';
import { HeldMessages, type HoldLimits } from './held-messages.js';
import { OutgoingMessage } from './outgoing-message.js';
import { ForeignSocket, type Recipient } from './recipient.js';
import { addTo, membersOfAny, NOBODY, pick, removeFrom } from './recipient-sets.js';
import type { ServerSocket } from '../connection/server-socket.js';

const NO_IDS: ReadonlySet<string> = new Set();
const NONE_WAITING: ReadonlyMap<Recipient, HeldMessages> = new Map();

/** What the connections of one session get. */
export interface OwnMessage {
  session: string;
  message: OutgoingMessage;
}

/**
 * Sends an encoded message to this node's sockets, whichever node it comes from. Has its own lists of sockets, so that the
 * cost of a message to a room depends on its members on this node, not on all members.
 */
export class LocalDelivery {
  readonly #recipients = new Map<string, Recipient>();
  readonly #membersOf = new Map<string, Set<Recipient>>();
  readonly #connectionsOf = new Map<string, Set<Recipient>>();
  /** Clients whose connection hooks still run, and the broadcasts that wait for them. */
  readonly #newcomers = new Map<Recipient, HeldMessages>();
  /** Members that `toRoom()` leaves out, because they get the room's messages in another way: their ids, by room. */
  readonly #apart = new Map<string, Set<string>>();
  /** Members that don't want their own publications back, by room. */
  readonly #echoless = new Map<string, Set<Recipient>>();

  constructor(
    private readonly limits: HoldLimits,
    private readonly counters: { dropped: number },
    /** Notified of the first and the last member of a room, or connection of a user, on this node. */
    private readonly followed: Pick<Followed, 'keep' | 'release'>,
    private readonly clock: Pick<Clock, 'after'>,
  ) {}

  /** True for a client with a socket on this node. */
  has(clientId: string): boolean {
    return this.#recipients.has(clientId);
  }

  clientIds(): Iterable<string> {
    return this.#recipients.keys();
  }

  /** Adds a client. Until `admit()` it gets only messages to itself; broadcasts wait. */
  add(clientId: string, ws: WebSocket): void {
    const { outbox } = ws as ServerSocket;
    this.#recipients.set(clientId, outbox ?? new ForeignSocket(clientId, ws, this.clock));
    if (outbox) this.#newcomers.set(outbox, new HeldMessages());
  }

  /** Its hooks have accepted it: it gets the broadcasts that waited. */
  admit(clientId: string): void {
    const recipient = this.#recipients.get(clientId);
    const held = recipient && this.#newcomers.get(recipient);
    if (!held) return;
    this.#newcomers.delete(recipient);
    for (const message of held.inOrder()) recipient.push(message);
  }

  /** How many clients' hooks still run. */
  get newcomers(): number {
    return this.#newcomers.size;
  }

  /** True for a client of this node whose hooks still run. */
  isNewcomer(clientId: string): boolean {
    const recipient = this.#recipients.get(clientId);
    return recipient !== undefined && this.#newcomers.has(recipient);
  }

  /** Clients whose hooks have accepted them. */
  *admitted(): Iterable<Recipient> {
    for (const recipient of this.#recipients.values()) if (!this.#newcomers.has(recipient)) yield recipient;
  }

  remove(clientId: string): void {
    const recipient = this.#recipients.get(clientId);
    if (!recipient) return;
    this.#recipients.delete(clientId);
    this.#newcomers.delete(recipient);
  }

  join(clientId: string, roomName: string): void {
    const recipient = this.#recipients.get(clientId);
    if (recipient && addTo(this.#membersOf, roomName, recipient)) this.followed.keep({ kind: 'room', name: roomName });
  }

  leave(clientId: string, roomName: string): void {
    const recipient = this.#recipients.get(clientId);
    if (!recipient) return;
    removeFrom(this.#echoless, roomName, recipient);
    if (removeFrom(this.#membersOf, roomName, recipient)) this.followed.release({ kind: 'room', name: roomName });
  }

  /** @param echo false for a member that doesn't want its own publications to the room back */
  setEcho(clientId: string, roomName: string, echo: boolean): void {
    const recipient = this.#recipients.get(clientId);
    if (!recipient) return;
    if (echo) removeFrom(this.#echoless, roomName, recipient);
    else addTo(this.#echoless, roomName, recipient);
  }

  hasEcho(clientId: string, roomName: string): boolean {
    const echoless = this.#echoless.get(roomName);
    const recipient = echoless && this.#recipients.get(clientId);
    return !recipient || !echoless.has(recipient);
  }

  identify(clientId: string, userId: string | number): void {
    const recipient = this.#recipients.get(clientId);
    const name = String(userId);
    if (recipient && addTo(this.#connectionsOf, name, recipient)) this.followed.keep({ kind: 'user', name });
  }

  unidentify(clientId: string, userId: string | number): void {
    const recipient = this.#recipients.get(clientId);
    const name = String(userId);
    if (recipient && removeFrom(this.#connectionsOf, name, recipient)) this.followed.release({ kind: 'user', name });
  }

  /** How many members of a room are on this node. */
  membersIn(roomName: string): number {
    return this.#membersOf.get(roomName)?.size ?? 0;
  }

  isIn(clientId: string, roomName: string): boolean {
    const recipient = this.#recipients.get(clientId);
    return recipient !== undefined && (this.#membersOf.get(roomName)?.has(recipient) ?? false);
  }

  sessionOf(clientId: string): string | undefined {
    return this.#recipients.get(clientId)?.session;
  }

  /**
   * To the members of a room on this node, without those that `setApart()` named. None of them misses it: one that can't take it
   * is closed.
   * @param own what the connections of one session get instead
   */
  toRoom(roomName: string, message: OutgoingMessage, own?: OwnMessage): void {
    const members = this.#membersOf.get(roomName) ?? NOBODY;
    const apart = this.#apart.get(roomName);
    if (apart || own || this.#newcomers.size > 0)
      this.#deliverAround(message, members, this.#newcomers, apart, true, own);
    else for (const member of members) member.push(message);
  }

  /** From now on `toRoom()` leaves the member out, until `putBack()`. */
  setApart(clientId: string, roomName: string): void {
    const apart = this.#apart.get(roomName) ?? new Set();
    this.#apart.set(roomName, apart.add(clientId));
  }

  putBack(clientId: string, roomName: string): void {
    const apart = this.#apart.get(roomName);
    if (apart?.delete(clientId) && apart.size === 0) this.#apart.delete(roomName);
  }

  /** Closes the connection of a client that can't take a message that it must get, with 4113. */
  giveUp(clientId: string): void {
    this.#recipients.get(clientId)?.giveUp();
  }

  /** Resolves when at most `bytes` wait for the client, or when it is gone. */
  async whenBelow(clientId: string, bytes: number): Promise<void> {
    for (;;) {
      const recipient = this.#recipients.get(clientId);
      if (!recipient || recipient.bufferedBytes <= bytes) return;
      await recipient.whenDrained();
    }
  }

  /** Sends to one client of this node, even while its hooks run. */
  toClient(clientId: string, message: OutgoingMessage): void {
    this.#recipients.get(clientId)?.push(message);
  }

  /**
   * Sends the same bytes to every receiver on this node, once each.
   * @param isFirst false for a client that had them already. @default nobody had
   */
  deliver(
    { audience, except, frame, isVolatile, conflateKey }: Delivery,
    isFirst?: (clientId: string) => boolean,
  ): void {
    const message = new OutgoingMessage(frame, isVolatile, conflateKey);
    const found = this.#recipientsOf(audience);
    const recipients = isFirst ? [...found].filter(({ clientId }) => isFirst(clientId)) : found;
    const waiting = audience.kind === 'clients' ? NONE_WAITING : this.#newcomers;
    if (waiting.size > 0 || (except && except.length > 0))
      this.#deliverAround(message, recipients, waiting, new Set(except));
    else for (const recipient of recipients) recipient.push(message);
  }

  #deliverAround(
    message: OutgoingMessage,
    recipients: Iterable<Recipient>,
    waiting: ReadonlyMap<Recipient, HeldMessages>,
    excluded: ReadonlySet<string> = NO_IDS,
    isOwed = false,
    own?: OwnMessage,
  ): void {
    for (const recipient of recipients) {
      if (excluded.has(recipient.clientId)) continue;
      const due = own && recipient.session === own.session ? own.message : message;
      const held = waiting.get(recipient);
      if (!held) recipient.push(due);
      else if (held.hold(due, this.limits)) continue;
      else if (!isOwed) this.counters.dropped++;
      else if (!held.isGivenUp) {
        held.isGivenUp = true;
        recipient.giveUp();
      }
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
