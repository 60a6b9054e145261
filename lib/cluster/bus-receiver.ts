import type { Delivery } from '../protocol/delivery.js';

/**
 * `ready`: everything wanted is subscribed, and what this node published since then came back. `down`: some or all of the other
 * nodes can't be reached; this node's own sockets are served.
 */
export type BusState = 'starting' | 'ready' | 'down' | 'stopped';

/** What a bus calls on this node. What it throws is counted as junk and reported: it never reaches the bus. */
export interface BusReceiver {
  /** A delivery of another node, for this node's sockets. */
  deliver(delivery: Delivery): void;
  /** An event, raised on any node or by an emitter. */
  event(channel: string, message: unknown): void;
  /** An event that another program raised, with plain JSON on a channel of that name: `bytes`. */
  plainEvent(channel: string, message: unknown, bytes: Buffer): void;
  /** What the log of a room announces. */
  logged(roomName: string, text: string): void;
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
  /** Messages that came too late to be delivered: after 5 s, or after a later one of the same sender and channel. */
  stale: number;
  /** Payloads that were none of ours. */
  junk: number;
}
