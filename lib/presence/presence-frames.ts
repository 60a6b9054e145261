import { encodeMessage } from '../outbound/outgoing.js';
import { OutgoingMessage } from '../outbound/outgoing-message.js';
import type { PresentUser } from './room-view.js';

/** What a member hears of the others: who they are, or how many. */
export type Hears = true | 'count';

/** Who is in a room: what a member gets with the reply to its join. */
export interface RoomPresence {
  epoch: string;
  version: number;
  /** How many users. */
  total: number;
  /** Left out with more than `maxUsers`, and for a member that only wants the count. */
  users?: PresentUser[];
  /** The member's own id. Only a client that sent its session gets it: others know theirs from the greeting. */
  ownId?: string;
}

/** What changed in a room since the last push to its members. */
export interface PresenceDifference {
  joined: PresentUser[];
  updated: PresentUser[];
  left: string[];
}

/** `data` of a push `system/presence`. */
export type PresencePush = Omit<RoomPresence, 'users' | 'ownId'> & { roomName: string } & (
    | PresenceDifference
    /** Everybody: the room has no more than `maxUsers` again. */
    | { users: PresentUser[] }
    | object
  );

export const presenceFrame = (data: PresencePush): OutgoingMessage =>
  new OutgoingMessage(encodeMessage({ type: 'system', action: 'presence', data }));

/** Users as JSON, encoded once. Any of them can be left out. */
class EncodedUsers {
  readonly #bytes: Buffer;
  readonly #places = new Map<string, readonly [start: number, end: number]>();

  /** @param users by id */
  constructor(users: Iterable<readonly [userId: string, user: unknown]>) {
    const texts: string[] = [];
    let at = 0;
    for (const [userId, user] of users) {
      const text = JSON.stringify(user);
      const end = at + Buffer.byteLength(text);
      this.#places.set(userId, [at, end]);
      texts.push(text);
      at = end + 1; // a comma
    }
    this.#bytes = Buffer.from(texts.join(','));
  }

  has(userId: string): boolean {
    return this.#places.has(userId);
  }

  /** With commas between them. */
  without(userId: string | undefined): Buffer[] {
    const [start, end] = (userId !== undefined && this.#places.get(userId)) || [];
    if (start === undefined || end === undefined) return [this.#bytes];
    if (end < this.#bytes.length) return [this.#bytes.subarray(0, start), this.#bytes.subarray(end + 1)];
    return [this.#bytes.subarray(0, Math.max(0, start - 1))];
  }
}

/** The frames of one difference. What it says of each user is encoded once, because each that joined or left gets another frame. */
export class DifferenceFrames {
  readonly #begin: string;
  readonly #joined: EncodedUsers;
  readonly #updated: string;
  readonly #left: EncodedUsers;

  constructor({ roomName, epoch, version }: PresencePush, { joined, updated, left }: PresenceDifference) {
    const head = JSON.stringify({ roomName, epoch, version });
    this.#begin = `{"type":"system","action":"presence","data":${head.slice(0, -1)},"total":`;
    this.#joined = new EncodedUsers(joined.map((user) => [user.userId, user]));
    this.#updated = JSON.stringify(updated);
    this.#left = new EncodedUsers(left.map((userId) => [userId, userId]));
  }

  /** Whether the user joined or left. */
  names(userId: string): boolean {
    return this.#joined.has(userId) || this.#left.has(userId);
  }

  /** @param without a user whose own connections get it: they know that they are here. @returns undefined if nothing is left */
  of(total: number, without?: string): OutgoingMessage | undefined {
    const [joined, left] = [this.#joined.without(without), this.#left.without(without)];
    if (isNothing(joined) && isNothing(left) && this.#updated === '[]') return undefined;
    return new OutgoingMessage([
      Buffer.from(`${this.#begin}${total},"joined":[`),
      ...joined,
      Buffer.from(`],"updated":${this.#updated},"left":[`),
      ...left,
      Buffer.from(']}}'),
    ]);
  }
}

const isNothing = (parts: readonly Buffer[]): boolean => parts.every(({ length }) => length === 0);

export const NOTHING: PresenceDifference = { joined: [], updated: [], left: [] };

export const isSame = (one: unknown, other: unknown): boolean =>
  one === other || JSON.stringify(one) === JSON.stringify(other);

export const isEmpty = ({ joined, updated, left }: PresenceDifference): boolean =>
  joined.length === 0 && updated.length === 0 && left.length === 0;
