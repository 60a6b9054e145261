import type { Delivery } from '../protocol/delivery.js';
import type { IsFirst } from './copies.js';

/**
 * `ready`: everything is subscribed, and a message that this node published after that has come back. `down`: some or
 * all other nodes can't be reached; this node still serves its own sockets.
 */
export type BusState = 'starting' | 'ready' | 'down' | 'stopped';

/** What a bus calls on this node. An error thrown here counts as junk and is reported; it never reaches the bus. */
export interface BusReceiver {
  /** A delivery of another node, for this node's sockets. @param isFirst says who hasn't had it with an earlier part */
  deliver(delivery: Delivery, isFirst?: IsFirst): void;
  /** An event that a node or an emitter raised. */
  event(channel: string, message: unknown): void;
  /** An event of another program: plain JSON on a channel with the event's name. `bytes` is that JSON. */
  plainEvent(channel: string, message: unknown, bytes: Buffer): void;
  /** A room's log announces a publication. */
  logged(roomName: string, text: string): void;
  /** Another node orders something, or answers an order. */
  order(fromNodeId: string, order: unknown): void;
  stateChanged(state: BusState): void;
  /** Reports an error that no caller can catch. @param kind what errors of one kind have in common */
  failed(error: Error, place?: string, kind?: string): void;
}

/** Counts what was lost or dropped since the start. */
export interface BusCounters {
  /** Messages and events that the transport didn't take, or didn't answer: those may have arrived. */
  unpublished: number;
  /** Messages and events of other nodes that never arrived. */
  missing: number;
  /** Messages that arrived after 5 s, and messages and events after a newer one of the same sender and channel. */
  stale: number;
  /** Payloads that weren't ours. */
  junk: number;
}
