import type { Type } from '@nestjs/common';
import type {
  AuthorizeJoin,
  AuthorizePresence,
  AuthorizePublish,
  PresenceAuthorizer,
  PublishAuthorizer,
  RoomAuthorizer,
} from '../routing/room-authorizer.js';
import type { HistoryRuleOptions } from '../history/history-options.js';
import type { RoomLog } from '../history/room-log.js';
import { FLAG } from '../protocol/check.js';
import { CALLBACK, COUNT, isObject, TEXTS } from './checks.js';
import type { Table } from './option-table.js';

/** Which rooms there are, who may join them, and which of them keep their messages. */
export interface RoomOptions {
  /** False: a client that joins a room leaves the one before. @default true */
  clientCanJoinMultipleRooms?: boolean;
  /** Number of rooms that a client may be in at once. A further join fails with `ROOM_LIMIT`. @default 100 */
  maxPerClient?: number;
  /** Beginnings of names of rooms that a client can't join by itself without `authorizeJoin`. @default ['private:', 'user:', 'system:'] */
  protectedPrefixes?: string[];
  /**
   * Decides whether a client may join a room that it asks for: a function, or a class. If a module provides the class, its instance
   * is used. It is called for every room. Only true allows the join; the answer is `ROOM_FORBIDDEN`, or the code of a thrown
   * exception. Server code may always put a client into any room.
   */
  authorizeJoin?: AuthorizeJoin | Type<RoomAuthorizer>;
  /**
   * Decides whether a member may publish to a room (`system/publish`, `room.publish()` of our client): a function, or a class
   * as for `authorizeJoin`. Only true allows it; the answer is `FORBIDDEN`, or the code of a thrown exception. Without it, every
   * `system/publish` is refused. The usual way is a route of your own, which checks the data.
   */
  authorizePublish?: AuthorizePublish | Type<PublishAuthorizer>;
  /**
   * Decides what a client may say of itself in a room with presence: `presenceData` of a join, after `authorizeJoin`, and the data
   * of each `system/updatePresence`. A function, or a class as for `authorizeJoin`. Without it, clients may say anything. False or a
   * thrown error refuses: `FORBIDDEN`, or the code of the thrown exception.
   */
  authorizePresence?: AuthorizePresence | Type<PresenceAuthorizer>;
  /**
   * Rooms that keep their messages, so that a client that was away gets the messages that it missed: a list of rules
   * `{ match, … }`. The first rule that matches the room's name applies. Give every node the same rules. See `history.md`.
   * @default []
   */
  history?: HistoryRuleOptions[];
  /**
   * Your own log for the rooms of `history`, with the promises of `RoomLog`. It decides by itself what it keeps: `size`, `ttlMs`,
   * `maxBytes`, `keyTtlMs`, `metaTtlMs`, `ack` and `onRestart` of the rules are for the built-in logs. You start and stop it.
   * @default in Redis; in memory without `redis`
   */
  log?: RoomLog;
}

const isRoomLog = (value: unknown): boolean =>
  isObject(value) &&
  ['append', 'read', 'top', 'clear'].every((name) => typeof (value as Record<string, unknown>)[name] === 'function');

export const ROOMS = {
  clientCanJoinMultipleRooms: { default: true, check: FLAG },
  maxPerClient: { default: 100, check: COUNT, unit: 'rooms' },
  protectedPrefixes: { default: ['private:', 'user:', 'system:'], check: TEXTS },
  authorizeJoin: {
    check: { ...CALLBACK, must: 'a function, or a class with a method authorizeJoin({ client, roomName, data })' },
  },
  authorizePublish: {
    check: { ...CALLBACK, must: 'a function, or a class with a method authorizePublish({ client, roomName, data })' },
  },
  authorizePresence: {
    check: { ...CALLBACK, must: 'a function, or a class with a method authorizePresence({ client, roomName, data })' },
  },
  history: {
    default: [],
    check: { holds: (value) => Array.isArray(value) && value.every(isObject), must: 'a list of rules { match, … }' },
  },
  log: { check: { holds: isRoomLog, must: 'an object with the methods append(), read(), top() and clear()' } },
} satisfies Table<RoomOptions>;
