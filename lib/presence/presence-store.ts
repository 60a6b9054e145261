import type { RoomPosition } from '../protocol/message.js';

/** A user in a room. */
export interface StoredUser {
  /** How many of its connections are in the room, those included whose grace isn't over. Above 0. */
  connections: number;
  /** JSON. */
  data: string;
}

/**
 * What a node says of one of its connections.
 * `in`: it entered, or has new data. `kept`: it is in the room as before. `out`: it isn't.
 */
export interface PresenceChange {
  kind: 'in' | 'kept' | 'out';
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
  /** Users with their first connection, and without their last. Nobody is told of them elsewhere. */
  joined: string[];
  left: string[];
  /** The nodes with connections in the room. */
  nodeIds: string[];
}

export interface PresenceSnapshot {
  epoch: string;
  version: number;
  now: number;
  users: Map<string, StoredUser>;
}

/** A user after a change. 0 connections: it left. */
export type UserChange = readonly [userId: string, connections: number, data: unknown];

/**
 * Who is in each room, as the whole cluster sees it. There are two stores, in memory and in Redis. Every store promises:
 * Each change of a room has the next version of its epoch, and is announced with it. The same change twice changes nothing.
 * If something may be lost, a new and empty epoch begins, and each node says again who it has. For `QUIET_MS` after that
 * nobody leaves.
 */
export interface PresenceStore {
  /** @throws {PresenceUnavailableError} it may be applied or not; saying it again does no harm */
  apply(room: string, batch: PresenceBatch): Promise<PresenceApplied>;
  /** @throws {PresenceUnavailableError} */
  read(room: string): Promise<PresenceSnapshot>;
  /** The newest version, as a place: what follows it, follows it as a log. @throws {PresenceUnavailableError} */
  top(room: string): Promise<RoomPosition>;
  /**
   * Takes out the connections of a node that is gone: at once, but those whose grace isn't over. `own` says how many are left.
   * @throws {PresenceUnavailableError}
   */
  bury(room: string, nodeId: string): Promise<PresenceApplied>;
}

/** After a loss the nodes have so long to say who they have, in ms. */
export const QUIET_MS = 3_000;
