import type { Delivery } from '../protocol/delivery.js';

/** What a bus calls on this node. */
export interface BusReceiver {
  /** A delivery of another node, for this node's sockets. */
  deliver(delivery: Delivery): void;
  /** An event, raised on any node. */
  event(channel: string, message: unknown): void;
}

/** What carries deliveries and events between nodes. One contract, whatever is underneath. */
export interface Bus {
  /** Connects; resolves when deliveries and events arrive. */
  start(receiver: BusReceiver): Promise<void>;
  /** Hands a delivery to the other nodes. The caller serves its own sockets itself, first. */
  publish(delivery: Delivery): Promise<void>;
  /** Raises an event on every node, this one included. Nothing is parsed or kept where nobody subscribed. */
  emit(channel: string, message: unknown): Promise<void>;
  /** Resolves when events raised on `channel` from now on arrive here. */
  subscribe(channel: string): Promise<void>;
  stop(): Promise<void>;
}
