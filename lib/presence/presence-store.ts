import type { RoomPosition } from '../protocol/message.js';

/** A user in a room. */
export interface StoredUser {
  /** How many of its connections are in the room, those included whose grace isn't over. Above 0. */
  connections: number;
  /** JSON. */
  data: string;
}

/**
 * What a node writes about one of its connections.
 * `in`: it entered, or has new data. `again`: it left and entered. `kept`: it is in the room as before. `out`: it isn't.
 */
export interface PresenceChange {
  kind: 'in' | 'again' | 'kept' | 'out';
  clientId: string;
  userId: string;
  /** JSON. Undefined: it says nothing of its user. */
  data: string | undefined;
  /** When the store took this data, by the store's clock in ms. Newer data of the user isn't replaced by it. */
  dataAt: number;
  /** Above 0: the connection has ended, and another node takes it out after so many ms if its own can't. */
  awayMs: number;
}

export interface PresenceBatch {
  nodeId: string;
  /** Grows with every batch of the node. An older one, which comes late, is refused. */
  number: number;
  /** The epoch of the batch before. Undefined for the first of the room. */
  epoch: string | undefined;
  /** These are all connections of the node in the room. Others of it are taken out. */
  isWhole: boolean;
  changes: readonly PresenceChange[];
}

export interface PresenceApplied {
  epoch: string;
  version: number;
  /** The store's clock, in ms. */
  now: number;
  /** How many connections the node has in the room. */
  own: number;
}

export interface PresenceSnapshot {
  epoch: string;
  version: number;
  now: number;
  /** How many users are in the room, and the bytes of their ids and data. */
  size: PresenceSize;
  /** Undefined if that is more than was asked for. */
  users: Map<string, StoredUser> | undefined;
}

export interface PresenceSize {
  users: number;
  bytes: number;
}

/** What a node believes to have in a room. */
export interface PresenceBelief {
  room: string;
  epoch: string;
  own: number;
}

export interface PresenceCheck {
  /** Rooms of which the node must say again who it has. */
  doubtful: string[];
  /** The nodes with connections in these rooms. */
  nodeIds: Set<string>;
}

/** A user after a change. 0 connections: it left. */
export type UserChange = readonly [userId: string, connections: number, data: unknown];

/** What is announced of a change: how many users there are then, and those that changed. */
export type AnnouncedChange = readonly [size: PresenceSize, ...changes: UserChange[]];

/**
 * Who is in each room, as the whole cluster sees it. There are two stores, in memory and in Redis. Every store promises:
 * Each change of a room has the next version of its epoch, and is announced with it. The same change twice changes nothing.
 * A user's first connection raises `UserJoined`, and the end of its last one `UserLeft`, in the same step as the change.
 * If something may be lost, a new and empty epoch begins, and each node says again who it has. For `QUIET_MS` after that
 * nobody leaves.
 */
export interface PresenceStore {
  /** @throws {PresenceUnavailableError} it may be applied or not; saying it again does no harm */
  apply(room: string, batch: PresenceBatch): Promise<PresenceApplied>;
  /** @param most leaves the users out if there are more @throws {PresenceUnavailableError} */
  read(room: string, most?: PresenceSize): Promise<PresenceSnapshot>;
  /** The newest version, as a place: what follows it, follows it as a log. @throws {PresenceUnavailableError} */
  top(room: string): Promise<RoomPosition>;
  /**
   * Takes out the connections of a node that is gone: at once, but those whose grace isn't over. `own` says how many are left.
   * @throws {PresenceUnavailableError}
   */
  bury(room: string, nodeId: string): Promise<PresenceApplied>;
  /**
   * Compares what a node believes with what is stored, for many rooms at once.
   * @param keeps renews the time for which the rooms are remembered
   * @throws {PresenceUnavailableError}
   */
  check(nodeId: string, beliefs: readonly PresenceBelief[], keeps: boolean): Promise<PresenceCheck>;
  /** The nodes with connections in a room. @throws {PresenceUnavailableError} */
  nodesIn(room: string): Promise<string[]>;
}

/** After a loss the nodes have so long to say who they have, in ms. */
export const QUIET_MS = 3_000;
