import type { Delivery } from '../protocol/delivery.js';
import type { Interest } from './channels.js';

/** `ready`: everything wanted is subscribed. `down`: other nodes can't be reached; this node's own sockets are served. */
export type BusState = 'starting' | 'ready' | 'down' | 'stopped';

/** What a bus calls on this node. Nothing it throws reaches the bus. */
export interface BusReceiver {
  /** A delivery of another node, for this node's sockets. */
  deliver(delivery: Delivery): void;
  /** An event, raised on any node or by any process. */
  event(channel: string, message: unknown): void;
  /** Another node asks this one to do something, or answers. */
  order(fromNodeId: string, order: unknown): void;
  stateChanged(state: BusState): void;
  /** Something went wrong that no caller could be told of. */
  failed(error: Error): void;
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

/** What carries deliveries and events between nodes. One contract, whatever is underneath. */
export interface Bus {
  readonly counters: Readonly<BusCounters>;
  /** Connects; resolves when deliveries and events arrive. Retries until then. */
  start(receiver: BusReceiver, events: readonly string[]): Promise<void>;
  /** Hands a delivery to the other nodes. The caller serves its own sockets itself, first. Never rejects: counts. */
  publish(delivery: Delivery): void;
  /** Asks one node to do something. Never rejects: counts. */
  order(nodeId: string, order: unknown): void;
  /** Raises an event on every node, this one included. Never rejects: counts. */
  emit(channel: string, message: unknown): void;
  /**
   * This node has its first member of a room, or its first connection of a user. Resolves when deliveries for it arrive
   * here; while the bus is down at once, for they will once it is back.
   */
  follow(interest: Interest): Promise<void>;
  /** The last member left. */
  unfollow(interest: Interest): void;
  stop(): Promise<void>;
}
