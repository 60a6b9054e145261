import type { Delivery } from '../protocol/delivery.js';
import type { Interest } from './channels.js';

/** `ready`: everything wanted is subscribed. `down`: other nodes can't be reached; this node's own sockets are served. */
export type BusState = 'starting' | 'ready' | 'down' | 'stopped';

/** What a bus calls on this node. What it throws is counted as junk and reported: it never reaches the bus. */
export interface BusReceiver {
  /** A delivery of another node, for this node's sockets. */
  deliver(delivery: Delivery): void;
  /** An event, raised on any node or by an emitter. */
  event(channel: string, message: unknown): void;
  /** An event that another program raised, with plain JSON on a channel of that name. */
  plainEvent(channel: string, message: unknown): void;
  /** Another node asks this one to do something, or answers. */
  order(fromNodeId: string, order: unknown): void;
  stateChanged(state: BusState): void;
  /** Something went wrong that no caller could be told of. */
  failed(error: Error, place?: string): void;
}

/** What was lost or passed over, counted since the start. */
export interface BusCounters {
  /** Publications that couldn't be handed to the bus. */
  unpublished: number;
  /** Messages of other nodes that never came. */
  missing: number;
  /** Messages that came too late to be delivered. */
  stale: number;
  /** Payloads that were none of ours. */
  junk: number;
}

/**
 * What carries deliveries and events between nodes. One contract, whatever is underneath. What a method that publishes returns
 * resolves when the message is handed over, and rejects (`NotPublishedError`) when it isn't, which is counted, too; nobody has
 * to listen.
 */
export interface Bus {
  readonly counters: Readonly<BusCounters>;
  /**
   * Connects; resolves when deliveries and events arrive. Retries until then.
   * @param events the plain channels to hear, by the names of the events. Of those that tell who comes and goes none is heard
   *   unless one is named.
   */
  start(receiver: BusReceiver, events: readonly string[]): Promise<void>;
  /** Hands a delivery to the other nodes. The caller serves its own sockets itself, first. */
  publish(delivery: Delivery): Promise<unknown>;
  /** Asks one node to do something. */
  order(nodeId: string, order: unknown): Promise<unknown>;
  /** Raises an event on every node, this one included. */
  emit(channel: string, message: unknown): Promise<unknown>;
  /**
   * This node has its first member of a room, or its first connection of a user. Resolves when deliveries for it arrive
   * here; while the bus is down at once, for they will once it is back.
   * @throws {PeerError} UNAVAILABLE when that takes longer than 5 s
   */
  follow(interest: Interest): Promise<void>;
  /** The last member left. */
  unfollow(interest: Interest): void;
  stop(): Promise<void>;
}
