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

/** The same without a user, for its own connections: they know that they are here. */
export const without = (userId: string, { joined, updated, left }: PresenceDifference): PresenceDifference => ({
  joined: joined.filter((user) => user.userId !== userId),
  updated,
  left: left.filter((id) => id !== userId),
});

export const NOTHING: PresenceDifference = { joined: [], updated: [], left: [] };

export const isSame = (one: unknown, other: unknown): boolean =>
  one === other || JSON.stringify(one) === JSON.stringify(other);

export const isEmpty = ({ joined, updated, left }: PresenceDifference): boolean =>
  joined.length === 0 && updated.length === 0 && left.length === 0;
